package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// now is the publisher's time. It has a fraction of a second, which the wire keeps.
var now = time.Date(2026, 11, 21, 20, 0, 0, 5_000_000, time.FixedZone("CST", 8*3600))

func clock() time.Time { return now }

// code returns a subject and a code with only the required fields.
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
		ack, err := pending.Wait(ctx)
		if pending.ID() != ack.ID {
			t.Errorf("ID() = %q, but the acknowledgement has %q", pending.ID(), ack.ID)
		}
		return ack, err
	})
}

type publishFunc func(context.Context, *messages.Publisher, messages.Subject, *messages.SendCode) (messages.Ack, error)

func testPublish(t *testing.T, publish publishFunc) {
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock})

	s, m := code()
	ack, err := publish(t.Context(), p, s, m)
	if err != nil {
		t.Fatal(err)
	}
	if ack.Sequence != 1 || ack.Duplicate {
		t.Errorf("Ack = %+v, want sequence 1 and no duplicate", ack)
	}
	if at, ok := wire.IDTime(ack.ID); !ok || !at.Equal(now) {
		t.Errorf("id %q holds the time %v, want %v", ack.ID, at, now)
	}
	if _, unchanged := code(); !reflect.DeepEqual(m, unchanged) {
		t.Errorf("after the publish the caller's message is %#v, want it unchanged: %#v", *m, *unchanged)
	}
	m.ID, m.CreatedAt = ack.ID, now.UTC() // the stored message has both
	got := natstest.Next(t, js, messages.SMS)
	if want := "codeferry.send.default.sms.SignIn.u1"; got.Subject() != want {
		t.Errorf("subject is %s, want %s", got.Subject(), want)
	}
	// The subject's SHA-256 begins with a2bbb57c93969e57.
	if id, want := got.Headers().Get(jetstream.MsgIDHeader), m.ID+".a2bbb57c93969e57"; id != want {
		t.Errorf("Nats-Msg-Id is %q, want %q", id, want)
	}
	read, err := wire.Decode(got.Data(), messages.SMS)
	if err != nil {
		t.Errorf("the stored message can't be decoded: %v", err)
	}
	if !reflect.DeepEqual(read, m) {
		t.Errorf("the stored message is %#v, want %#v", *read, *m)
	}

	again, err := publish(t.Context(), p, s, m)
	if want := (messages.Ack{ID: m.ID, Sequence: 1, Duplicate: true}); err != nil || again != want {
		t.Errorf("the same message again: %+v, %v, want %+v", again, err, want)
	}

	// Fields that are set stay as they are.
	given := wireMessage()
	given.Type = messages.Test
	s = messages.Subject{App: "shop", Channel: messages.SMS, Type: messages.Generic, Key: "u2"}
	if _, err := publish(t.Context(), p, s, &given); err != nil {
		t.Fatal(err)
	}
	got = natstest.Next(t, js, messages.SMS)
	want, err := given.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if got.Subject() != s.String() {
		t.Errorf("subject is %s, want %s", got.Subject(), s)
	}
	if string(got.Data()) != string(want) {
		t.Errorf("the stored message is %s, want %s", got.Data(), want)
	}
	if given.ID != wireMessage().ID {
		t.Errorf("the caller's id is %s after the publish, want %s", given.ID, wireMessage().ID)
	}

	// A message without a type takes the type of its subject.
	s, m = code()
	s.Type, m.Type = messages.Register, ""
	if _, err := publish(t.Context(), p, s, m); err != nil {
		t.Errorf("a message without a type: %v", err)
	}
	if m.Type != "" {
		t.Errorf("after the publish the caller's message has the type %q, want none", m.Type)
	}
	got = natstest.Next(t, js, messages.SMS)
	if read, err := wire.Decode(got.Data(), messages.SMS); err != nil || read.Type != messages.Register {
		t.Errorf("the stored message has the type %q (error: %v), want Register", read.Type, err)
	}
}

// TestPublishSharesAMessage: several goroutines can publish the same value, because a publish
// writes nothing to it (the race detector checks). Each publish is a message of its own.
func TestPublishSharesAMessage(t *testing.T) {
	t.Parallel()
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{Sealer: messages.NewSealer(key.Public())})
	_, shared := code()
	shared.Extra = map[string]json.RawMessage{"tenant": json.RawMessage(`"t1"`)}
	_, before := code()
	before.Extra = map[string]json.RawMessage{"tenant": json.RawMessage(`"t1"`)}
	const many = 8
	ids := make(chan string, 2*many)
	var wg sync.WaitGroup
	for i := range many {
		wg.Go(func() {
			ack, err := p.Publish(t.Context(), messages.Subject{Channel: messages.SMS, Key: fmt.Sprint("sync-", i)}, shared)
			if err != nil {
				t.Errorf("Publish: %v", err)
			}
			ids <- ack.ID
		})
		wg.Go(func() {
			pending, err := p.PublishAsync(messages.Subject{Channel: messages.SMS, Key: fmt.Sprint("async-", i)}, shared)
			if err != nil {
				t.Errorf("PublishAsync: %v", err)
				return
			}
			ack, err := pending.Wait(t.Context())
			if err != nil {
				t.Errorf("Wait: %v", err)
			}
			ids <- ack.ID
		})
	}
	wg.Wait()
	close(ids)
	seen := make(map[string]bool)
	for id := range ids {
		if id == "" || seen[id] {
			t.Errorf("the id %q is empty or not unique", id)
		}
		seen[id] = true
	}
	if n := natstest.Stored(t, js); n != 2*many {
		t.Errorf("%d messages are stored, want %d", n, 2*many)
	}
	if !reflect.DeepEqual(shared, before) {
		t.Errorf("the shared message was changed: %#v", *shared)
	}
}

// TestPublishOneIDSeveralTimes: a publisher may use an id for the SMS and the mail of one
// login, and another app may use it too. The stream stores each of these messages. Of two
// messages with one subject and one id it keeps the first, and reports a duplicate.
func TestPublishOneIDSeveralTimes(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{})
	longest := strings.Repeat("7", 200)
	for i, c := range []struct {
		name    string
		subject messages.Subject
		id      string
		want    uint64 // the place in the stream
		again   bool
	}{
		{"the first", messages.Subject{Channel: messages.SMS, Key: "u1"}, "login-1", 1, false},
		{"by mail", messages.Subject{Channel: messages.Email, Key: "u1"}, "login-1", 2, false},
		{"of another app", messages.Subject{App: "shop", Channel: messages.SMS, Key: "u1"}, "login-1", 3, false},
		{"for another purpose", messages.Subject{Channel: messages.SMS, Type: messages.Register, Key: "u1"}, "login-1", 4, false},
		{"for another user", messages.Subject{Channel: messages.SMS, Key: "u2"}, "login-1", 5, false},
		{"a second code for the same subject", messages.Subject{Channel: messages.SMS, Key: "u1"}, "login-1", 1, true},
		{"a second code with an id of its own", messages.Subject{Channel: messages.SMS, Key: "u1"}, "login-1.2", 6, false},
		{"the longest id", messages.Subject{Channel: messages.SMS, Key: "u3"}, longest, 7, false},
		{"the longest id by mail", messages.Subject{Channel: messages.Email, Key: "u3"}, longest, 8, false},
		{"the longest id again", messages.Subject{Channel: messages.SMS, Key: "u3"}, longest, 7, true},
	} {
		_, m := code()
		m.ID, m.Payload = c.id, messages.Payload{"code": fmt.Sprintf("10000%d", i)}
		if m.Type = c.subject.Type; m.Type == "" {
			m.Type = messages.SignIn
		}
		if c.subject.Channel == messages.Email {
			m.To = "foo@example.com"
		}
		ack, err := p.Publish(t.Context(), c.subject, m)
		if want := (messages.Ack{ID: c.id, Sequence: c.want, Duplicate: c.again}); err != nil || ack != want {
			t.Errorf("%s: %+v, %v, want %+v", c.name, ack, err, want)
		}
	}
	if n := natstest.Stored(t, js); n != 7 { // login-1.2 has replaced login-1 of the same subject
		t.Errorf("%d messages are stored, want 7", n)
	}
}

func TestPublishEndsWithItsContext(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	p := newPublisher(t, srv.Connect(t, nats.SetCustomDialer(newLossyDialer(1000))), messages.PublisherOptions{})
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

// TestPublishAsyncWaitsForRoom: beyond MaxPending, PublishAsync blocks until there is room.
func TestPublishAsyncWaitsForRoom(t *testing.T) {
	t.Parallel()
	srv, dialer := natstest.Start(t), newLossyDialer(1)
	js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	// The lost acknowledgement blocks the only place for longer than nats.go's own stall wait.
	p := newPublisher(t, srv.Connect(t, nats.SetCustomDialer(dialer)), messages.PublisherOptions{MaxPending: 1, AckWait: 400 * time.Millisecond})
	var all []messages.Pending
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
	if n := natstest.Stored(t, js); n != 3 {
		t.Errorf("%d messages are stored, want 3", n)
	}
}
