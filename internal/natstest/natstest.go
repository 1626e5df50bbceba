// Package natstest runs nats-servers with JetStream for tests: in the test's process, alone
// or as a cluster, or as a process of its own.
package natstest

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Server is a real server with JetStream, with its own port and store.
type Server struct {
	*server.Server
	opts *server.Options
}

// Start starts a server, which stops when the test ends. The options may be changed by
// edit.
func Start(t testing.TB, edit ...func(*server.Options)) *Server {
	t.Helper()
	opts := &server.Options{JetStream: true, StoreDir: t.TempDir()}
	for _, f := range edit {
		f(opts)
	}
	return StartWith(t, opts)
}

// StartWith starts a server with options, which stops when the test ends. It listens on
// loopback, at a port that the system chooses.
func StartWith(t testing.TB, opts *server.Options) *Server {
	t.Helper()
	s := &Server{opts: opts}
	opts.Host, opts.Port, opts.NoLog, opts.NoSigs = "127.0.0.1", server.RANDOM_PORT, true, true
	s.Again(t)
	t.Cleanup(s.Stop)
	return s
}

// Again starts a stopped server with the same port and store.
func (s *Server) Again(t testing.TB) {
	t.Helper()
	srv, err := server.NewServer(s.opts.Clone())
	if err != nil {
		t.Fatal(err)
	}
	go srv.Start()
	if !srv.ReadyForConnections(patience) {
		t.Fatalf("the server does not start within %s", patience)
	}
	s.Server = srv
	addr, ok := srv.Addr().(*net.TCPAddr)
	if !ok {
		t.Fatalf("the server listens at %v, which is not a TCP address", srv.Addr())
	}
	s.opts.Port = addr.Port
}

// Edit changes the options with which Again starts a server that was stopped.
func (s *Server) Edit(f func(*server.Options)) { f(s.opts) }

// Stop stops the server and waits until it has.
func (s *Server) Stop() {
	s.Shutdown()
	s.WaitForShutdown()
}

// Run runs a nats-server with a configuration, which it reads again on SIGHUP, until a signal
// stops it. Call it in a separate process.
func Run(file string) error {
	opts, err := server.ProcessConfigFile(file)
	if err != nil {
		return fmt.Errorf("run a nats-server: %w", err)
	}
	s, err := server.NewServer(opts)
	if err != nil {
		return fmt.Errorf("run a nats-server with %s: %w", file, err)
	}
	s.ConfigureLogger()
	s.Start()
	s.WaitForShutdown()
	return nil
}

// Connect connects as a publisher does, but reconnects sooner. The connection ends with the
// test.
func (s *Server) Connect(t testing.TB, opts ...nats.Option) *nats.Conn {
	t.Helper()
	opts = append([]nats.Option{nats.ReconnectWait(10 * time.Millisecond), nats.ReconnectJitter(0, 0)}, opts...)
	nc, err := messages.Connect(s.ClientURL(), opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// Provision makes the streams, the ledger and the consumers, as a worker does.
func Provision(t testing.TB, nc *nats.Conn, o wire.StreamOptions) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	for _, cfg := range wire.StreamConfigs(o) {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatalf("create %s: %v", cfg.Name, err)
		}
	}
	for _, c := range messages.Channels() {
		if _, err := js.CreateConsumer(t.Context(), wire.StreamName, wire.ConsumerConfig(c, o)); err != nil {
			t.Fatalf("create consumer %s: %v", c, err)
		}
	}
	return js
}

// Stored counts the messages that wait in CODEFERRY.
func Stored(t testing.TB, js jetstream.JetStream) uint64 {
	t.Helper()
	s, err := js.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().State.Msgs
}

// Next takes the next message of a channel.
func Next(t testing.TB, js jetstream.JetStream, c messages.Channel) jetstream.Msg {
	t.Helper()
	cons, err := js.Consumer(t.Context(), wire.StreamName, string(c))
	if err != nil {
		t.Fatal(err)
	}
	m, err := cons.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatalf("next %s: %v", c, err)
	}
	return m
}
