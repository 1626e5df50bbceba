package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// serverFlags say which NATS a command talks to.
type serverFlags struct {
	NATS string `name:"nats" short:"s" help:"NATS server; separate several by commas. Default: the one of the configuration, of NATS_URL or of the nats context, or nats://127.0.0.1:4222." placeholder:"URL"`
	natsFlags
	Config string `short:"c" help:"Take the server, the login and TLS from this configuration." placeholder:"FILE"`
}

// serverHelp ends the help of a command with serverFlags.
const serverHelp = `

--nats, --context or -c names the server. Without them, the command reads the
variables of the nats command line (NATS_URL, NATS_CREDS, NATS_NKEY, NATS_USER and
NATS_PASSWORD, NATS_TOKEN, NATS_CA, NATS_CERT and NATS_KEY, NATS_CONTEXT), or its
selected context. Flags override all of these, but --nats can't name another server
than a context that is named, too, or than a configuration with a login, unless a
flag gives another login. Put a password into NATS_PASSWORD, not into --nats.`

// AfterApply warns if the command line has a secret, and of variables that have no effect. The
// parser calls it for every command that embeds the flags.
func (f serverFlags) AfterApply(s streams) error {
	if err := warnOfPassword(s, f.NATS); err != nil {
		return err
	}
	if text := f.ignoredVariables(os.Getenv); text != "" {
		_, err := fmt.Fprintf(s.err, "codeferry: warning: %s\n", text)
		return err
	}
	return nil
}

// target returns the server, and what the configuration says about the streams.
func (f serverFlags) target(e userEnvironment) (t broker.Target, o wire.StreamOptions, err error) {
	var configured *broker.Target
	if f.Config != "" {
		cfg, err := f.load(config.Unneeded{Sealing: true})
		if err != nil {
			return t, o, err
		}
		o = cfg.NATS.StreamOptions()
		if f.Context == "" {
			c := broker.TargetOf(cfg.NATS, "")
			if c.URL == "" {
				c.URL = "nats://" + cfg.NATS.Listen
			}
			configured = &c
		}
	}
	t, err = f.natsFlags.target(f.NATS, configured, e)
	return t, o, err
}

// load reads the configuration of -c. Beside --context it leaves out the login, which is the
// worker's: an operator or a provisioner has neither its variables nor its files.
func (f serverFlags) load(without config.Unneeded) (*config.Config, error) {
	without.Login = f.Context != ""
	return config.LoadForNATS(f.Config, config.Env{}, without)
}

// natsServer is a server that a command is connected to.
type natsServer struct {
	nc *nats.Conn
	js jetstream.JetStream
	// streams are what the configuration says about the streams.
	streams wire.StreamOptions
}

// withServer connects, calls do, and closes the connection. It tries once to connect,
// because a user waits for the answer. The context of do ends with ctx, or when the server
// denies a request. The error says what the user can do.
func (f serverFlags) withServer(ctx context.Context, do func(context.Context, natsServer) error) error {
	t, streams, err := f.target(newUserEnvironment())
	if err != nil {
		return err
	}
	ctx, deny := context.WithCancelCause(ctx)
	defer deny(nil)
	t.Denied = func(err error) { deny(&deniedError{cause: err, user: t.LoginName()}) }
	nc, err := broker.Connect(ctx, t, zerolog.Nop())
	if err != nil && ctx.Err() != nil {
		return explain(ctx, err)
	}
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := broker.JetStream(nc, t)
	if err != nil {
		return err
	}
	return f.withProvision(explain(ctx, do(ctx, natsServer{nc: nc, js: js, streams: streams})))
}

// withServerBriefly is withServer for a command whose work is short: the context of do
// ends after answerTimeout at the latest.
func (f serverFlags) withServerBriefly(ctx context.Context, do func(context.Context, natsServer) error) error {
	return f.withServer(ctx, func(ctx context.Context, server natsServer) error {
		ctx, cancel := context.WithTimeout(ctx, answerTimeout)
		defer cancel()
		return do(ctx, server)
	})
}

// lookups returns an address's hash for each sealing key of the configuration, and none
// without a configuration.
func (f serverFlags) lookups(to string) ([]string, error) {
	if f.Config == "" {
		return nil, nil
	}
	cfg, err := f.load(config.Unneeded{})
	if err != nil {
		return nil, err
	}
	keys := cfg.Sealing.Keys
	if cfg.NATS.URL == "" { // the embedded server has keys of its own
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

// deniedError is a request that the server does not permit, and so never answers.
type deniedError struct {
	cause error
	// user is who logged in, "" if that is not known.
	user string
	// ofWorker says that the user and the settings are those of a configuration's worker, and no
	// flag changes them.
	ofWorker bool
}

func (e *deniedError) Error() string {
	user := "this user"
	if e.user != "" {
		user += " (" + e.user + ")"
	}
	if e.ofWorker {
		return fmt.Sprintf("NATS does not permit this request for %s, or not with this nats.inboxPrefix, nats.domain or nats.apiPrefix; docs/roles.md lists the permissions of a worker (%v)", user, e.cause)
	}
	return fmt.Sprintf("NATS does not permit this request for %s, or not with this --inbox-prefix, --js-domain or --js-api-prefix; docs/roles.md says which role may do it, and how to log in as one (%v)", user, e.cause)
}

func (e *deniedError) Unwrap() error { return e.cause }

// ofCode reports whether the server refused the publish of a code.
func (e *deniedError) ofCode() bool {
	operation, subject := broker.Denial(e.cause)
	return operation == "publish" && strings.HasPrefix(subject, "codeferry.send.")
}

// answerTimeout bounds a command whose work is short.
const answerTimeout = time.Minute

// errStopped: Ctrl-C or SIGTERM ended the command.
var errStopped = errors.New("interrupted")

// explain returns an error that says why the context ended or what NATS did not have.
func explain(ctx context.Context, err error) error {
	var denied *deniedError
	if errors.Is(err, messages.ErrInDoubt) {
		if errors.As(context.Cause(ctx), &denied) && denied.ofCode() {
			return denied // NATS refused the code itself, so it is not stored
		}
		return err // whatever ended the wait, the code may be sent
	}
	if errors.As(err, &denied) {
		return err // it says already what the server does not permit
	}
	if err != nil && errors.As(context.Cause(ctx), &denied) {
		return denied
	}
	if _, decided := errors.AsType[*exitError](err); decided {
		return err
	}
	if err != nil && errors.Is(ctx.Err(), context.Canceled) {
		return errStopped
	}
	return broker.Explain(err)
}
