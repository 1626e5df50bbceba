package scale

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// fleet is a cluster with its workers, a provider with several accounts, and a publisher.
type fleet struct {
	t *testing.T
	*cluster
	*provider
	cfg       *config.Config
	apps      int
	publisher *messages.Publisher
	// next is the number of the next message.
	next    int
	workers []*running
}

// running is a worker with its own connection.
type running struct {
	worker *worker.Worker
	conn   *nats.Conn
	cancel context.CancelFunc
	ended  chan error
}

// settings are lines of the configuration.
type settings struct {
	apps, accounts int
	// worker and connector are more fields of worker and of each connector, in YAML's flow
	// style, with their commas.
	worker, connector string
	// alone leaves each app one connector. Otherwise it has another account as the second.
	alone bool
}

// text is the configuration: each app sends through one account, and then through the next.
func (s settings) text(p *provider) string {
	var b strings.Builder
	fmt.Fprintf(&b, "nats: {url: 'nats://127.0.0.1:4222', replicas: %d}\nworker: {%s}\nconnectors:\n", nodes, strings.TrimSuffix(s.worker, ", "))
	for i := range s.accounts {
		fmt.Fprintf(&b, "  account-%d: {type: aliyun-sms, endpoint: '%s', accessKeyId: key-%d, accessKeySecret: secret, signName: Example, %stemplates: [", i, p.accounts[i].url, i, s.connector)
		for _, usage := range []string{"SignIn", "Register", "ForgotPassword", "Generic"} {
			fmt.Fprintf(&b, "{usageType: %s, templateCode: SMS_123456789}, ", usage)
		}
		b.WriteString("]}\n")
	}
	b.WriteString("apps:\n")
	for i := range s.apps {
		second := fmt.Sprintf(", account-%d", (i+1)%s.accounts)
		if s.alone {
			second = ""
		}
		fmt.Fprintf(&b, "  app-%d: {sms: [account-%d%s]}\n", i, i%s.accounts, second)
	}
	return b.String()
}

// newFleet has no workers yet.
func newFleet(t *testing.T, c *cluster, s settings) *fleet {
	t.Helper()
	p := startProvider(t, s.accounts)
	began := time.Now()
	text := s.text(p)
	cfg, err := config.Parse("codeferry.yaml", []byte(text), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("a configuration of %d apps and %d connectors has %d bytes, and is read in %v", s.apps, s.accounts, len(text), time.Since(began).Round(time.Millisecond))
	publisher, err := messages.NewPublisher(c.nc, messages.PublisherOptions{Timeout: check.Patience})
	if err != nil {
		t.Fatal(err)
	}
	f := &fleet{t: t, cluster: c, provider: p, cfg: cfg, apps: s.apps, publisher: publisher}
	t.Cleanup(f.stop)
	return f
}

// grow starts workers until there are n, and waits until all of them are ready.
func (f *fleet) grow(n int) {
	f.t.Helper()
	for i := len(f.workers); i < n; i++ {
		nc := f.connect(f.t, i%nodes)
		js, err := jetstream.New(nc)
		if err != nil {
			f.t.Fatal(err)
		}
		w, err := worker.New(worker.Options{
			Conn: nc, JetStream: js, Config: f.cfg, Log: zerolog.Nop(),
			Metrics: worker.NewMetrics(prometheus.NewRegistry()),
			Ensure:  broker.NewKeeper(js, streams, nil, zerolog.Nop()).Ensure,
		})
		if err != nil {
			f.t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.WithoutCancel(f.t.Context()))
		r := &running{w, nc, cancel, make(chan error, 1)}
		go func() { r.ended <- w.Run(ctx) }()
		f.workers = append(f.workers, r)
	}
	for i, w := range f.workers {
		check.Eventually(f.t, fmt.Sprintf("worker %d is ready", i), func() bool { return w.worker.Ready() == nil })
	}
}

// stop stops the workers, and waits for their end.
func (f *fleet) stop() {
	var stopping sync.WaitGroup
	for _, w := range f.workers {
		stopping.Go(func() {
			w.cancel()
			if err := <-w.ended; err != nil {
				f.t.Errorf("a worker ended with %v", err)
			}
			w.conn.Close()
		})
	}
	stopping.Wait()
	f.workers = nil
}

// publish publishes n messages of all apps at a rate, one for each key, and returns the number
// of the first one and how long the stream took to store each. A rate of 0 publishes them as
// fast as the stream takes them.
func (f *fleet) publish(n, perSecond int) (first int, took []time.Duration) {
	f.t.Helper()
	first = f.next
	f.publishAs(n, perSecond, func(i int) string { return fmt.Sprintf("user-%d", i) }, &took)
	return first, took
}

func (f *fleet) publishAs(n, perSecond int, key func(i int) string, took *[]time.Duration) {
	f.t.Helper()
	var tick <-chan time.Time
	if perSecond > 0 {
		ticker := time.NewTicker(time.Second / time.Duration(perSecond))
		defer ticker.Stop()
		tick = ticker.C
	}
	var waiting sync.WaitGroup
	var mu sync.Mutex
	room := make(chan struct{}, 512)
	for range n {
		if tick != nil {
			<-tick
		}
		i := f.next
		f.next++
		began := time.Now()
		f.mu.Lock()
		f.published[i] = began
		f.mu.Unlock()
		pending, err := f.publisher.PublishAsync(
			messages.Subject{App: fmt.Sprintf("app-%d", i%f.apps), Channel: messages.SMS, Key: key(i)},
			&messages.SendCode{To: fmt.Sprintf("1%010d", i), Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
		if err != nil {
			f.t.Fatal(err)
		}
		room <- struct{}{}
		waiting.Go(func() {
			defer func() { <-room }()
			if _, err := pending.Wait(f.t.Context()); err != nil {
				f.t.Errorf("publish: %v", err)
			}
			mu.Lock()
			defer mu.Unlock()
			*took = append(*took, time.Since(began))
		})
	}
	waiting.Wait()
}

// drained waits until the stream is empty.
func (f *fleet) drained() {
	f.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(drainWithin)
	for f.stored() > 0 {
		select {
		case <-tick.C:
		case <-limit:
			f.t.Fatalf("after %v there are still %d codes in the stream", drainWithin, f.stored())
		}
	}
}

// drainWithin only ends a test that hangs: a code that a throttled account refuses waits for
// minutes in all.
const drainWithin = 5 * time.Minute

// dead is how many dead letters there are.
func (f *fleet) dead() uint64 {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), wire.DeadName)
	if err != nil {
		f.t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// stored is how many messages the stream holds.
func (f *fleet) stored() uint64 {
	f.t.Helper()
	s, err := f.js.Stream(f.t.Context(), wire.StreamName)
	if err != nil {
		return 1 // a cluster can be busy
	}
	return s.CachedInfo().State.Msgs
}

// delays returns how long each message from first on took from its publish to the provider.
func (f *fleet) delays(first int) (took []time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i, at := range f.sent {
		if i >= first {
			took = append(took, at.Sub(f.published[i]))
		}
	}
	return took
}

// kept checks that each of the messages from first on was sent once.
func (f *fleet) kept(first int) {
	f.t.Helper()
	n, _ := f.count(first)
	check.Equal(f.t, "messages sent", n, f.next-first)
	f.mu.Lock()
	defer f.mu.Unlock()
	check.Equal(f.t, "messages sent twice", f.twice, 0)
}
