package config

import (
	"crypto/sha256"
	"maps"
)

// Source is a configuration's file and every file that it names. It knows when one of
// them changes. It is not safe for concurrent use.
type Source struct {
	file string
	env  Env
	// seen are the digests of the files' contents at the last Load.
	seen map[string][sha256.Size]byte
}

// NewSource returns a source for the file. It does not read the file yet.
func NewSource(file string, env Env) *Source {
	return &Source{file: file, env: env.withDefaults()}
}

// Load reads the configuration like the function [Load].
func (s *Source) Load() (*Config, error) {
	seen := make(map[string][sha256.Size]byte)
	env := s.env
	env.ReadFile = func(name string) ([]byte, error) {
		b, err := s.env.ReadFile(name)
		seen[name] = digest(b, err)
		return b, err
	}
	c, err := Load(s.file, env)
	s.seen = seen
	return c, err
}

// Changed reports whether a file has changed since the last Load.
func (s *Source) Changed() bool {
	now := make(map[string][sha256.Size]byte, len(s.seen))
	for name := range s.seen {
		now[name] = digest(s.env.ReadFile(name))
	}
	return !maps.Equal(now, s.seen)
}

func digest(b []byte, err error) [sha256.Size]byte {
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sha256.Sum256(b)
}
