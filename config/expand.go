package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Env is where ${NAME} and ${file:PATH} get their values.
type Env struct {
	// Lookup returns an environment variable. Default: os.LookupEnv.
	Lookup func(name string) (string, bool)
	// ReadFile reads a file. Default: os.ReadFile.
	ReadFile func(path string) ([]byte, error)

	// leftOut are the paths of fields that are not read.
	leftOut []string
	// asWritten is the path of a field whose ${…} are not replaced; "" for none.
	asWritten string
}

func (e Env) withDefaults() Env {
	if e.Lookup == nil {
		e.Lookup = os.LookupEnv
	}
	if e.ReadFile == nil {
		e.ReadFile = os.ReadFile
	}
	return e
}

var (
	reference = regexp.MustCompile(`\$?\$\{[^}]*\}`)
	envName   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
)

// expand replaces ${NAME} with an environment variable, ${file:PATH} with a file's text
// without its last line break, and $${ with a plain ${. It does not expand the values
// again. base is the folder of relative paths.
func (e Env) expand(s, base string) (string, error) {
	if !strings.Contains(s, "${") {
		return s, nil
	}
	var failed error
	out := reference.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		v, err := e.resolve(m[2:len(m)-1], base)
		if err != nil && failed == nil {
			failed = err
		}
		return v
	})
	return out, failed
}

// Variables lists the environment variables that a part of a configuration names by ${NAME},
// each once, in the order of the text.
func Variables(text string) []string {
	var names []string
	for _, m := range reference.FindAllString(text, -1) {
		name := strings.TrimSuffix(strings.TrimPrefix(m, "${"), "}")
		if envName.MatchString(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func (e Env) resolve(name, base string) (string, error) {
	if path, ok := strings.CutPrefix(name, "file:"); ok {
		b, err := e.ReadFile(resolvePath(base, path))
		if err != nil {
			return "", fmt.Errorf("names a file that can't be read: %w", err)
		}
		return strings.TrimRight(string(b), "\r\n"), nil
	}
	if !envName.MatchString(name) {
		return "", errors.New("holds a ${…} that is neither ${NAME} nor ${file:PATH}; write $${ for a plain ${")
	}
	v, ok := e.Lookup(name)
	if !ok {
		return "", fmt.Errorf("needs the environment variable %s, which is not set", name)
	}
	return v, nil
}

func resolvePath(base, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(base, path)
}
