package endtoend_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that has to happen.
const patience = 30 * time.Second

// rig is a real nats-server, and a worker with a configuration as one writes it.
type rig struct {
	t        *testing.T
	js       jetstream.JetStream
	metrics  *prometheus.Registry
	log      safeBuffer
	outcomes *board
}

// system is what a configuration says: apps with their routes, the sides that are
// its connectors by their names, and how the worker waits.
type system struct {
	routes map[string][]string
	sides  map[string]*side
	worker string
}

// write writes the configuration into a folder, each connector with Logto's JSON
// in a file of its own, and reads it.
func (s system) write(t *testing.T) *config.Config {
	t.Helper()
	dir := t.TempDir()
	var y strings.Builder
	y.WriteString("apps:\n")
	for app, route := range s.routes {
		fmt.Fprintf(&y, "  %s: {%s: [%s]}\n", app, s.sides[route[0]].channel(), strings.Join(route, ", "))
	}
	y.WriteString("connectors:\n")
	for name, side := range s.sides {
		logto, err := json.MarshalIndent(side.logto, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name+".json"), logto, 0o600); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&y, "  %s: {type: %s, file: %s.json%s}\n", name, side.kind, name, side.beside)
	}
	fmt.Fprintf(&y, "worker: {concurrency: 16, grace: 5s, %s}\n", s.worker)
	file := filepath.Join(dir, "codeferry.yaml")
	cfg, err := config.Parse(file, []byte(y.String()), config.Env{})
	if err != nil {
		t.Fatalf("%v\n%s", err, y.String())
	}
	return cfg
}

// run starts a system. All ends with the test.
func run(t *testing.T, s system) *rig {
	t.Helper()
	r := &rig{t: t, metrics: prometheus.NewRegistry(), outcomes: newBoard()}
	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	nc, err := broker.Connect(broker.Target{URL: server.URL(), Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	if r.js, err = jetstream.New(nc); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := broker.Provision(ctx, r.js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := nc.Subscribe(messages.OutcomeSubject("*", "*", "*"), r.outcomes.take); err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	r.work(nc, s.write(t))
	return r
}

// work runs a worker until the test ends.
func (r *rig) work(nc *nats.Conn, cfg *config.Config) {
	r.t.Helper()
	w, err := worker.New(worker.Options{
		Conn: nc, Config: cfg, Metrics: worker.NewMetrics(r.metrics),
		Log:    zerolog.New(&r.log).Level(zerolog.DebugLevel),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, messages.StreamOptions{}) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				r.t.Errorf("the worker ended with %v", err)
			}
		case <-time.After(patience):
			r.t.Error("the worker does not stop")
		}
	})
}

// send publishes a message as any client would.
func (r *rig) send(t *testing.T, app string, channel messages.Channel, m message) {
	t.Helper()
	body, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	subject := messages.Subject{App: app, Channel: channel, Type: messages.SignIn, Key: m.ID}
	if _, err := r.js.Publish(ctx, subject.String(), body); err != nil {
		t.Fatal(err)
	}
}

// story returns a message's outcomes up to its last one.
func (r *rig) story(t *testing.T, id string) []messages.Outcome {
	t.Helper()
	return r.await(t, id, func(newest messages.Outcome) bool { return newest.Status.Final() })
}

// first returns a message's first outcome.
func (r *rig) first(t *testing.T, id string) messages.Outcome {
	t.Helper()
	return r.await(t, id, func(messages.Outcome) bool { return true })[0]
}

func (r *rig) await(t *testing.T, id string, enough func(newest messages.Outcome) bool) []messages.Outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	story, ok := r.outcomes.story(ctx, id, enough)
	if !ok {
		t.Fatalf("%s has no further outcome; so far %+v\n%s", id, story, r.log.String())
	}
	return story
}

// letter returns a message's dead letter.
func (r *rig) letter(t *testing.T, id string) messages.DeadLetter {
	t.Helper()
	var found []messages.DeadLetter
	err := archive.DeadLetters(t.Context(), r.js, archive.Filter{}, func(l archive.Letter) error {
		if l.DeadLetter.ID == id {
			found = append(found, l.DeadLetter)
		}
		return nil
	})
	if err != nil || len(found) != 1 {
		t.Fatalf("%s has %d dead letters: %v", id, len(found), err)
	}
	return found[0]
}

// closedOff tells whether a connector is, as the metrics have it.
func (r *rig) closedOff(t *testing.T, connector string) bool {
	t.Helper()
	families, err := r.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != "codeferry_connector_open" {
			continue
		}
		for _, m := range f.GetMetric() {
			if m.GetLabel()[0].GetValue() == connector {
				return m.GetGauge().GetValue() > 0
			}
		}
	}
	t.Fatalf("there is no metric for %s", connector)
	return false
}

// board keeps outcomes until somebody asks for them.
type board struct {
	mu      sync.Mutex
	stories map[string][]messages.Outcome
	changed chan struct{}
}

func newBoard() *board {
	return &board{stories: make(map[string][]messages.Outcome), changed: make(chan struct{})}
}

func (b *board) take(m *nats.Msg) {
	var o messages.Outcome
	_ = json.Unmarshal(m.Data, &o) // one that is no JSON is nobody's, and is missed
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stories[o.ID] = append(b.stories[o.ID], o)
	close(b.changed)
	b.changed = make(chan struct{})
}

// story waits until a message's outcomes are enough; ok is false where ctx ends
// first.
func (b *board) story(ctx context.Context, id string, enough func(newest messages.Outcome) bool) (story []messages.Outcome, ok bool) {
	for {
		b.mu.Lock()
		story, changed := b.stories[id], b.changed
		b.mu.Unlock()
		if n := len(story); n > 0 && enough(story[n-1]) {
			return story, true
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return story, false
		}
	}
}

// safeBuffer is a buffer that a worker may write while a test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}
