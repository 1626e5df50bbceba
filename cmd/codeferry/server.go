package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
)

// serverFlags say which NATS a command talks to.
type serverFlags struct {
	NATS        string `name:"nats" help:"NATS server. Default: the configuration's, or nats://127.0.0.1:4222." placeholder:"URL"`
	Creds       string `help:"NATS credentials file." placeholder:"FILE"`
	InboxPrefix string `help:"What the subjects of answers begin with, where the server allows no others." placeholder:"SUBJECT"`
	Config      string `short:"c" help:"Take the server from this configuration." placeholder:"FILE"`
}

const defaultNATS = "nats://127.0.0.1:4222"

// target returns the server, and what the configuration says about the streams.
func (f serverFlags) target() (broker.Target, messages.StreamOptions, error) {
	t := broker.Target{URL: defaultNATS, Name: "codeferry"}
	var o messages.StreamOptions
	if f.Config != "" {
		cfg, err := config.Load(f.Config, config.Env{})
		if err != nil {
			return t, o, err
		}
		o = cfg.NATS.StreamOptions()
		t.URL, t.Creds, t.InboxPrefix = cfg.NATS.URL, cfg.NATS.Creds, cfg.NATS.InboxPrefix
		if t.URL == "" {
			t.URL = "nats://" + cfg.NATS.Listen
		}
	}
	if f.NATS != "" {
		t.URL = f.NATS
	}
	if f.Creds != "" {
		t.Creds = f.Creds
	}
	if f.InboxPrefix != "" {
		if !config.ValidInboxPrefix(f.InboxPrefix) {
			return t, o, &exitError{exitUsage, fmt.Errorf("--inbox-prefix: %q is no beginning of a subject, such as _INBOX_operator", f.InboxPrefix)}
		}
		t.InboxPrefix = f.InboxPrefix
	}
	return t, o, nil
}

// connect connects once, without trying again: a person waits for the answer. The
// context that it returns ends with ctx, or when the server refuses a request.
func (f serverFlags) connect(ctx context.Context) (context.Context, *nats.Conn, jetstream.JetStream, error) {
	t, _, err := f.target()
	if err != nil {
		return ctx, nil, nil, err
	}
	ctx, deny := context.WithCancelCause(ctx)
	t.Denied = func(err error) { deny(&deniedError{err}) }
	nc, err := broker.Connect(t, zerolog.Nop())
	if err != nil {
		return ctx, nil, nil, err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		nc.Close()
		return ctx, nil, nil, err
	}
	return ctx, nc, js, nil
}

// lookups returns an address's hashes by each of the configuration's keys; none
// without a configuration.
func (f serverFlags) lookups(to string) ([]string, error) {
	if f.Config == "" {
		return nil, nil
	}
	cfg, err := config.Load(f.Config, config.Env{})
	if err != nil {
		return nil, err
	}
	keys := cfg.Sealing.Keys
	if cfg.NATS.URL == "" { // the embedded server's own
		if keys, err = service.Keys(cfg); err != nil {
			return nil, err
		}
	}
	var hashes []string
	for _, key := range keys {
		hash, err := key.Lookup(to)
		if err != nil {
			return nil, err
		}
		hashes = append(hashes, hash)
	}
	return hashes, nil
}

// deniedError is what the server does not permit: it does not answer it.
type deniedError struct{ cause error }

func (e *deniedError) Error() string {
	return fmt.Sprintf("NATS does not permit it to this user, or not with this --inbox-prefix (%v)", e.cause)
}

func (e *deniedError) Unwrap() error { return e.cause }

// answerTimeout bounds a command that only reads.
const answerTimeout = time.Minute

// explain puts a context's end into words.
func explain(ctx context.Context, err error) error {
	var denied *deniedError
	if err != nil && errors.As(context.Cause(ctx), &denied) {
		return denied
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return errors.New("interrupted")
	}
	return err
}
