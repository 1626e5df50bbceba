package broker_test

import (
	"context"
	"errors"
	"net"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

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
	nc := testrig.Connect(t, url)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return nc, js
}

func deadline(t *testing.T) context.Context { return testrig.Context(t) }

func TestASecondStartOverTheSameData(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	nc, js := connect(t, first.URL())
	if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
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
	first.Stop() // a second call does nothing

	_, js = connect(t, start(t, dir).URL())
	for range 2 {
		if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := broker.Provision(deadline(t), js, wire.StreamOptions{MaxBytes: 1 << 20}); err != nil {
			t.Fatal(err)
		}
	}
	s, err := js.Stream(deadline(t), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if info := s.CachedInfo(); info.State.Msgs != 1 || info.Config.MaxBytes != 1<<20 {
		t.Errorf("after the second start: %+v", info)
	}
}

// TestDeliveryCountsOutliveTheServer: a message that was handed out before the server went
// down does not look fresh afterwards. Doubt depends on that.
func TestDeliveryCountsOutliveTheServer(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first := start(t, dir)
	nc, js := connect(t, first.URL())
	if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	cfg := wire.ConsumerConfig(messages.SMS, wire.StreamOptions{})
	cfg.AckWait = time.Second
	if _, err := js.UpdateConsumer(deadline(t), wire.StreamName, cfg); err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn.u", []byte(`{}`)); err != nil {
		t.Fatal(err)
	}
	next := func(js jetstream.JetStream) uint64 {
		c, err := js.Consumer(deadline(t), wire.StreamName, "sms")
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
	t.Parallel()
	_, js := connect(t, start(t, t.TempDir()).URL())
	if err := broker.Provision(deadline(t), js, wire.StreamOptions{MaxBytes: 5 << 20}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(deadline(t), wire.StreamName, "email"); err != nil {
		t.Fatal(err)
	}
	if err := broker.Ensure(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(deadline(t), wire.StreamName)
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
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	dir := t.TempDir()
	if _, err := broker.Start(broker.Options{Dir: dir, Listen: l.Addr().String()}); !errors.Is(err, broker.ErrInUse) || !strings.Contains(err.Error(), l.Addr().String()) {
		t.Errorf("a port in use: %v", err)
	}
	start(t, dir) // the failed start has unlocked the data
	for _, addr := range []string{"", "127.0.0.1", "127.0.0.1:http-ish"} {
		if _, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: addr}); err == nil {
			t.Errorf("%q was accepted", addr)
		}
	}
}

func TestConnectErrorsNameTheServerAndHideThePassword(t *testing.T) {
	t.Parallel()
	_, err := broker.Connect(t.Context(), broker.Target{URL: "nats://me:s3cret@127.0.0.1:1", Name: "test"}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:1") || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("got %v", err)
	}
	for _, url := range []string{"nats://me:s3cret@127.0.0.1:notaport", "nats://me:s3cret%zz@127.0.0.1:4222", "nats://me:s3cret@[::1"} {
		if _, err := broker.Connect(t.Context(), broker.Target{URL: url, Name: "test"}, zerolog.Nop()); err == nil || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

// TestJetStreamOfADomain: a target with the right API reaches the streams, and one with
// another API gets a clear error.
func TestJetStreamOfADomain(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) { o.JetStreamDomain = "hub" })
	nc, _ := connect(t, s.ClientURL())
	for name, tt := range map[string]struct {
		target broker.Target
		want   error
	}{
		"the server's own":         {broker.Target{}, nil},
		"its domain":               {broker.Target{Domain: "hub"}, nil},
		"its prefix":               {broker.Target{APIPrefix: "$JS.hub.API"}, nil},
		"its prefix, with the dot": {broker.Target{APIPrefix: "$JS.hub.API."}, nil},
		"another domain":           {broker.Target{Domain: "other"}, broker.ErrNoJetStream},
		"another prefix":           {broker.Target{APIPrefix: "js.other"}, broker.ErrNoJetStream},
	} {
		js, err := broker.JetStream(nc, tt.target)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if err := broker.Provision(deadline(t), js, wire.StreamOptions{}); !errors.Is(err, tt.want) {
			t.Errorf("%s: provisioned with %v, want %v", name, err, tt.want)
		}
		if _, err := js.Stream(deadline(t), wire.StreamName); !errors.Is(broker.Explain(err), tt.want) {
			t.Errorf("%s: the stream with %v, want %v", name, err, tt.want)
		}
	}
	if _, err := broker.JetStream(nc, broker.Target{Domain: "hub", APIPrefix: "$JS.hub.API"}); err == nil {
		t.Error("a domain and a prefix are taken together")
	}
}

func TestTargetOfTakesTheWholeConfiguration(t *testing.T) {
	t.Parallel()
	password, token := sender.NewSecret("p"), sender.NewSecret("t")
	secure := config.NATSTLS{CAFile: "ca", CertFile: "cert", KeyFile: "key", ServerName: "name", HandshakeFirst: true}
	got := broker.TargetOf(config.NATS{
		URL: "nats://a", User: "u", Password: password, Token: token, NKey: "k", Creds: "c", TLS: secure,
		InboxPrefix: "_INBOX_x", Domain: "hub", APIPrefix: "js.hub",
	}, "n")
	want := broker.Target{
		URL: "nats://a", User: "u", Password: password, Token: token, NKey: "k", Creds: "c", TLS: secure,
		InboxPrefix: "_INBOX_x", Domain: "hub", APIPrefix: "js.hub", Name: "n",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestJetStreamOff(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) { o.JetStream = false })
	_, js := connect(t, s.ClientURL())
	for name, f := range map[string]func(context.Context, jetstream.JetStream, wire.StreamOptions) error{"Provision": broker.Provision, "Ensure": broker.Ensure} {
		if err := f(deadline(t), js, wire.StreamOptions{}); !errors.Is(err, broker.ErrNoJetStream) || !strings.Contains(err.Error(), "-js") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
