// Package service runs codeferry: it starts and stops NATS (embedded or not), the worker, and
// the HTTP side with metrics and health, in order.
package service

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/telemetry"
	"github.com/codeferry/codeferry/worker"
)

// Options configure Run.
type Options struct {
	Config *config.Config
	Log    zerolog.Logger
	// Build is what was built. Default: no version.
	Build Build
	// Listening is called once with the host and port of metrics and health, when they are
	// served and the embedded server runs, if it is in use. NATS may still be away. Default: no
	// call.
	Listening func(addr string)
	// Started is called once when everything runs. Default: no call.
	Started func(Addresses)
	// Reload is the source of new configurations. Default: none.
	Reload *Reload
	// Now is the clock by which the worker's codes expire. Default: time.Now.
	Now func() time.Time
	// AckWait is the AckWait of consumers that the service makes. Default: wire.AckWait.
	AckWait time.Duration
}

// Addresses are the addresses of a running service.
type Addresses struct {
	// NATS is the server's URL.
	NATS string
	// HTTP is the host and port of metrics and health.
	HTTP string
}

// Run runs until ctx ends, and then stops in order: the worker finishes the messages that it
// has begun, then the connection, the embedded server and the HTTP side end. Its error says
// why it could not start. A NATS server that is down is not an error: Run tries again until it
// is up, or until ctx ends, which is no error either.
func Run(ctx context.Context, o Options) error {
	registry := prometheus.NewRegistry()
	o.Build.register(registry)
	web, err := newWeb(o.Config, registry, o.Log)
	if err != nil {
		return err
	}
	traces, err := telemetry.Start(ctx, telemetry.Options{Version: o.Build.Version, Metrics: telemetry.NewMetrics(registry), Log: o.Log})
	if err != nil {
		return err
	}
	defer traces.Stop()
	listener, err := Listen(ctx, o.Config.Listen, "choose another with --listen or listen")
	if err != nil {
		return err
	}
	defer web.stop()
	web.start(listener)

	s := &running{
		config: o.Config, embedded: o.Config.NATS.URL == "", reload: o.Reload, log: o.Log, now: o.Now, ackWait: o.AckWait,
		target: broker.TargetOf(o.Config.NATS, connectionName), web: web, metrics: worker.NewMetrics(registry), tracer: traces.Tracer(),
		permissions: &permissions{conditions: web.conditions, log: o.Log}, connected: natsConnected(registry),
	}
	if s.embedded {
		embedded, err := broker.Start(broker.Options{Dir: o.Config.DataDir, Listen: o.Config.NATS.Listen, Key: o.Config.EncryptionKey, Log: o.Log})
		if errors.Is(err, broker.ErrInUse) {
			return fmt.Errorf("%w; choose another with --nats-listen or nats.listen, or name a server with nats.url", err)
		}
		if err != nil {
			return err
		}
		defer embedded.Stop()
		s.target = broker.Target{URL: embedded.URL(), Name: connectionName}
		if s.config, err = withOwnKey(o.Config); err != nil {
			return err
		}
	}
	if text := SealingWarning(s.config); text != "" {
		s.log.Warn().Msg(text)
	}
	if o.Listening != nil {
		o.Listening(listener.Addr().String())
	}
	if err := s.connect(ctx); err != nil {
		if ctx.Err() != nil {
			s.log.Info().Msg("stopped before NATS was there; nothing was in flight")
			return nil
		}
		return err
	}
	defer s.nc.Close()
	w, err := s.newWorker(s.config)
	if err != nil {
		return err
	}
	if o.Started != nil {
		o.Started(Addresses{NATS: s.target.URL, HTTP: listener.Addr().String()})
	}
	return s.watched(ctx, w)
}

// connectionName is the name that NATS's operators see.
const connectionName = "codeferry worker"

// running is a running service.
type running struct {
	// config is the worker's configuration, and before is that of the last worker.
	config, before *config.Config
	// embedded says that the server runs in this process.
	embedded bool
	reload   *Reload
	log      zerolog.Logger
	target   broker.Target
	nc       *nats.Conn
	pulse    *pulse
	web      *web
	// permissions records what the server does not permit.
	permissions *permissions
	// denials end requests that the server does not permit.
	denials broker.Denials
	// refusal is why a server refuses the lost connection; nil if none does.
	refusal atomic.Pointer[error]
	metrics *worker.Metrics
	tracer  worker.Tracer
	now     func() time.Time
	ackWait time.Duration
	// connected is codeferry_nats_connected.
	connected prometheus.Gauge
	// current is the worker that runs. The end of the service asks for it from a goroutine of
	// its own, in which config must not be read: a reload can be on its way.
	current atomic.Pointer[current]
}

// current is a worker, and how long it has to finish.
type current struct {
	worker *worker.Worker
	grace  time.Duration
}

// watched serves as long as the connection can reconnect.
func (s *running) watched(asked context.Context, w *worker.Worker) error {
	ctx, stop := context.WithCancelCause(asked)
	s.pulse = &pulse{nc: s.nc, target: s.target, conditions: s.web.conditions, permissions: s.permissions, connected: s.connected, log: s.log, refusal: s.refused}
	ended := make(chan error, 1)
	go func() {
		err := s.pulse.run(ctx)
		stop(err)
		ended <- err
	}()
	said := make(chan struct{})
	unsaid := context.AfterFunc(asked, func() {
		defer close(said)
		s.stopping()
	})
	err := s.serve(ctx, w)
	if !unsaid() {
		<-said
	}
	stop(nil)
	return errors.Join(<-ended, err)
}

// refused returns why a server refuses the lost connection; nil if none does.
func (s *running) refused() error {
	if err := s.refusal.Load(); err != nil {
		return *err
	}
	return nil
}

// stopping is called once ctx has ended. It logs what the service still waits for, and makes
// /readyz answer 503.
func (s *running) stopping() {
	s.web.conditions.Block(conditionStopping, "what has begun is finished, the rest is put back for other workers")
	line := s.log.Info()
	if c := s.current.Load(); c != nil {
		line = line.Int("inFlight", c.worker.InFlight()).Str("grace", c.grace.String())
	}
	line.Msg("stopping: what has begun is finished, the rest is put back; a second Ctrl-C or SIGTERM ends it at once")
}

// Listen listens on a TCP address. Its error names the address, and ends with the remedy.
func Listen(ctx context.Context, addr, remedy string) (net.Listener, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", addr)
	if err != nil {
		if op, ok := errors.AsType[*net.OpError](err); ok {
			err = op.Err // without the address, which the text below has
		}
		return nil, fmt.Errorf("can't listen on %s: %w; %s", addr, err, remedy)
	}
	return l, nil
}

func (s *running) newWorker(c *config.Config) (*worker.Worker, error) {
	js, err := broker.JetStream(s.nc, s.target)
	if err != nil {
		return nil, err
	}
	streams := c.NATS.StreamOptions()
	streams.AckWait = s.ackWait
	keeper := broker.NewKeeper(js, streams, &s.denials, s.log)
	return worker.New(worker.Options{
		Conn:      s.nc,
		JetStream: js,
		Config:    c,
		Metrics:   s.metrics,
		Tracer:    s.tracer,
		Log:       s.log,
		Now:       s.now,
		Ensure:    broker.LeaveSilent(s.nc, s.log, keeper.Ensure),
	})
}

// connect tries until NATS is up, each time with the current configuration, and logs what it
// waits for.
func (s *running) connect(ctx context.Context) error {
	waiting := insistence{log: s.log, what: "waiting for NATS", over: "NATS is there", longest: 5 * time.Second, now: time.Now}
	err := waiting.insist(ctx, func() (err error) {
		s.reread()
		target := s.target
		target.Denied = func(err error) {
			s.denials.Heard(err)
			s.permissions.denied(err)
			s.outcomeDenied(err)
		}
		target.Refused = func(err error) { s.refusal.Store(&err) }
		if s.nc, err = broker.Connect(ctx, target, s.log); err != nil {
			s.web.conditions.Block(conditionNATS, err.Error())
			return err
		}
		s.web.conditions.Clear(conditionNATS)
		s.connected.Set(1)
		return nil
	})
	if err != nil {
		return fmt.Errorf("wait for NATS: %w", err)
	}
	return nil
}

// work runs the worker. If it could not start, work starts it again, unless waiting can't help.
func work(ctx context.Context, w *worker.Worker, log zerolog.Logger) error {
	// A person who has created the streams should not wait for the worker.
	// The worker itself logs the end of the wait.
	err := insistence{log: log, what: "waiting for JetStream", longest: time.Second, now: time.Now}.insist(ctx, func() error {
		err := w.Run(ctx)
		if errors.Is(err, broker.ErrTooOld) {
			return backoff.Permanent(err)
		}
		return err
	})
	if ctx.Err() != nil {
		return nil //nolint:nilerr // the service is stopping
	}
	return err
}

// insistEvery is the interval between log lines about a continuing wait.
const insistEvery = time.Minute

// insistence repeats a function until it succeeds, and logs why it waits.
type insistence struct {
	log zerolog.Logger
	// what is the text of a line about the wait, over that of the line about its end; without
	// over there is no such line.
	what, over string
	// longest is the longest wait between two calls, give or take a half.
	longest time.Duration
	now     func() time.Time
}

// insist repeats f with backoff until it succeeds or ctx ends. It logs each reason at once, and
// then once a minute while it lasts; and the end of the wait, with how long it lasted.
func (i insistence) insist(ctx context.Context, f func() error) error {
	delays := backoff.NewExponentialBackOff(backoff.WithInitialInterval(250*time.Millisecond),
		backoff.WithMaxInterval(i.longest), backoff.WithMaxElapsedTime(0))
	var began time.Time
	logged := make(map[string]time.Time) // the reasons of the last minute
	err := backoff.RetryNotify(f, backoff.WithContext(delays, ctx), func(err error, _ time.Duration) {
		now := i.now()
		if began.IsZero() {
			began = now
		}
		maps.DeleteFunc(logged, func(_ string, at time.Time) bool { return now.Sub(at) >= insistEvery })
		reason := withoutDigits(err.Error())
		if _, again := logged[reason]; !again {
			logged[reason] = now
			i.log.Warn().Err(err).Msg(i.what)
		}
	})
	if err == nil && !began.IsZero() && i.over != "" {
		i.log.Info().Stringer("lasted", i.now().Sub(began).Round(time.Millisecond)).Msg(i.over)
	}
	return err
}

// withoutDigits removes what differs in each error of the same kind, such as the connection's own
// port.
func withoutDigits(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}
