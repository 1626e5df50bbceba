package main

import (
	"fmt"
	"os"

	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
)

type keygenCmd struct {
	Out  string `short:"o" help:"Write the private key to this new file, readable by its owner alone; the public one is printed." placeholder:"FILE" xor:"key"`
	From string `help:"Make no key: print the public one of the private one in this file." placeholder:"FILE" xor:"key"`
}

// Help shows how the command is used.
func (keygenCmd) Help() string {
	return `Examples:
  codeferry keygen --out sealing.key
  codeferry keygen --from sealing.key
  codeferry keygen

The private key is the workers': sealing.keys in their configuration, such as
${file:sealing.key}. The public one is the publishers': they seal codes with it,
and can't open any. To change keys, put the new one first in sealing.keys, give
publishers its public one, and take the old one away when no message and no
dead letter is sealed for it.`
}

// Run prints a new pair of keys, or writes the private one to a file.
func (c *keygenCmd) Run(s streams) error {
	if c.From != "" {
		text, err := os.ReadFile(c.From)
		if err != nil {
			return fmt.Errorf("read the key: %w", err)
		}
		key, err := messages.ParsePrivateKey(string(text))
		if err != nil {
			return fmt.Errorf("%s %w", c.From, err)
		}
		_, err = fmt.Fprintln(s.out, key.Public())
		return err
	}
	key, err := messages.GenerateKey()
	if err != nil {
		return err
	}
	if c.Out != "" {
		if err := service.WriteKey(c.Out, key); err != nil {
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
