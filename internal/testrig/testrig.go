// Package testrig is for tests of the whole program: codeferry's embedded nats-server with its
// streams, a connection, and workers that end with the test.
package testrig

import (
	"context"
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// Rig is an embedded server with codeferry's streams, and a connection to it.
type Rig struct {
	NC     *nats.Conn
	JS     jetstream.JetStream
	Server *broker.Embedded
	// Log is the workers' log, including debug lines.
	Log syncbuf.Buffer
	// Metrics are those of the newest worker.
	Metrics *prometheus.Registry

	t   testing.TB
	dir string
}

// New starts a server, and makes the streams. Everything ends with the test.
func New(t testing.TB) *Rig {
	t.Helper()
	r := &Rig{t: t, dir: t.TempDir()}
	r.serve("127.0.0.1:0")
	t.Cleanup(func() { r.Server.Stop() })
	r.NC = Connect(t, r.Server.URL())
	var err error
	if r.JS, err = jetstream.New(r.NC); err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(Context(t), r.JS, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return r
}

// Server starts an embedded server without streams, which stops when the test ends.
// Default of listen: loopback, at a port that the system chooses.
func Server(t testing.TB, listen ...string) *broker.Embedded {
	t.Helper()
	at := "127.0.0.1:0"
	if len(listen) > 0 {
		at = listen[0]
	}
	s, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: at, Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

func (r *Rig) serve(listen string) {
	r.t.Helper()
	s, err := broker.Start(broker.Options{Dir: r.dir, Listen: listen, Log: zerolog.Nop()})
	if err != nil {
		r.t.Fatal(err)
	}
	r.Server = s
}

// Restart stops the server and starts it again with the same data.
func (r *Rig) Restart() {
	r.t.Helper()
	listen, before := r.NC.ConnectedAddr(), r.NC.Stats().Reconnects
	r.Server.Stop()
	r.serve(listen)
	check.Eventually(r.t, "the connection is back", func() bool { return r.NC.Stats().Reconnects > before && r.NC.IsConnected() })
}

// Outcomes calls f for each outcome that is published from now on.
func (r *Rig) Outcomes(f func(messages.Outcome)) {
	r.t.Helper()
	_, err := r.NC.Subscribe(wire.OutcomeSubject("*", "*", "*"), func(m *nats.Msg) {
		var o messages.Outcome
		if err := json.Unmarshal(m.Data, &o); err != nil {
			r.t.Errorf("an outcome is not JSON: %s", m.Data)
		}
		f(o)
	})
	if err != nil {
		r.t.Fatal(err)
	}
	if err := r.NC.Flush(); err != nil {
		r.t.Fatal(err)
	}
}

// Work runs a worker with a configuration, over a connection that ends with it. The
// options' Metrics and Log are the rig's. The returned function stops the worker and waits
// for its end; so does the end of the test.
func (r *Rig) Work(o worker.Options) (w *worker.Worker, stop func()) {
	r.t.Helper()
	r.Metrics = prometheus.NewRegistry()
	o.Metrics, o.Log = worker.NewMetrics(r.Metrics), zerolog.New(&r.Log).Level(zerolog.DebugLevel)
	w, err := worker.New(o)
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				r.t.Errorf("the worker ended with %v", err)
			}
		case <-time.After(check.Patience):
			r.t.Errorf("the worker does not stop within %s", check.Patience)
		}
		o.Conn.Close()
	})
	r.t.Cleanup(stop)
	return w, stop
}

// Connect connects to a server until the test ends, as codeferry does.
func Connect(t testing.TB, url string) *nats.Conn {
	t.Helper()
	nc, err := broker.Connect(context.WithoutCancel(t.Context()), broker.Target{URL: url, Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Context returns a context that ends after check.Patience. It outlives the test's own context, so
// that cleanups can use it.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), check.Patience)
	t.Cleanup(cancel)
	return ctx
}
