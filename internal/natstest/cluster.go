package natstest

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/freeport"
)

// patience limits every wait for something that has to happen.
const patience = time.Minute

// Servers are nats-servers: a single one, or a cluster.
type Servers struct {
	t   testing.TB
	all []*server.Server
}

// StartCluster starts n servers, a single one or a cluster, and waits until they accept
// connections. They end with the test. tune changes their options.
func StartCluster(t testing.TB, n int, tune ...func(*server.Options)) *Servers {
	t.Helper()
	s := &Servers{t: t}
	ports, release, err := freeport.Ports(n)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(release)
	routes := make([]string, n)
	for i, port := range ports {
		routes[i] = fmt.Sprintf("nats-route://127.0.0.1:%d", port)
	}
	for i, port := range ports {
		o := &server.Options{
			ServerName: fmt.Sprintf("n%d", i), Host: "127.0.0.1", Port: server.RANDOM_PORT,
			JetStream: true, StoreDir: t.TempDir(), NoSigs: true, NoLog: true,
		}
		if n > 1 {
			o.Cluster = server.ClusterOpts{Name: "natstest", Host: "127.0.0.1", Port: port}
			o.Routes = server.RoutesFromStr(strings.Join(routes, ","))
		}
		for _, f := range tune {
			f(o)
		}
		one, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		one.Start()
		t.Cleanup(func() {
			one.Shutdown()
			one.WaitForShutdown()
		})
		s.all = append(s.all, one)
	}
	for _, one := range s.all {
		if !one.ReadyForConnections(patience) {
			t.Fatalf("%s does not start", one.Name())
		}
	}
	return s
}

// Server returns the server with a name, n0 and so on.
func (s *Servers) Server(name string) *server.Server {
	s.t.Helper()
	for _, one := range s.all {
		if one.Name() == name {
			return one
		}
	}
	s.t.Fatalf("there is no server %q", name)
	return nil
}

// Other returns the name of a server that is none of these.
func (s *Servers) Other(names ...string) string {
	s.t.Helper()
	for _, one := range s.all {
		if !strings.Contains(strings.Join(names, " "), one.Name()) {
			return one.Name()
		}
	}
	s.t.Fatalf("there is no server but %v", names)
	return ""
}

// Connect connects to one server only. It reconnects at once and forever, and buffers nothing
// while it is away, like codeferry's connections.
func (s *Servers) Connect(name string, opts ...nats.Option) *nats.Conn {
	s.t.Helper()
	opts = append([]nats.Option{
		nats.MaxReconnects(-1), nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1),
		nats.IgnoreDiscoveredServers(),
	}, opts...)
	nc, err := nats.Connect(s.Server(name).ClientURL(), opts...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(nc.Close)
	return nc
}

// Context returns a context that ends when the test's patience does.
func Context(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits until f returns nil, for things that a cluster does at an unknown time. The
// context of each try ends soon, because a cluster without a leader does not answer.
func Eventually(t testing.TB, what string, f func(ctx context.Context) error) {
	t.Helper()
	ctx := Context(t)
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		try, cancel := context.WithTimeout(ctx, time.Second)
		err := f(try)
		cancel()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// JetStream returns JetStream over a connection, once it answers.
func JetStream(t testing.TB, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	Eventually(t, "JetStream answers", func(ctx context.Context) error {
		_, err := js.AccountInfo(ctx)
		return err
	})
	return js
}
