package service

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// keyFile is the private key that seals dead letters beside an embedded server's
// data, where the configuration gives none.
const keyFile = "sealing.key"

// withOwnKey returns the configuration with a key: its own, or the one in dataDir,
// which is made where it is missing.
func withOwnKey(c *config.Config) (*config.Config, error) {
	if len(c.Sealing.Keys) > 0 {
		return c, nil
	}
	key, err := ownKey(filepath.Join(c.DataDir, keyFile))
	if err != nil {
		return nil, err
	}
	with := *c
	with.Sealing.Keys = []messages.PrivateKey{key}
	return &with, nil
}

// Keys returns the keys with which a service of this configuration seals and opens;
// none where there are none yet.
func Keys(c *config.Config) ([]messages.PrivateKey, error) {
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

func ownKey(file string) (messages.PrivateKey, error) {
	text, err := os.ReadFile(file)
	if err == nil {
		key, err := messages.ParsePrivateKey(string(text))
		if err != nil {
			return key, fmt.Errorf("the sealing key in %s %w; put the right one back, or remove the file: what was sealed for it is lost then", file, err)
		}
		return key, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return messages.PrivateKey{}, fmt.Errorf("read the sealing key: %w", err)
	}
	key, err := messages.GenerateKey()
	if err != nil {
		return key, err
	}
	return key, WriteKey(file, key)
}

// WriteKey writes a private key to a new file that its owner alone can read.
func WriteKey(file string, key messages.PrivateKey) error {
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
