package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
)

// command returns a command to paste into a shell, for the same server: it has the server flags
// of this command, and no password.
func (f serverFlags) command(words ...string) string {
	url := f.NATS
	if config.InlineLogin(url) != "" {
		url = broker.Redacted(url)
	}
	line := append([]string{"codeferry"}, words...)
	for _, flag := range []struct{ name, value string }{
		{"--nats", url},
		{"--context", f.Context},
		{"--creds", f.Creds},
		{"--nkey", f.NKey},
		{"--tls-ca", f.TLSCA},
		{"--tls-cert", f.TLSCert},
		{"--tls-key", f.TLSKey},
		{"--inbox-prefix", f.InboxPrefix},
		{"--js-domain", f.JSDomain},
		{"--js-api-prefix", f.JSAPIPrefix},
		{"-c", f.Config},
	} {
		if flag.value != "" {
			line = append(line, flag.name, flag.value)
		}
	}
	if f.TLSFirst {
		line = append(line, "--tls-first")
	}
	for i, word := range line {
		line[i] = inShell(word)
	}
	return strings.Join(line, " ")
}

// inShell quotes a word for a POSIX shell if that is necessary.
func inShell(word string) string {
	safe := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("_@%+=:,./-", r)
	}
	if word != "" && strings.TrimFunc(word, safe) == "" {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// withProvision adds to an error of missing streams the command that creates them there. The
// packages that find out do not know the server flags.
func (f serverFlags) withProvision(err error) error {
	here := f.command("provision")
	if here == "codeferry provision" || !errors.Is(err, jetstream.ErrStreamNotFound) && !errors.Is(err, messages.ErrNoStream) {
		return err
	}
	return fmt.Errorf("%w (with the flags for this server: %s; if NATS has roles, with the login of the provisioner)", err, here)
}
