package worker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// TestServerLife: a server remembers since it started and the stream was made.
func TestServerLife(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var before, made time.Time
	run := func(f func(js jetstream.JetStream)) {
		t.Helper()
		s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		defer s.WaitForShutdown()
		defer s.Shutdown()
		if !s.ReadyForConnections(patience) {
			t.Fatal("the server does not start")
		}
		nc, err := nats.Connect(s.ClientURL())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		js, err := jetstream.New(nc)
		if err != nil {
			t.Fatal(err)
		}
		f(js)
	}
	ask := func(what string, js jetstream.JetStream) time.Time {
		t.Helper()
		at, err := worker.Remembers(t.Context(), js)
		if err != nil {
			t.Fatalf("%s: got the error %v", what, err)
		}
		return at
	}
	create := func(js jetstream.JetStream, i int) {
		t.Helper()
		if _, err := js.CreateStream(t.Context(), wire.StreamConfigs(wire.StreamOptions{})[i]); err != nil {
			t.Fatal(err)
		}
	}
	run(func(js jetstream.JetStream) {
		if at, err := worker.Remembers(t.Context(), js); err == nil {
			t.Errorf("without a stream it remembers since %v, want an error", at)
		}
		for i := range wire.StreamConfigs(wire.StreamOptions{}) {
			create(js, i)
		}
		before = ask("at first", js)
		if at := ask("again", js); !at.Equal(before) {
			t.Errorf("it remembers since %v, and later since %v", before, at)
		}
		if leader, err := worker.Leader(t.Context(), js); leader != "" || err != nil {
			t.Errorf("one server has the leader %q (%v), want none", leader, err)
		}
	})
	run(func(js jetstream.JetStream) {
		made = ask("after a restart", js)
		if !made.After(before) {
			t.Errorf("after a restart it remembers since %v, as before", made)
		}
		if err := js.DeleteStream(t.Context(), wire.StreamName); err != nil {
			t.Fatal(err)
		}
		create(js, 0)
		if at := ask("after the stream was made again", js); !at.After(made) {
			t.Errorf("after the stream was made again it remembers since %v, as before", at)
		}
	})
}
