package broker_test

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T, dir string) *broker.Embedded {
	t.Helper()
	e, err := broker.Start(broker.Options{Dir: dir, Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(e.Stop)
	return e
}

func connect(t *testing.T, url string) (*nats.Conn, jetstream.JetStream) {
	t.Helper()
	nc, err := broker.Connect(broker.Target{URL: url, Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func deadline(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func TestASecondStartOverTheSameData(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	nc, js := connect(t, first.URL())
	if err := broker.Ensure(deadline(t), js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn.u", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}

	if _, err := broker.Start(broker.Options{Dir: dir, Listen: "127.0.0.1:0"}); err == nil || !strings.Contains(err.Error(), "another codeferry uses the data") {
		t.Errorf("two servers over one store: %v", err)
	}
	nc.Close()
	first.Stop()
	first.Stop() // again, for nothing

	_, js = connect(t, start(t, dir).URL())
	for range 2 {
		if err := broker.Ensure(deadline(t), js, messages.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := broker.Provision(deadline(t), js, messages.StreamOptions{MaxBytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := js.Stream(deadline(t), messages.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if info := s.CachedInfo(); info.State.Msgs != 1 || info.Config.MaxBytes != 1<<20 {
		t.Errorf("after the second start: %+v", info)
	}
}

// TestDeliveryCountsOutliveTheServer is what doubt rests on: a message that was
// handed out before the server went down does not look fresh afterwards.
func TestDeliveryCountsOutliveTheServer(t *testing.T) {
	dir := t.TempDir()
	first := start(t, dir)
	nc, js := connect(t, first.URL())
	if err := broker.Ensure(deadline(t), js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg := messages.Consumer(messages.SMS, messages.StreamOptions{})
	cfg.AckWait = time.Second
	if _, err := js.UpdateConsumer(deadline(t), messages.StreamName, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn.u", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	next := func(js jetstream.JetStream) uint64 {
		c, err := js.Consumer(deadline(t), messages.StreamName, "sms")
		if err != nil {
			t.Fatal(err)
		}
		msg, err := c.Next(jetstream.FetchMaxWait(20 * time.Second))
		if err != nil {
			t.Fatal(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			t.Fatal(err)
		}
		return meta.NumDelivered
	}
	if n := next(js); n != 1 {
		t.Fatalf("first delivery is number %d", n)
	}
	nc.Close()
	first.Stop()
	_, js = connect(t, start(t, dir).URL())
	if n := next(js); n != 2 {
		t.Errorf("the delivery after the restart is number %d", n)
	}
}

func TestEnsureKeepsAnOperatorsChoice(t *testing.T) {
	_, js := connect(t, start(t, t.TempDir()).URL())
	if err := broker.Provision(deadline(t), js, messages.StreamOptions{MaxBytes: 5 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(deadline(t), messages.StreamName, "email"); err != nil {
		t.Fatal(err)
	}
	if err := broker.Ensure(deadline(t), js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(deadline(t), messages.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.CachedInfo().Config.MaxBytes; got != 5<<20 {
		t.Errorf("MaxBytes %d", got)
	}
	if _, err := s.Consumer(deadline(t), "email"); err != nil {
		t.Error(err)
	}
}

func TestStartErrors(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := t.TempDir()
	if _, err := broker.Start(broker.Options{Dir: dir, Listen: l.Addr().String()}); !errors.Is(err, broker.ErrInUse) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a port in use: %v", err)
	}
	start(t, dir) // the failed start has let go of the data
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:http-ish"} {
		if _, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: addr}); err == nil {
			t.Errorf("%q was accepted", addr)
		}
	}
}

func TestConnectErrorsNameTheServerAndHideThePassword(t *testing.T) {
	_, err := broker.Connect(broker.Target{URL: "nats://me:s3cret@127.0.0.1:1", Name: "test"}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	for _, url := range []string{"nats://me:s3cret@127.0.0.1:notaport", "nats://me:s3cret%zz@127.0.0.1:4222", "nats://me:s3cret@[::1"} {
		if _, err := broker.Connect(broker.Target{URL: url, Name: "test"}, zerolog.Nop()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestJetStreamOff(t *testing.T) {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, NoSigs: true, NoLog: true})
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("not ready")
	}
	_, js := connect(t, s.ClientURL())
	for name, f := range map[string]func(context.Context, jetstream.JetStream, messages.StreamOptions) error{"Provision": broker.Provision, "Ensure": broker.Ensure} {
		if err := f(deadline(t), js, messages.StreamOptions{}); err == nil || !strings.Contains(err.Error(), "-js") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
