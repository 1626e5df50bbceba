package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
)

// ackWait is how long the server waits for a worker that was killed; the real
// one is longer than a short plan.
const ackWait = 3 * time.Second

// sent is a message that was published.
type sent struct {
	id, subject string
	channel     messages.Channel
	expires     time.Time
	sequence    uint64
	// oracle is the name under which the provider knows it: the id of an SMS, the
	// address of a mail.
	oracle string
}

// run is a plan on its way.
type run struct {
	plan     Plan
	dir      string
	log      io.Writer
	provider *provider
	web      *httptest.Server
	nats     *cluster
	workers  []*process
	nc       *nats.Conn
	js       jetstream.JetStream
	acked    []sent
	// tune changes the workers' configuration.
	tune *strings.Replacer
	// refused are publishes that were not acknowledged.
	refused []error
}

// Run carries out a plan in an empty directory, and reports what came of it. What
// the processes say goes to log. It blocks until the last message is settled and
// every process has ended.
func Run(ctx context.Context, p Plan, dir string, log io.Writer) (*Report, error) {
	if p.Broker == Embedded {
		p.Workers = 1
	}
	r := newRun(p, dir, log)
	defer r.end()
	if err := r.start(ctx); err != nil {
		return nil, err
	}
	if err := r.work(ctx); err != nil {
		return nil, err
	}
	return r.report(ctx)
}

func newRun(p Plan, dir string, log io.Writer) *run {
	r := &run{
		plan: p, dir: dir, log: &lockedWriter{w: log},
		provider: &provider{
			box:   sandbox.New(sandbox.Options{MaxInbox: 4*p.Messages + 1000}),
			share: p.ProviderFaults, random: p.random(2), injected: make(map[string]int),
		},
	}
	r.web = httptest.NewServer(r.provider)
	return r
}

// end kills what is still running.
func (r *run) end() {
	defer r.web.Close()
	defer r.provider.box.Close()
	for _, w := range r.workers {
		w.stop()
	}
	if r.nc != nil {
		r.nc.Close()
	}
	if r.nats != nil {
		r.nats.kill()
	}
	http.DefaultClient.CloseIdleConnections()
}

func (r *run) start(ctx context.Context) (err error) {
	if r.nats, err = newCluster(r.plan.Broker, r.dir, r.log); err != nil {
		return err
	}
	file, err := r.writeConfig()
	if err != nil {
		return err
	}
	if r.plan.Broker == Embedded {
		if err := r.startWorkers(file); err != nil {
			return err
		}
	}
	if err := within(ctx, time.Minute, "reach NATS", func(context.Context) (err error) {
		r.nc, err = messages.Connect(r.nats.url, nats.ReconnectWait(50*time.Millisecond), nats.CustomReconnectDelay(func(int) time.Duration { return 50 * time.Millisecond }))
		return err
	}); err != nil {
		return err
	}
	if r.js, err = jetstream.New(r.nc); err != nil {
		return err
	}
	o := messages.StreamOptions{Replicas: r.replicas()}
	if err := within(ctx, time.Minute, "provision", func(ctx context.Context) error {
		if err := broker.Ensure(ctx, r.js, o); err != nil {
			return err
		}
		for _, c := range messages.Channels() {
			cfg := messages.Consumer(c, o)
			cfg.AckWait = ackWait
			if _, err := r.js.UpdateConsumer(ctx, messages.StreamName, cfg); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		return err
	}
	if r.plan.Broker == Embedded {
		// The worker looks at the consumer when it begins to pull.
		r.workers[0].kill()
		return r.workers[0].start()
	}
	return r.startWorkers(file)
}

func (r *run) replicas() int {
	if r.plan.Broker == R3 {
		return 3
	}
	return 1
}

func (r *run) startWorkers(file string) error {
	for range r.plan.Workers {
		w := &process{role: "worker", args: []string{file}, log: r.log}
		if err := w.start(); err != nil {
			return err
		}
		r.workers = append(r.workers, w)
	}
	return nil
}

// writeConfig writes the workers' configuration: the real one, with time-outs
// that fit a plan of some seconds.
func (r *run) writeConfig() (string, error) {
	where := fmt.Sprintf("nats: {url: %q, replicas: %d}", r.nats.url, r.replicas())
	if r.plan.Broker == Embedded {
		where = fmt.Sprintf("nats: {listen: %q}\ndataDir: %s", strings.TrimPrefix(r.nats.url, "nats://"), filepath.Join(r.dir, "data"))
	}
	text := fmt.Sprintf(`
%s
listen: 127.0.0.1:0
apps: {default: {email: [mail], sms: [sms]}}
connectors:
  mail:
    type: aliyun-dm
    endpoint: %[2]s
    timeout: 1s
    accessKeyId: testid
    accessKeySecret: testsecret
    accountName: a@example.com
    templates: &t
      - {usageType: Register, subject: s, content: "{{code}}"}
      - {usageType: SignIn, subject: s, content: "{{code}}"}
      - {usageType: ForgotPassword, subject: s, content: "{{code}}"}
      - {usageType: Generic, subject: s, content: "{{code}}"}
  sms:
    type: aliyun-sms
    endpoint: %[2]s
    timeout: 1s
    askGrace: 500ms
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: s
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_1}
      - {usageType: ForgotPassword, templateCode: SMS_1}
      - {usageType: Generic, templateCode: SMS_1}
worker:
  concurrency: %[3]d
  accountPause: 500ms
  healthPause: 500ms
  retry: {initialInterval: 100ms, maxInterval: 2s, maxAttempts: 30}
`, where, r.web.URL, r.plan.Slots)
	if r.tune != nil {
		text = r.tune.Replace(text)
	}
	file := filepath.Join(r.dir, "codeferry.yaml")
	return file, os.WriteFile(file, []byte(text), 0o600)
}

// work publishes, kills, and waits until everything is settled.
func (r *run) work(ctx context.Context) error {
	var killing sync.WaitGroup
	failed := make(chan error, 1)
	stop := make(chan struct{})
	killing.Go(func() {
		if err := r.killAll(stop); err != nil {
			failed <- err
		}
	})
	err := r.publishAll(ctx)
	if err != nil {
		close(stop)
	}
	killing.Wait()
	select {
	case killErr := <-failed:
		err = errors.Join(err, killErr)
	default:
	}
	if err != nil {
		return err
	}
	r.provider.calm()
	return within(ctx, r.plan.Settle, "settle every message", func(ctx context.Context) error {
		s, err := r.js.Stream(ctx, messages.StreamName)
		if err != nil {
			return err
		}
		return unsettled(ctx, s)
	})
}

// unsettled says what the consumers have not settled. What a server that was
// killed forgot to take out of the stream is settled: nobody is handed it again.
func unsettled(ctx context.Context, s jetstream.Stream) error {
	for _, c := range messages.Channels() {
		consumer, err := s.Consumer(ctx, string(c))
		if err != nil {
			return err
		}
		if i := consumer.CachedInfo(); i.NumPending > 0 || i.NumAckPending > 0 {
			return fmt.Errorf("%s: %d messages wait, %d are with workers or wait for their retry", c, i.NumPending, i.NumAckPending)
		}
	}
	return nil
}

// killAll kills by the plan, and starts again what it killed.
func (r *run) killAll(stop <-chan struct{}) error {
	began := time.Now()
	pause := func(d time.Duration) bool {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-timer.C:
			return true
		case <-stop:
			return false
		}
	}
	for _, k := range r.plan.kills() {
		if !pause(time.Until(began.Add(k.at))) {
			return nil
		}
		victims := r.workers
		if k.nats && r.plan.Broker != Embedded {
			victims = r.nats.servers
		}
		victim := victims[k.which%len(victims)]
		victim.kill()
		ok := pause(k.down)
		if err := victim.start(); err != nil || !ok {
			return err
		}
	}
	return nil
}

// publishAll publishes at the plan's rate. What was published and not
// acknowledged is nobody's promise.
func (r *run) publishAll(ctx context.Context) error {
	publisher, err := messages.NewPublisher(r.nc, messages.PublisherOptions{AckWait: time.Second, Timeout: 30 * time.Second})
	if err != nil {
		return err
	}
	random := r.plan.random(3)
	var mu sync.Mutex
	var wg sync.WaitGroup
	tick := time.NewTicker(time.Second / time.Duration(r.plan.Rate))
	defer tick.Stop()
	for i := range r.plan.Messages {
		m := &messages.SendCode{ID: fmt.Sprintf("m-%06d", i), Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}}
		s := sent{id: m.ID, channel: messages.SMS, oracle: m.ID}
		m.To = fmt.Sprintf("13%09d", i)
		if i%2 == 1 {
			s.channel, m.To = messages.Email, fmt.Sprintf("u%06d@example.com", i)
			s.oracle = m.To
		}
		key := fmt.Sprintf("k%d", i)
		if random.IntN(10) == 0 { // a newer code for the same user
			key = fmt.Sprintf("user%d", random.IntN(20))
		}
		if random.IntN(10) == 0 { // one that is not good for long
			m.ExpiresAt = time.Now().Add(500*time.Millisecond + time.Duration(random.Int64N(int64(8*time.Second)))).UTC()
			s.expires = m.ExpiresAt
		}
		subject := messages.Subject{App: "default", Channel: s.channel, Type: m.Type, Key: key}
		s.subject = subject.String()
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
		wg.Go(func() {
			ack, err := publisher.Publish(ctx, subject, m)
			s.sequence = ack.Sequence
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.refused = append(r.refused, fmt.Errorf("%s: %w", s.id, err))
				return
			}
			r.acked = append(r.acked, s)
		})
	}
	wg.Wait()
	return nil
}

// lockedWriter lets several processes write lines.
type lockedWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (l *lockedWriter) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(b)
}
