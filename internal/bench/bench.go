// Package bench measures a worker: how many messages a second it settles, how much each
// costs, and how long each takes to the provider. The worker and NATS are real; the provider
// answers in this process after a given time.
package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/worker"
)

// Options say what to measure.
type Options struct {
	// NATS is the server. It must hold no codeferry streams: Run makes them, and deletes
	// them at the end. Default: with an empty URL, an embedded server with its own
	// store, which syncs each write.
	NATS broker.Target
	// Replicas of the streams. Default: 1.
	Replicas int
	// Channel is the channel of the messages. Default: sms.
	Channel messages.Channel
	// Messages is the number of messages. Default: 20000.
	Messages int
	// Concurrency is the worker's. Default: 64.
	Concurrency int
	// Claims is the worker's. Default: auto.
	Claims config.Claims
	// Rate is the number of messages a second that are published while the worker runs.
	// Default: 0, which publishes all before the worker starts.
	Rate int
	// Latency is how long the provider takes. Default: 0.
	Latency time.Duration
	// Faults is the share of requests that the provider answers with 503, which leaves the
	// message in doubt. Default: 0.
	Faults float64
	// Seed decides which requests these are.
	Seed uint64
	// Sealed encrypts the messages.
	Sealed bool
	// Tracer makes the worker's spans. Default: nil, nothing is traced.
	Tracer worker.Tracer
	// Progress is called with the number of settled messages and the total. Default: no
	// call.
	Progress func(n, total int)
}

func (o Options) withDefaults() Options {
	if o.Channel == "" {
		o.Channel = messages.SMS
	}
	if o.Messages == 0 {
		o.Messages = 20_000
	}
	if o.Concurrency == 0 {
		o.Concurrency = 64
	}
	if o.Claims == "" {
		o.Claims = config.ClaimsAuto
	}
	if o.Replicas == 0 {
		o.Replicas = 1
	}
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	return o
}

// ErrInUse says that the server already has codeferry streams.
var ErrInUse = errors.New("this NATS has codeferry's streams already; a measurement would send the messages that wait there, and delete the streams. Use a separate server, or leave --nats out")

// Run measures. It blocks until every message is settled, or ctx ends.
func Run(ctx context.Context, o Options) (report *Report, err error) {
	o = o.withDefaults()
	target := o.NATS
	if target.URL == "" {
		dir, err := os.MkdirTemp("", "codeferry-bench-")
		if err != nil {
			return nil, fmt.Errorf("make a temporary directory: %w", err)
		}
		defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
		server, err := broker.Start(broker.Options{Dir: dir, Listen: "127.0.0.1:0", Log: zerolog.Nop()})
		if err != nil {
			return nil, err
		}
		defer server.Stop()
		target = broker.Target{URL: server.URL(), Name: target.Name}
	}
	nc, err := broker.Connect(ctx, target, zerolog.Nop())
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	js, err := broker.JetStream(nc, target)
	if err != nil {
		return nil, err
	}
	if _, err := js.Stream(ctx, wire.StreamName); !errors.Is(err, jetstream.ErrStreamNotFound) {
		if err == nil {
			err = ErrInUse
		}
		return nil, err
	}
	streams := wire.StreamOptions{Replicas: o.Replicas}
	if err := broker.Provision(ctx, js, streams); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, deleteStreams(context.WithoutCancel(ctx), js)) }()

	p := newProvider(o)
	defer p.close()
	r := &run{o: o, nc: nc, js: js, provider: p, streams: streams}
	if err := r.prepare(); err != nil {
		return nil, err
	}
	return r.measure(ctx)
}

// deleteStreams deletes the streams that were made for the run.
func deleteStreams(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var failed error
	for _, name := range []string{wire.StreamName, wire.OutcomesName, wire.DeadName, "KV_" + wire.LedgerName} {
		failed = errors.Join(failed, js.DeleteStream(ctx, name))
	}
	return failed
}

// run is a measurement in progress.
type run struct {
	o        Options
	nc       *nats.Conn
	js       jetstream.JetStream
	provider *provider
	streams  wire.StreamOptions

	publisher *messages.Publisher
	worker    *worker.Worker
}

// prepare makes the worker and the publisher.
func (r *run) prepare() error {
	key, err := wire.GenerateKey()
	if err != nil {
		return err
	}
	cfg := r.config()
	cfg.Sealing.Keys = []wire.PrivateKey{key}
	po := messages.PublisherOptions{Timeout: time.Minute}
	if r.o.Sealed {
		po.Sealer = messages.NewSealer(key.Public())
	}
	if r.publisher, err = messages.NewPublisher(r.nc, po); err != nil {
		return err
	}
	r.worker, err = worker.New(worker.Options{
		Conn: r.nc, JetStream: r.js, Config: cfg, Tracer: r.o.Tracer, Log: zerolog.Nop(),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, r.streams) },
	})
	return err
}

// config has one connector for each channel; both call the provider.
func (r *run) config() *config.Config {
	account := aliyun.Account{AccessKeyID: sender.NewSecret("bench"), AccessKeySecret: sender.NewSecret("bench"), Endpoint: r.provider.url}
	mail := &aliyundm.Config{Account: account, AccountName: "no-reply@mail.example.com"}
	sms := &aliyunsms.Config{Account: account, SignName: "Example"}
	for _, t := range sender.RequiredTypes() {
		mail.Templates = append(mail.Templates, sender.MailTemplate{UsageType: t, Subject: "Your code", Content: "<p>Your code is <b>{{code}}</b>. It is good for 10 minutes.</p>"})
		sms.Templates = append(sms.Templates, aliyunsms.Template{UsageType: t, TemplateCode: aliyunsms.TemplateCode{China: "SMS_123456789", Overseas: "SMS_123456789"}})
	}
	cfg := config.Default()
	cfg.Apps = map[string]config.App{messages.DefaultApp: {Email: []config.Step{{Connector: "mail"}}, SMS: []config.Step{{Connector: "sms"}}, CodeTTL: time.Hour}}
	cfg.Connectors = map[string]config.Connector{
		"mail": {Type: "aliyun-dm", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: mail},
		"sms":  {Type: "aliyun-sms", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: sms},
	}
	cfg.Worker.Concurrency, cfg.Worker.Claims = r.o.Concurrency, r.o.Claims
	cfg.Worker.Patience = time.Hour // a backlog is sent in order
	return cfg
}

// measure publishes, runs the worker until everything is settled, and counts.
func (r *run) measure(ctx context.Context) (*Report, error) {
	working, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	start := func() { go func() { ended <- r.worker.Run(working) }() }
	var halt sync.Once
	end := func() (err error) {
		halt.Do(func() {
			stop()
			err = <-ended
		})
		return err
	}
	defer stop()

	if r.o.Rate == 0 {
		if err := r.publish(ctx); err != nil {
			return nil, err
		}
	}
	runtime.GC()
	before, began := take(), time.Now()
	start()
	defer func() { _ = end() }() // its error was returned before, if it mattered
	if r.o.Rate > 0 {
		if err := r.publish(ctx); err != nil {
			return nil, err
		}
	}
	if err := r.settled(ctx); err != nil {
		return nil, err
	}
	took, after := time.Since(began), take()
	if err := end(); err != nil {
		return nil, err
	}
	return r.report(ctx, took, after.since(before))
}

// publish publishes all messages, at the rate if one is set.
func (r *run) publish(ctx context.Context) error {
	var tick <-chan time.Time
	if r.o.Rate > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(r.o.Rate))
		defer ticker.Stop()
		tick = ticker.C
	}
	waiting := make([]messages.Pending, 0, r.o.Messages)
	for i := range r.o.Messages {
		if tick != nil {
			select {
			case <-tick:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		to := fmt.Sprintf("1%010d", i)
		if r.o.Channel == messages.Email {
			to = fmt.Sprintf("u%d@example.com", i)
		}
		r.provider.published(i)
		w, err := r.publisher.PublishAsync(
			messages.Subject{Channel: r.o.Channel, Key: fmt.Sprintf("user-%d", i)},
			&messages.SendCode{To: to, Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
		if err != nil {
			return err
		}
		waiting = append(waiting, w)
	}
	for _, w := range waiting {
		if _, err := w.Wait(ctx); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until the stream is empty. While many messages are left it checks rarely,
// because each check has a cost too.
func (r *run) settled(ctx context.Context) error {
	const seldom, often = 100 * time.Millisecond, 10 * time.Millisecond
	for {
		s, err := r.js.Stream(ctx, wire.StreamName)
		if err != nil {
			return fmt.Errorf("look at the stream: %w", err)
		}
		left := int(s.CachedInfo().State.Msgs) //nolint:gosec // at most as many as were published
		r.o.Progress(r.o.Messages-left, r.o.Messages)
		if left == 0 {
			return nil
		}
		wait := seldom
		if left < r.o.Messages/10 {
			wait = often
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		}
	}
}

func (r *run) report(ctx context.Context, took time.Duration, used usage) (*Report, error) {
	dead, err := r.js.Stream(ctx, wire.DeadName)
	if err != nil {
		return nil, fmt.Errorf("look at the dead letters: %w", err)
	}
	n := float64(r.o.Messages)
	rep := &Report{
		Messages: r.o.Messages, Dead: int(dead.CachedInfo().State.Msgs), //nolint:gosec // likewise
		Seconds: took.Seconds(), PerSecond: n / took.Seconds(),
		CPUMicros: used.cpu.Seconds() / n * 1e6, Allocs: float64(used.allocs) / n, Bytes: float64(used.bytes) / n,
		Channel: r.o.Channel, Concurrency: r.o.Concurrency, LatencyMS: milliseconds(r.o.Latency), Rate: r.o.Rate, Faults: r.o.Faults, Sealed: r.o.Sealed, Traced: r.o.Tracer != nil, Seed: r.o.Seed,
	}
	r.provider.fill(rep)
	return rep, nil
}
