package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages/wire"
)

type keygenCmd struct {
	Out  string `short:"o" help:"Write the private key to this new file, which only its owner can read, and print the public key." placeholder:"FILE" xor:"key"`
	From string `help:"Print the public key of the private key in this file, and make no new key." placeholder:"FILE" xor:"key"`
}

// Help shows how the command is used.
func (keygenCmd) Help() string {
	return `Examples:
  codeferry keygen --out sealing.key
  codeferry keygen --from sealing.key
  codeferry keygen

Workers need the private key: put it into sealing.keys of their configuration,
such as ${file:sealing.key}. Publishers need the public key: they seal codes with
it, and can't open any. To change keys, put the new one first in sealing.keys and
give its public key to the publishers. Remove the old key when no message and no
dead letter is sealed for it.`
}

// Run prints a new key pair, or writes the private key to a file.
func (c *keygenCmd) Run(s streams) error {
	if c.From != "" {
		text, err := os.ReadFile(c.From)
		if err != nil {
			return fmt.Errorf("read the key: %w", err)
		}
		key, err := wire.ParsePrivateKey(string(text))
		if err != nil {
			return fmt.Errorf("%s %w", c.From, err)
		}
		_, err = fmt.Fprintln(s.out, key.Public())
		return err
	}
	key, err := wire.GenerateKey()
	if err != nil {
		return err
	}
	if c.Out != "" {
		err := service.WriteKey(c.Out, key)
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s is there already, and keygen overwrites nothing: choose another file with --out, or print its public key with --from", c.Out)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintln(s.out, key.Public())
		return err
	}
	secret, err := key.Reveal()
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(s.out, "%s\n%s\n", secret, key.Public())
	return err
}
