package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// now is the publisher's clock; the wire keeps its fraction of a second.
var now = time.Date(2026, 11, 21, 20, 0, 0, 5_000_000, time.FixedZone("CST", 8*3600))

func clock() time.Time { return now }

// code returns where a code goes and the code, with nothing that can be left out.
func code() (messages.Subject, *messages.SendCode) {
	return messages.Subject{Channel: messages.SMS, Key: "u1"},
		&messages.SendCode{To: "+8613987650001", Type: messages.SignIn, Payload: messages.Payload{"code": "739205"}}
}

func TestPublish(t *testing.T) {
	t.Parallel()
	testPublish(t, func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
		return p.Publish(ctx, s, m)
	})
}

func TestPublishAsync(t *testing.T) {
	t.Parallel()
	testPublish(t, func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
		pending, err := p.PublishAsync(s, m)
		if err != nil {
			return messages.Ack{}, err
		}
		if pending.ID() != m.ID {
			t.Errorf("ID() = %q, want %q", pending.ID(), m.ID)
		}
		return pending.Wait(ctx)
	})
}

type publishFunc func(context.Context, *messages.Publisher, messages.Subject, *messages.SendCode) (messages.Ack, error)

func testPublish(t *testing.T, publish publishFunc) {
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock})

	s, m := code()
	ack, err := publish(t.Context(), p, s, m)
	if err != nil {
		t.Fatal(err)
	}
	if want := (messages.Ack{ID: m.ID, Sequence: 1}); ack != want {
		t.Errorf("Ack = %+v, want %+v", ack, want)
	}
	if at, ok := messages.IDTime(m.ID); !ok || !at.Equal(now) {
		t.Errorf("id %q holds %v, want the publisher's time", m.ID, at)
	}
	if !m.CreatedAt.Equal(now) {
		t.Errorf("CreatedAt = %v, want %v", m.CreatedAt, now)
	}
	got := next(t, js, messages.SMS)
	if want := "codeferry.send.default.sms.SignIn.u1"; got.Subject() != want {
		t.Errorf("subject is %s, want %s", got.Subject(), want)
	}
	if id := got.Headers().Get(jetstream.MsgIDHeader); id != m.ID {
		t.Errorf("Nats-Msg-Id is %q, want %q", id, m.ID)
	}
	read, err := messages.Decode(got.Data(), messages.SMS)
	if err != nil || !reflect.DeepEqual(read, m) {
		t.Errorf("stored is %+v, %v, want %+v", read, err, m)
	}

	again, err := publish(t.Context(), p, s, m)
	if want := (messages.Ack{ID: m.ID, Sequence: 1, Duplicate: true}); err != nil || again != want {
		t.Errorf("the same message again: %+v, %v, want %+v", again, err, want)
	}

	// What is given stays as it is.
	given := wireMessage()
	given.Type = messages.Test
	s = messages.Subject{App: "shop", Channel: messages.SMS, Type: messages.Generic, Key: "u2"}
	if _, err := publish(t.Context(), p, s, &given); err != nil {
		t.Fatal(err)
	}
	got = next(t, js, messages.SMS)
	want, err := given.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject() != s.String() || string(got.Data()) != string(want) || given.ID != wireMessage().ID {
		t.Errorf("stored is %s %s", got.Subject(), got.Data())
	}

	// A message without a type takes its subject's.
	s, m = code()
	s.Type, m.Type = messages.Register, ""
	if _, err := publish(t.Context(), p, s, m); err != nil || m.Type != messages.Register {
		t.Errorf("a message without a type: %v, type %q", err, m.Type)
	}
}

func TestPublishRefusesBadMessages(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{})
	key := func(k string) func(*messages.Subject, *messages.SendCode) {
		return func(s *messages.Subject, _ *messages.SendCode) { s.Key = k }
	}
	tests := []struct {
		name  string
		wreck func(*messages.Subject, *messages.SendCode)
		field string
	}{
		{"app", func(s *messages.Subject, _ *messages.SendCode) { s.App = "a.b" }, "app"},
		{"channel", func(s *messages.Subject, _ *messages.SendCode) { s.Channel = "fax" }, "channel"},
		{"no type", func(_ *messages.Subject, m *messages.SendCode) { m.Type = "" }, "type"},
		{"unknown type", func(_ *messages.Subject, m *messages.SendCode) { m.Type = "signin" }, "type"},
		{"two types", func(s *messages.Subject, _ *messages.SendCode) { s.Type = messages.Register }, "type"},
		{"no key", key(""), "key"},
		{"email as key", key("foo@example.com"), "key"},
		{"phone as key", key("+8613987650001"), "key"},
		{"phone without + as key", key("8613987650001"), "key"},
		{"phone with 00 as key", key("008613987650001"), "key"},
		{"grouped phone as key", key("+86-139-8765-0001"), "key"},
		{"national phone as key", key("13987650001"), "key"},
		{"phone with its country's code as key", func(s *messages.Subject, m *messages.SendCode) {
			s.Key, m.To = "8613987650001", "13987650001"
		}, "key"},
		{"short phone as key", func(s *messages.Subject, m *messages.SendCode) { s.Key, m.To = "12345", "+123-45" }, "key"},
		{"phone in the key", key("user:8613987650001"), "key"},
		{"no address", func(_ *messages.Subject, m *messages.SendCode) { m.To = "" }, "to"},
		{"address of the other channel", func(_ *messages.Subject, m *messages.SendCode) { m.To = "foo@example.com" }, "to"},
		{"no payload", func(_ *messages.Subject, m *messages.SendCode) { m.Payload = nil }, "payload"},
		{"number as code", func(_ *messages.Subject, m *messages.SendCode) { m.Payload["code"] = 739205 }, "payload.code"},
		{"payload that is no JSON", func(_ *messages.Subject, m *messages.SendCode) { m.Payload["x"] = func() {} }, "payload"},
		{"id", func(_ *messages.Subject, m *messages.SendCode) { m.ID = "a b" }, "id"},
		{"body", func(_ *messages.Subject, m *messages.SendCode) {
			m.Payload["x"] = strings.Repeat("x", messages.MaxBody)
		}, "body"},
		{"extra", func(_ *messages.Subject, m *messages.SendCode) {
			m.Extra = map[string]json.RawMessage{"x": json.RawMessage("{")}
		}, "extra"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, m := code()
			tt.wreck(&s, m)
			_, err := p.Publish(t.Context(), s, m)
			wantField(t, err, tt.field)
			_, err = p.PublishAsync(s, m)
			wantField(t, err, tt.field)
			for _, secret := range []string{"13987650001", "139-8765", "739205", "foo@"} {
				if strings.Contains(err.Error(), secret) {
					t.Errorf("the error shows %s: %v", secret, err)
				}
			}
		})
	}
	if n := stored(t, js); n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

func TestPublishTakesOtherNumbersAsKeys(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	provision(t, nc, messages.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{})
	for _, k := range []string{"0001", "87650001", "13987650002", "0b7e1f7c-6d5d-4f0c-9a41-3b5e8d2f6a90", "1"} {
		s, m := code()
		s.Key = k
		if _, err := p.Publish(t.Context(), s, m); err != nil {
			t.Errorf("key %s: %v", k, err)
		}
	}
}

func TestBodyOfTheLimitIsPublished(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	provision(t, nc, messages.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock})
	s, m := code()
	m.ID, m.CreatedAt, m.Payload["x"] = strings.Repeat("7", 200), now, ""
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.Payload["x"] = strings.Repeat("x", messages.MaxBody-len(b))
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Error(err)
	}
	m.Payload["x"] = strings.Repeat("x", messages.MaxBody-len(b)+1)
	_, err = p.Publish(t.Context(), s, m)
	wantField(t, err, "body")
}

func TestPublishWithoutStreams(t *testing.T) {
	t.Parallel()
	p := newPublisher(t, startServer(t).connect(t), messages.PublisherOptions{Timeout: 300 * time.Millisecond})
	s, m := code()
	if _, err := p.Publish(t.Context(), s, m); !errors.Is(err, messages.ErrNoStream) {
		t.Errorf("Publish: %v, want ErrNoStream", err)
	}
	pending, err := p.PublishAsync(s, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = pending.Wait(t.Context()); !errors.Is(err, messages.ErrNoStream) {
		t.Errorf("Wait: %v, want ErrNoStream", err)
	}
	for _, private := range []string{s.Key, m.To, "739205"} {
		if strings.Contains(err.Error(), private) {
			t.Errorf("the error shows %s: %v", private, err)
		}
	}
}

// For a moment nobody answers for a stream whose cluster elects a leader.
func TestPublishWaitsForTheStream(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	p := newPublisher(t, nc, messages.PublisherOptions{})
	sent := nc.Stats().OutMsgs
	done := make(chan error, 1)
	go func() {
		s, m := code()
		_, err := p.Publish(context.Background(), s, m)
		done <- err
	}()
	for nc.Stats().OutMsgs == sent { // until it has been tried
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	js := provision(t, nc, messages.StreamOptions{})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

func TestPublishToAFullStream(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	js := provision(t, nc, messages.StreamOptions{MaxBytes: 8 << 10})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock}) // all of one size: the server takes no larger one for an older one then
	var err error
	n := 0
	for ; n < 100 && err == nil; n++ {
		s, m := code()
		s.Key = fmt.Sprintf("user-%02d", n)
		_, err = p.Publish(t.Context(), s, m)
	}
	if !errors.Is(err, messages.ErrStreamFull) {
		t.Fatalf("error after %d messages is %v, want ErrStreamFull", n, err)
	}
	s, m := code()
	s.Key = "another"
	pending, err := p.PublishAsync(s, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(t.Context()); !errors.Is(err, messages.ErrStreamFull) {
		t.Errorf("Wait: %v, want ErrStreamFull", err)
	}
	if got := stored(t, js); got != uint64(n-1) {
		t.Errorf("%d messages are stored, want %d", got, n-1)
	}
	s, m = code()
	s.Key = "user-00"
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Errorf("a newer code in place of an older one: %v", err)
	}
}

// A try whose acknowledgement is lost is repeated, and the stream keeps one.
func TestLostAckIsAskedForAgain(t *testing.T) {
	t.Parallel()
	publishes := map[string]publishFunc{
		"Publish": func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
			return p.Publish(ctx, s, m)
		},
		"PublishAsync": func(ctx context.Context, p *messages.Publisher, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
			pending, err := p.PublishAsync(s, m)
			if err != nil {
				return messages.Ack{}, err
			}
			return pending.Wait(ctx)
		},
	}
	for name, publish := range publishes {
		t.Run(name, func(t *testing.T) {
			srv, dialer := startServer(t), newLossyDialer(2)
			js := provision(t, srv.connect(t), messages.StreamOptions{})
			p := newPublisher(t, srv.connect(t, nats.SetCustomDialer(dialer)), messages.PublisherOptions{AckWait: 50 * time.Millisecond})
			s, m := code()
			ack, err := publish(t.Context(), p, s, m)
			if want := (messages.Ack{ID: m.ID, Sequence: 1, Duplicate: true}); err != nil || ack != want {
				t.Errorf("%+v, %v, want %+v", ack, err, want)
			}
			if n := len(dialer.lost); n != 2 {
				t.Errorf("%d acknowledgements were lost, want 2", n)
			}
			if n := stored(t, js); n != 1 {
				t.Errorf("%d messages are stored, want 1", n)
			}
		})
	}
}

// A publish that may have been stored never says that it was not.
func TestDoubtIsNotDenied(t *testing.T) {
	t.Parallel()
	denials := []error{messages.ErrNoStream, messages.ErrStreamFull, messages.ErrNotConnected}
	after := map[string]func(*natsServer, *nats.Conn, jetstream.JetStream, context.CancelFunc) error{
		"nothing": func(*natsServer, *nats.Conn, jetstream.JetStream, context.CancelFunc) error { return nil },
		"the server goes": func(s *natsServer, _ *nats.Conn, _ jetstream.JetStream, _ context.CancelFunc) error {
			s.stop()
			return nil
		},
		"the connection is closed": func(_ *natsServer, nc *nats.Conn, _ jetstream.JetStream, _ context.CancelFunc) error {
			nc.Close()
			return nil
		},
		"the stream goes": func(_ *natsServer, _ *nats.Conn, js jetstream.JetStream, _ context.CancelFunc) error {
			return js.DeleteStream(context.Background(), messages.StreamName)
		},
		"the caller gives up": func(_ *natsServer, _ *nats.Conn, _ jetstream.JetStream, cancel context.CancelFunc) error {
			cancel()
			return nil
		},
	}
	for name, then := range after {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			srv, dialer := startServer(t), newLossyDialer(1000)
			js := provision(t, srv.connect(t), messages.StreamOptions{})
			nc := srv.connect(t, nats.SetCustomDialer(dialer))
			p := newPublisher(t, nc, messages.PublisherOptions{AckWait: 50 * time.Millisecond, Timeout: 400 * time.Millisecond})
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			done := make(chan error, 1)
			s, m := code()
			go func() {
				_, err := p.Publish(ctx, s, m)
				done <- err
			}()
			<-dialer.lost // it is stored, and no one knows
			if err := then(srv, nc, js, cancel); err != nil {
				t.Error(err)
			}
			err := <-done
			if err == nil {
				t.Fatal("no error")
			}
			for _, denial := range denials {
				if errors.Is(err, denial) {
					t.Errorf("error is %v, which says that it was not stored", err)
				}
			}
			if !strings.Contains(err.Error(), "may have been stored") {
				t.Errorf("error is %v, which does not say that it may have been stored", err)
			}
			if strings.Contains(err.Error(), m.To) || strings.Contains(err.Error(), s.Key) {
				t.Errorf("the error shows the address or the key: %v", err)
			}
		})
	}
}

func TestPublishWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	js := provision(t, srv.connect(t), messages.StreamOptions{})
	status := make(chan nats.Status, 10)
	nc := srv.connect(t,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { status <- nats.RECONNECTING }),
		nats.ReconnectHandler(func(*nats.Conn) { status <- nats.CONNECTED }))
	p := newPublisher(t, nc, messages.PublisherOptions{Timeout: 200 * time.Millisecond})
	srv.stop()
	if got := <-status; got != nats.RECONNECTING {
		t.Fatalf("the connection is %s", got)
	}

	s, m := code()
	if _, err := p.Publish(t.Context(), s, m); !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("Publish: %v, want ErrNotConnected", err)
	}
	if _, err := p.PublishAsync(s, m); !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("PublishAsync: %v, want ErrNotConnected", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := p.Publish(ctx, s, m); !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("Publish with a short context: %v, want ErrNotConnected", err)
	}

	srv.start(t)
	if got := <-status; got != nats.CONNECTED {
		t.Fatalf("the connection is %s", got)
	}
	// What this connection had kept back would arrive before what it sends now. On a
	// busy machine it may break once more before it stays.
	limit := time.After(10 * time.Second)
	for err := nc.Flush(); err != nil; err = nc.Flush() {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-limit:
			t.Fatal(err)
		}
	}
	if n := stored(t, js); n != 0 {
		t.Errorf("%d messages arrived after their publish had failed", n)
	}
	if ack, err := p.Publish(t.Context(), s, m); err != nil || ack.Duplicate || ack.Sequence != 1 {
		t.Errorf("Publish after the server is back: %+v, %v", ack, err)
	}
}

func TestPublishGoesOnWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	js := provision(t, srv.connect(t), messages.StreamOptions{})
	away := make(chan struct{}, 10)
	nc := srv.connect(t, nats.DisconnectErrHandler(func(*nats.Conn, error) { away <- struct{}{} }))
	p := newPublisher(t, nc, messages.PublisherOptions{})
	srv.stop()
	<-away
	done := make(chan error, 1)
	go func() {
		s, m := code()
		_, err := p.Publish(context.Background(), s, m)
		done <- err
	}()
	srv.start(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

func TestPublishOnAClosedConnection(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	p := newPublisher(t, nc, messages.PublisherOptions{})
	nc.Close()
	s, m := code()
	if _, err := p.Publish(t.Context(), s, m); !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("Publish: %v, want ErrNotConnected", err)
	}
	if _, err := p.PublishAsync(s, m); !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("PublishAsync: %v, want ErrNotConnected", err)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	provision(t, srv.connect(t), messages.StreamOptions{})
	p := newPublisher(t, srv.connect(t, nats.SetCustomDialer(newLossyDialer(1000))), messages.PublisherOptions{})
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
	defer cancel()
	s, m := code()
	if _, err := p.Publish(ctx, s, m); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Publish: %v, want the context's error", err)
	}
	pending, err := p.PublishAsync(s, m)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := pending.Wait(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Wait: %v, want the context's error", err)
	}
}

// Beyond MaxPending, PublishAsync waits for room as long as it takes.
func TestPublishAsyncWaitsForRoom(t *testing.T) {
	t.Parallel()
	srv, dialer := startServer(t), newLossyDialer(1)
	js := provision(t, srv.connect(t), messages.StreamOptions{})
	// The lost acknowledgement takes the only room for longer than nats.go waits by itself.
	p := newPublisher(t, srv.connect(t, nats.SetCustomDialer(dialer)), messages.PublisherOptions{MaxPending: 1, AckWait: 400 * time.Millisecond})
	var all []*messages.Pending
	for i := range 3 {
		s, m := code()
		s.Key = fmt.Sprint("user-", i)
		pending, err := p.PublishAsync(s, m)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, pending)
	}
	for _, pending := range all {
		if _, err := pending.Wait(t.Context()); err != nil {
			t.Error(err)
		}
	}
	if n := stored(t, js); n != 3 {
		t.Errorf("%d messages are stored, want 3", n)
	}
}

func TestNewPublisherRefusesAConnectionThatKeepsMessagesBack(t *testing.T) {
	t.Parallel()
	srv := startServer(t)
	for name, opts := range map[string][]nats.Option{
		"default": nil, "large": {nats.ReconnectBufSize(1 << 20)},
	} {
		nc, err := nats.Connect(srv.ClientURL(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := messages.NewPublisher(nc, messages.PublisherOptions{}); err == nil || !strings.Contains(err.Error(), "ReconnectBufSize(-1)") {
			t.Errorf("%s: error is %v, want one that says what to do", name, err)
		}
		nc.Close()
	}
	nc, err := nats.Connect(srv.ClientURL(), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	newPublisher(t, nc, messages.PublisherOptions{})
}

func TestConnectDoesNotLetTheBufferBeChanged(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t, nats.ReconnectBufSize(1<<20))
	newPublisher(t, nc, messages.PublisherOptions{})
}
