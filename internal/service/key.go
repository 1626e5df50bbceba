package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages/wire"
)

// keyFile is the file beside the embedded server's data with the private key that seals dead
// letters, if the configuration gives no key.
const keyFile = "sealing.key"

// withOwnKey returns the configuration with a key: its own, or the one in dataDir, which it
// makes if it is missing.
func withOwnKey(c *config.Config) (*config.Config, error) {
	if len(c.Sealing.Keys) > 0 {
		return c, nil
	}
	key, err := ownKey(filepath.Join(c.DataDir, keyFile))
	if err != nil {
		return nil, err
	}
	with := *c
	with.Sealing.Keys = []wire.PrivateKey{key}
	return &with, nil
}

// SealingWarning says what is lost without a sealing key. It is empty if there is a key, or if
// the embedded server makes its own.
func SealingWarning(c *config.Config) string {
	if len(c.Sealing.Keys) > 0 || c.NATS.URL == "" {
		return ""
	}
	return "there is no sealing key: dead letters keep neither the recipient nor the code, and none of them can be replayed; " +
		"make a key with codeferry keygen --out " + keyFile + ", and name it: sealing: {keys: [\"${file:" + keyFile + "}\"]}"
}

// Keys returns the keys with which a service of this configuration seals and opens; none if
// they do not exist yet.
func Keys(c *config.Config) ([]wire.PrivateKey, error) {
	if len(c.Sealing.Keys) > 0 || c.NATS.URL != "" {
		return c.Sealing.Keys, nil
	}
	if _, err := os.Stat(filepath.Join(c.DataDir, keyFile)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	with, err := withOwnKey(c)
	if err != nil {
		return nil, err
	}
	return with.Sealing.Keys, nil
}

func ownKey(file string) (wire.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		key, err := wire.ParsePrivateKey(string(text))
		if err != nil {
			return key, fmt.Errorf("the sealing key in %s %w; restore the right one, or remove the file: then everything that was sealed for it is lost", file, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return wire.PrivateKey{}, fmt.Errorf("read the sealing key: %w", err)
	}
	key, err := wire.GenerateKey()
	if err != nil {
		return key, err
	}
	return key, WriteKey(file, key)
}

// WriteKey writes a private key to a new file that only its owner can read.
func WriteKey(file string, key wire.PrivateKey) error {
	secret, err := key.Reveal()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	_, err = f.WriteString(secret + "\n")
	if err == nil {
		err = f.Sync()
	}
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write the key: %w", err)
	}
	return nil
}
