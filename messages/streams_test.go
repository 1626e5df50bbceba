package messages_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// publish puts a body on a subject without a Publisher's checks.
func publish(t *testing.T, js jetstream.JetStream, subject, body string) {
	t.Helper()
	if _, err := js.Publish(t.Context(), subject, []byte(body)); err != nil {
		t.Fatalf("publish %s: %v", subject, err)
	}
}

// next takes the next message of a channel.
func next(t *testing.T, js jetstream.JetStream, c messages.Channel) jetstream.Msg {
	t.Helper()
	cons, err := js.Consumer(t.Context(), messages.StreamName, string(c))
	if err != nil {
		t.Fatal(err)
	}
	m, err := cons.Next(jetstream.FetchMaxWait(5 * time.Second))
	if err != nil {
		t.Fatalf("next %s: %v", c, err)
	}
	return m
}

// wantNone fails the test where a channel has a message to give.
func wantNone(t *testing.T, js jetstream.JetStream, c messages.Channel) {
	t.Helper()
	cons, err := js.Consumer(t.Context(), messages.StreamName, string(c))
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

func TestNewerCodeReplacesOlder(t *testing.T) {
	t.Parallel()
	older := map[string]func(*testing.T, jetstream.JetStream){
		"that waits": func(*testing.T, jetstream.JetStream) {},
		"in flight":  func(t *testing.T, js jetstream.JetStream) { wantBody(t, next(t, js, messages.SMS), "older") },
		"that waits for its retry": func(t *testing.T, js jetstream.JetStream) {
			m := next(t, js, messages.SMS)
			if err := m.NakWithDelay(time.Millisecond); err != nil {
				t.Fatal(err)
			}
			m = next(t, js, messages.SMS) // the delay works
			wantBody(t, m, "older")
			if err := m.NakWithDelay(time.Hour); err != nil {
				t.Fatal(err)
			}
		},
	}
	for name, prepare := range older {
		t.Run(name, func(t *testing.T) {
			js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
			publish(t, js, signIn, "older")
			prepare(t, js)
			publish(t, js, signIn, "newer")
			if n := stored(t, js); n != 1 {
				t.Errorf("%d messages are stored, want 1", n)
			}
			m := next(t, js, messages.SMS)
			wantBody(t, m, "newer")
			if err := m.DoubleAck(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := stored(t, js); n != 0 {
				t.Errorf("%d messages are stored after the ack, want 0", n)
			}
			wantNone(t, js, messages.SMS)
		})
	}
}

func TestOnlySendSubjectsAreTaken(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
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
	if n := stored(t, js); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestChannelsDontWaitForEachOther(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	publish(t, js, "codeferry.send.default.email.SignIn.u1", "mail")
	wantNone(t, js, messages.SMS)
	publish(t, js, signIn, "sms")
	wantBody(t, next(t, js, messages.SMS), "sms")
	wantBody(t, next(t, js, messages.Email), "mail")
}

func TestBodyOverTheLimitIsRefusedByTheStream(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	m := nats.NewMsg(signIn)
	m.Header.Set(jetstream.MsgIDHeader, messages.NewID(time.Now()))
	m.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	m.Data = make([]byte, messages.MaxBody)
	if _, err := js.PublishMsg(t.Context(), m); err != nil {
		t.Errorf("the largest body with headers: %v", err)
	}
	m.Data = make([]byte, messages.MaxBody+1024)
	m.Header.Set(jetstream.MsgIDHeader, messages.NewID(time.Now()))
	var api *jetstream.APIError
	if _, err := js.PublishMsg(t.Context(), m); !errors.As(err, &api) {
		t.Errorf("error of a larger body is %v, want the server's", err)
	}
}

func TestFullStreamRefusesTheNewAndKeepsTheOld(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{MaxBytes: 16 << 10})
	body := string(bytes.Repeat([]byte("x"), 1<<10))
	subject := func(i int) string { return fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i) }
	n := 0
	for ; n < 100; n++ {
		if _, err := js.Publish(t.Context(), subject(n), []byte(body)); err != nil {
			break
		}
	}
	if n == 0 || n == 100 {
		t.Fatalf("%d messages fit", n)
	}
	if got := stored(t, js); got != uint64(n) {
		t.Errorf("%d messages are stored, want %d", got, n)
	}
	publish(t, js, subject(0), "newer") // still replaces the older one
	wantBody(t, next(t, js, messages.SMS), body)
	if got := stored(t, js); got != uint64(n) {
		t.Errorf("%d messages are stored, want %d", got, n)
	}
}

func TestIDsAreRecognized(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	for _, subject := range []string{signIn, messages.DeadSubject("default", messages.SMS, messages.ReasonExpired)} {
		for i := range 2 {
			ack, err := js.Publish(t.Context(), subject, nil, jetstream.WithMsgID("x"))
			if err != nil || ack.Duplicate != (i == 1) {
				t.Errorf("publish %d to %s: %+v, %v", i, subject, ack, err)
			}
		}
	}
}

func TestOutcomesAndDeadLettersHaveTheirStreams(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	for subject, stream := range map[string]string{
		messages.OutcomeSubject("default", messages.SMS, messages.StatusSent):         messages.OutcomesName,
		messages.DeadSubject("default", messages.Email, messages.ReasonMisconfigured): messages.DeadName,
	} {
		for range 2 { // the second does not replace the first
			if ack, err := js.Publish(t.Context(), subject, nil); err != nil || ack.Stream != stream {
				t.Errorf("publish %s: %+v, %v", subject, ack, err)
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

func TestLedgerKeepsTheLastWord(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	kv, err := js.KeyValue(t.Context(), messages.LedgerName)
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
	if e, err := kv.Get(t.Context(), id); err != nil || string(e.Value()) != "sent" {
		t.Errorf("Get() = %v, %v", e, err)
	}
	if h, err := kv.History(t.Context(), id); err != nil || len(h) != 1 {
		t.Errorf("History() = %v, %v", h, err)
	}
}

// What takes days to show is read from the server.
func TestStreamsKeepWhatTheyShould(t *testing.T) {
	t.Parallel()
	js := provision(t, startServer(t).connect(t), messages.StreamOptions{})
	for name, want := range map[string]struct {
		age, duplicates time.Duration
		bytes           int64
	}{
		messages.StreamName:         {0, 5 * time.Minute, 1 << 30},
		messages.OutcomesName:       {72 * time.Hour, 2 * time.Minute, 1 << 30},
		messages.DeadName:           {7 * 24 * time.Hour, time.Hour, -1},
		"KV_" + messages.LedgerName: {24 * time.Hour, 2 * time.Minute, -1},
	} {
		s, err := js.Stream(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		got := s.CachedInfo().Config
		if got.MaxAge != want.age || got.Duplicates != want.duplicates || got.MaxBytes != want.bytes ||
			got.Storage != jetstream.FileStorage || got.Replicas != 1 || got.AllowMsgTTL {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, c := range messages.Channels() {
		cons, err := js.Consumer(t.Context(), messages.StreamName, string(c))
		if err != nil {
			t.Fatal(err)
		}
		got := cons.CachedInfo().Config
		if got.AckWait != 30*time.Second || got.MaxDeliver != -1 || got.MaxAckPending != 100_000 || got.BackOff != nil {
			t.Errorf("consumer %s: %+v", c, got)
		}
	}
	for _, cfg := range messages.Streams(messages.StreamOptions{Replicas: 3}) {
		if cfg.Replicas != 3 {
			t.Errorf("%s has %d replicas, want 3", cfg.Name, cfg.Replicas)
		}
	}
	o := messages.StreamOptions{Replicas: 3}
	if n, m := messages.Ledger(o).Replicas, messages.Consumer(messages.SMS, o).Replicas; n != 3 || m != 3 {
		t.Errorf("ledger and consumer have %d and %d replicas, want 3", n, m)
	}
}
