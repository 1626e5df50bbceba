package wire_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// publish puts a body on a subject without a Publisher's checks.
func publish(t *testing.T, js jetstream.JetStream, subject, body string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatalf("publish %s: %v", subject, err)
	}
}

// wantNone fails the test if a channel's consumer has a message.
func wantNone(t *testing.T, js jetstream.JetStream, c messages.Channel) {
	t.Helper()
	cons, err := js.Consumer(t.Context(), wire.StreamName, string(c))
	if err != nil {
		t.Fatal(err)
	}
	batch, err := cons.FetchNoWait(1)
	if err != nil {
		t.Fatal(err)
	}
	for m := range batch.Messages() {
		t.Fatalf("%s has %s", c, m.Data())
	}
}

func wantBody(t *testing.T, m jetstream.Msg, want string) {
	t.Helper()
	if got := string(m.Data()); got != want {
		t.Fatalf("message is %s, want %s", got, want)
	}
}

const signIn = "codeferry.send.default.sms.SignIn.u1"

func TestStreamSupersedesAnOlderCode(t *testing.T) {
	t.Parallel()
	older := map[string]func(*testing.T, jetstream.JetStream){
		"that waits": func(*testing.T, jetstream.JetStream) {},
		"in flight":  func(t *testing.T, js jetstream.JetStream) { wantBody(t, natstest.Next(t, js, messages.SMS), "older") },
		"that waits for its retry": func(t *testing.T, js jetstream.JetStream) {
			m := natstest.Next(t, js, messages.SMS)
			if err := m.NakWithDelay(time.Millisecond); err != nil {
				t.Fatal(err)
			}
			m = natstest.Next(t, js, messages.SMS) // it comes again after the delay
			wantBody(t, m, "older")
			if err := m.NakWithDelay(time.Hour); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range older {
		t.Run(name, func(t *testing.T) {
			js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
			publish(t, js, signIn, "older")
			prepare(t, js)
			publish(t, js, signIn, "newer")
			if n := natstest.Stored(t, js); n != 1 {
				t.Errorf("%d messages are stored, want 1", n)
			}
			m := natstest.Next(t, js, messages.SMS)
			wantBody(t, m, "newer")
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := natstest.Stored(t, js); n != 0 {
				t.Errorf("%d messages are stored after the ack, want 0", n)
			}
			wantNone(t, js, messages.SMS)
		})
	}
}

func TestStreamTakesOnlySendSubjects(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	for _, subject := range []string{
		"codeferry.send",
		"codeferry.send.default.sms.SignIn",
		"codeferry.send.default.sms.SignIn.u1.x",
		"codeferry.send.default.fax.SignIn.u1",
		"codeferry.send.default.SMS.SignIn.u1",
		"codeferry.outcome.default.sms",
		"codeferry.dead.default.sms",
	} {
		if _, err := nc.Request(subject, nil, 5*time.Second); !errors.Is(err, nats.ErrNoResponders) {
			t.Errorf("%s: error is %v, want no responders", subject, err)
		}
	}
	if n := natstest.Stored(t, js); n != 0 {
		t.Errorf("%d messages are stored, want none", n)
	}
}

func TestConsumersAreIndependent(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	publish(t, js, "codeferry.send.default.email.SignIn.u1", "mail")
	wantNone(t, js, messages.SMS)
	publish(t, js, signIn, "sms")
	wantBody(t, natstest.Next(t, js, messages.SMS), "sms")
	wantBody(t, natstest.Next(t, js, messages.Email), "mail")
}

func TestStreamLimitsTheBody(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	m := nats.NewMsg(signIn)
	m.Header.Set(jetstream.MsgIDHeader, messages.NewID(time.Now()))
	m.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	m.Data = make([]byte, wire.MaxBody)
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Errorf("the largest body with headers: %v", err)
	}
	m.Data = make([]byte, wire.MaxBody+1024)
	m.Header.Set(jetstream.MsgIDHeader, messages.NewID(time.Now()))
	var api *jetstream.APIError
	if _, err := js.PublishMsg(t.Context(), m); !errors.As(err, &api) {
		t.Errorf("error of a larger body is %v, want the server's", err)
	}
}

func TestFullStreamRefusesNewMessages(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{MaxBytes: 16 << 10})
	body := string(bytes.Repeat([]byte("x"), 1<<10))
	subject := func(i int) string { return fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i) }
	n := 0
	for ; n < 100; n++ {
		if _, err := js.Publish(t.Context(), subject(n), []byte(body)); err != nil {
			break
		}
	}
	if n == 0 || n == 100 {
		t.Fatalf("%d messages fit into 16 KiB, want 1 to 99", n)
	}
	if got := natstest.Stored(t, js); got != uint64(n) {
		t.Errorf("%d messages are stored, want %d", got, n)
	}
	publish(t, js, subject(0), "newer") // still supersedes the older one
	wantBody(t, natstest.Next(t, js, messages.SMS), body)
	if got := natstest.Stored(t, js); got != uint64(n) {
		t.Errorf("%d messages are stored, want %d", got, n)
	}
}

func TestStreamsDropDuplicates(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	for _, subject := range []string{signIn, wire.DeadSubject("default", messages.SMS, messages.ReasonExpired)} {
		for i := range 2 {
			ack, err := js.Publish(t.Context(), subject, nil, jetstream.WithMsgID("x"))
			if err != nil {
				t.Fatalf("publish %d to %s: %v", i, subject, err)
			}
			if want := i == 1; ack.Duplicate != want {
				t.Errorf("publish %d to %s: duplicate is %t, want %t", i, subject, ack.Duplicate, want)
			}
		}
	}
}

func TestOutcomesAndDeadLettersHaveTheirStreams(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	for subject, stream := range map[string]string{
		wire.OutcomeSubject("default", messages.SMS, messages.StatusSent):         wire.OutcomesName,
		wire.DeadSubject("default", messages.Email, messages.ReasonMisconfigured): wire.DeadName,
	} {
		for range 2 { // the second does not replace the first
			ack, err := js.Publish(t.Context(), subject, nil)
			if err != nil {
				t.Fatalf("publish %s: %v", subject, err)
			}
			if ack.Stream != stream {
				t.Errorf("%s is stored in %s, want %s", subject, ack.Stream, stream)
			}
		}
		s, err := js.Stream(t.Context(), stream)
		if err != nil {
			t.Fatal(err)
		}
		if n := s.CachedInfo().State.Msgs; n != 2 {
			t.Errorf("%s holds %d messages, want 2", stream, n)
		}
	}
}

func TestLedgerKeepsTheLastEntry(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	kv, err := js.KeyValue(t.Context(), wire.LedgerName)
	if err != nil {
		t.Fatal(err)
	}
	id := messages.NewID(time.Now())
	if _, err := kv.Create(t.Context(), id, []byte("retrying")); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Create(t.Context(), id, nil); !errors.Is(err, jetstream.ErrKeyExists) {
		t.Errorf("a second claim: %v, want ErrKeyExists", err)
	}
	if _, err := kv.PutString(t.Context(), id, "sent"); err != nil {
		t.Fatal(err)
	}
	e, err := kv.Get(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(e.Value()); got != "sent" {
		t.Errorf("the entry is %q, want sent", got)
	}
	h, err := kv.History(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if len(h) != 1 {
		t.Errorf("the entry has %d revisions, want 1", len(h))
	}
}

// TestStreamConfigs reads the settings from the server: their effects would take days.
func TestStreamConfigs(t *testing.T) {
	t.Parallel()
	js := natstest.Provision(t, natstest.Start(t).Connect(t), wire.StreamOptions{})
	for name, want := range map[string]struct {
		age, duplicates time.Duration
		bytes           int64
	}{
		wire.StreamName:   {0, 5 * time.Minute, 256 << 20},
		wire.OutcomesName: {72 * time.Hour, 2 * time.Minute, 128 << 20},
		wire.DeadName:     {7 * 24 * time.Hour, time.Hour, 64 << 20},
		wire.LedgerStream: {24 * time.Hour, 2 * time.Minute, 32 << 20},
	} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got := s.CachedInfo().Config
		check.Equal(t, name+", MaxAge", got.MaxAge, want.age)
		check.Equal(t, name+", Duplicates", got.Duplicates, want.duplicates)
		check.Equal(t, name+", MaxBytes", got.MaxBytes, want.bytes)
		check.Equal(t, name+", Storage", got.Storage, jetstream.FileStorage)
		check.Equal(t, name+", Replicas", got.Replicas, 1)
		check.Equal(t, name+", AllowMsgTTL", got.AllowMsgTTL, false)
	}
	for _, c := range messages.Channels() {
		cons, err := js.Consumer(t.Context(), wire.StreamName, string(c))
		if err != nil {
			t.Fatal(err)
		}
		got := cons.CachedInfo().Config
		name := "consumer " + string(c)
		check.Equal(t, name+", AckWait", got.AckWait, 30*time.Second)
		check.Equal(t, name+", MaxDeliver", got.MaxDeliver, -1)
		check.Equal(t, name+", MaxAckPending", got.MaxAckPending, 100_000)
		check.Equal(t, name+", length of BackOff", len(got.BackOff), 0)
	}
	for _, cfg := range wire.StreamConfigs(wire.StreamOptions{Replicas: 3}) {
		if cfg.Replicas != 3 {
			t.Errorf("%s has %d replicas, want 3", cfg.Name, cfg.Replicas)
		}
	}
	o := wire.StreamOptions{Replicas: 3}
	if n := wire.ConsumerConfig(messages.SMS, o).Replicas; n != 3 {
		t.Errorf("the consumer has %d replicas, want 3", n)
	}
	if got := wire.ConsumerConfig(messages.Email, wire.StreamOptions{AckWait: time.Minute}).AckWait; got != time.Minute {
		t.Errorf("the consumer's AckWait is %v, want the options' minute", got)
	}
}
