package endtoend_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

func TestMain(m *testing.M) {
	testmain.Wide(2)
	testmain.NoLeaks(m)
}

// patience limits every wait for something that has to happen.
const patience = check.Patience

// rig is a nats-server, and a worker with a configuration as an operator writes it.
type rig struct {
	base     *testrig.Rig
	js       jetstream.JetStream
	log      *syncbuf.Buffer
	outcomes *board
}

// system is a configuration: apps with their routes, the sides, which are the connectors, by
// name, and the worker's pauses.
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
		t.Fatalf("the configuration is wrong: %v\n%s", err, y.String())
	}
	return cfg
}

// run starts a system. Everything ends with the test.
func run(t *testing.T, s system) *rig {
	t.Helper()
	base := testrig.New(t)
	r := &rig{base: base, js: base.JS, log: &base.Log, outcomes: newBoard()}
	base.Outcomes(r.outcomes.take)
	base.Work(worker.Options{
		Conn: testrig.Connect(t, base.Server.URL()), Config: s.write(t),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, wire.StreamOptions{}) },
	})
	return r
}

// send publishes a message as any client does.
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

// breakerOpen reports whether the metrics show a connector's circuit breaker as open.
func (r *rig) breakerOpen(t *testing.T, connector string) bool {
	t.Helper()
	families, err := r.base.Metrics.Gather()
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

// board keeps outcomes until a test asks for them.
type board struct {
	mu      sync.Mutex
	stories map[string][]messages.Outcome
	changed chan struct{}
}

func newBoard() *board {
	return &board{stories: make(map[string][]messages.Outcome), changed: make(chan struct{})}
}

func (b *board) take(o messages.Outcome) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stories[o.ID] = append(b.stories[o.ID], o)
	close(b.changed)
	b.changed = make(chan struct{})
}

// each calls f with every outcome.
func (b *board) each(f func(messages.Outcome)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, story := range b.stories {
		for _, o := range story {
			f(o)
		}
	}
}

// story waits until enough accepts a message's newest outcome; ok is false if ctx ends first.
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
