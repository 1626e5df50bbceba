package broker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// Oldest NATS that has all that codeferry uses.
const (
	minMajor = 2
	minMinor = 12
)

// ErrTooOld is a nats-server that lacks what codeferry uses.
var ErrTooOld = errors.New("nats-server is too old")

// CheckServer refuses a server that is too old, with ErrTooOld.
func CheckServer(nc *nats.Conn) error {
	v := nc.ConnectedServerVersion()
	if v == "" {
		return nats.ErrDisconnected
	}
	return checkVersion(v)
}

func checkVersion(version string) error {
	parts := strings.SplitN(version, ".", 3)
	if len(parts) == 3 {
		major, err1 := strconv.Atoi(strings.TrimPrefix(parts[0], "v"))
		minor, err2 := strconv.Atoi(parts[1])
		if err1 == nil && err2 == nil {
			if major > minMajor || major == minMajor && minor >= minMinor {
				return nil
			}
			return fmt.Errorf("%w: it is %s, and codeferry needs %d.%d or newer", ErrTooOld, version, minMajor, minMinor)
		}
	}
	return fmt.Errorf("%w: it says that it is version %q, and codeferry needs %d.%d or newer", ErrTooOld, version, minMajor, minMinor)
}

// Provision makes the streams, the ledger and the consumers, or brings those
// that are there to what o says. It blocks until the server has done so.
func Provision(ctx context.Context, js jetstream.JetStream, o messages.StreamOptions) error {
	if err := CheckServer(js.Conn()); err != nil {
		return err
	}
	for _, cfg := range messages.Streams(o) {
		if _, err := js.CreateOrUpdateStream(ctx, cfg); err != nil {
			return provisionError("stream "+cfg.Name, err)
		}
	}
	if _, err := js.CreateOrUpdateKeyValue(ctx, messages.Ledger(o)); err != nil {
		return provisionError("bucket "+messages.LedgerName, err)
	}
	for _, c := range messages.Channels() {
		if _, err := js.CreateOrUpdateConsumer(ctx, messages.StreamName, messages.Consumer(c, o)); err != nil {
			return provisionError("consumer "+string(c), err)
		}
	}
	return nil
}

// Ensure makes what is missing, and leaves what is there as an operator has
// made it.
func Ensure(ctx context.Context, js jetstream.JetStream, o messages.StreamOptions) error {
	if err := CheckServer(js.Conn()); err != nil {
		return err
	}
	for _, cfg := range messages.Streams(o) {
		if err := ensure(ctx, "stream "+cfg.Name, jetstream.ErrStreamNotFound,
			func() error { _, err := js.Stream(ctx, cfg.Name); return err },
			func() error { _, err := js.CreateStream(ctx, cfg); return err }); err != nil {
			return err
		}
	}
	if err := ensure(ctx, "bucket "+messages.LedgerName, jetstream.ErrBucketNotFound,
		func() error { _, err := js.KeyValue(ctx, messages.LedgerName); return err },
		func() error { _, err := js.CreateKeyValue(ctx, messages.Ledger(o)); return err }); err != nil {
		return err
	}
	for _, c := range messages.Channels() {
		if err := ensure(ctx, "consumer "+string(c), jetstream.ErrConsumerNotFound,
			func() error { _, err := js.Consumer(ctx, messages.StreamName, string(c)); return err },
			func() error {
				_, err := js.CreateConsumer(ctx, messages.StreamName, messages.Consumer(c, o))
				return err
			}); err != nil {
			return err
		}
	}
	return nil
}

func ensure(ctx context.Context, what string, missing error, look, create func() error) error {
	err := look()
	if err == nil {
		return nil
	}
	if errors.Is(err, missing) {
		if err = create(); err == nil {
			return nil
		}
		unanswered := errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
		if ctx.Err() == nil && look() == nil {
			return nil // another worker was quicker
		}
		if unanswered {
			return mayNotError(what, err)
		}
	}
	return provisionError(what, err)
}

func provisionError(what string, err error) error {
	switch {
	case errors.Is(err, jetstream.ErrJetStreamNotEnabled), errors.Is(err, jetstream.ErrJetStreamNotEnabledForAccount):
		return fmt.Errorf("provision %s: JetStream is off at this server or account; start nats-server with -js, or enable it for the account: %w", what, err)
	case errors.Is(err, nats.ErrNoResponders):
		return fmt.Errorf("provision %s: nothing answers for JetStream; start nats-server with -js: %w", what, err)
	}
	return fmt.Errorf("provision %s: %w", what, err)
}

// mayNotError says why nobody answers a request to make something: a server does
// not answer what it does not permit.
func mayNotError(what string, err error) error {
	return fmt.Errorf("make %s: no answer; where this credential may not make it, run codeferry provision with one that may: %w", what, err)
}
