// Package service is a running codeferry: NATS (embedded or not), the worker,
// and the HTTP side with metrics and health, started and stopped in order.
package service

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/worker"
)

// Options say what to run.
type Options struct {
	Config *config.Config
	Log    zerolog.Logger
	// Started is called once when everything runs. Default: nothing.
	Started func(Addresses)
	// Reload is where new configurations come from. Default: nowhere.
	Reload *Reload
}

// Addresses are where a running service can be reached.
type Addresses struct {
	// NATS is the server's URL.
	NATS string
	// HTTP is the host and port of metrics and health.
	HTTP string
}

// Run runs until ctx ends, and then stops in order: the worker finishes what it
// has begun, then the connection, the embedded server and the HTTP side end.
// Its error says why it could not start. A NATS that is not there is none: it
// is tried again until it is.
func Run(ctx context.Context, o Options) error {
	registry := prometheus.NewRegistry()
	web, err := newWeb(o.Config, registry, o.Log)
	if err != nil {
		return err
	}
	listener, err := Listen(ctx, o.Config.Listen, "choose another with --listen or listen")
	if err != nil {
		return err
	}
	defer web.stop()
	web.start(listener)

	target := broker.Target{URL: o.Config.NATS.URL, Creds: o.Config.NATS.Creds, InboxPrefix: o.Config.NATS.InboxPrefix, Name: "codeferry worker"}
	if target.URL == "" {
		embedded, err := broker.Start(broker.Options{Dir: o.Config.DataDir, Listen: o.Config.NATS.Listen, Key: o.Config.EncryptionKey, Log: o.Log})
		if errors.Is(err, broker.ErrInUse) {
			return fmt.Errorf("%w; choose another with --nats-listen or nats.listen, or name a server with nats.url", err)
		}
		if err != nil {
			return err
		}
		defer embedded.Stop()
		target = broker.Target{URL: embedded.URL(), Name: target.Name}
		if o.Config, err = withOwnKey(o.Config); err != nil {
			return err
		}
	}
	nc, err := connect(ctx, target, o.Log)
	if err != nil {
		return err
	}
	defer nc.Close()

	s := &running{
		config: o.Config, embedded: o.Config.NATS.URL == "", reload: o.Reload, log: o.Log,
		nc: nc, web: web, metrics: worker.NewMetrics(registry),
	}
	w, err := s.newWorker(o.Config)
	if err != nil {
		return err
	}
	if o.Started != nil {
		o.Started(Addresses{NATS: target.URL, HTTP: listener.Addr().String()})
	}
	return s.serve(ctx, w)
}

// running is a service that works.
type running struct {
	// config is what the worker has, and before what the last one had.
	config, before *config.Config
	// embedded tells that the server is this process's own.
	embedded bool
	reload   *Reload
	log      zerolog.Logger
	nc       *nats.Conn
	web      *web
	metrics  *worker.Metrics
}

// Listen listens on a TCP address. Its error says which address can't be had,
// and ends with the remedy.
func Listen(ctx context.Context, addr, remedy string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) {
			err = op.Err // without the address, which is said already
		}
		return nil, fmt.Errorf("can't listen on %s: %w; %s", addr, err, remedy)
	}
	return l, nil
}

func (s *running) newWorker(c *config.Config) (*worker.Worker, error) {
	js, err := jetstream.New(s.nc)
	if err != nil {
		return nil, fmt.Errorf("JetStream: %w", err)
	}
	return worker.New(worker.Options{
		Conn:    s.nc,
		Config:  c,
		Metrics: s.metrics,
		Log:     s.log,
		Ensure: func(ctx context.Context) error {
			return broker.Ensure(ctx, js, c.NATS.StreamOptions())
		},
	})
}

// connect tries until NATS is there, and says once that it is not.
func connect(ctx context.Context, t broker.Target, log zerolog.Logger) (*nats.Conn, error) {
	var nc *nats.Conn
	err := insist(ctx, log, "waiting for NATS", func() (err error) {
		nc, err = broker.Connect(t, log)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("stopped before NATS was there: %w", err)
	}
	return nc, nil
}

// work runs the worker; one that could not start is started again, unless
// waiting can't help.
func work(ctx context.Context, w *worker.Worker, log zerolog.Logger) error {
	err := insist(ctx, log, "waiting for JetStream", func() error {
		err := w.Run(ctx)
		if errors.Is(err, broker.ErrTooOld) {
			return backoff.Permanent(err)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // it was told to stop
	}
	return err
}

// insist repeats f with backoff until it succeeds or ctx ends, and says once
// why it has to.
func insist(ctx context.Context, log zerolog.Logger, what string, f func() error) error {
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	told := false
	return backoff.RetryNotify(f, backoff.WithContext(again, ctx), func(err error, _ time.Duration) {
		if !told {
			told = true
			log.Warn().Err(err).Msg(what)
		}
	})
}
