package messages_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestPublishRefusesBadMessages(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{})
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
		{"the number that is sent as key", func(s *messages.Subject, m *messages.SendCode) { s.Key, m.To = "525512345678", "+5215512345678" }, "key"},
		{"its old form as key", func(s *messages.Subject, m *messages.SendCode) { s.Key, m.To = "15512345678", "+5215512345678" }, "key"},
		{"full-width phone as key", func(s *messages.Subject, m *messages.SendCode) {
			s.Key, m.To = "8613987650001", "＋８６１３９８７６５０００１"
		}, "key"},
		{"phone in the key", key("user:8613987650001"), "key"},
		{"no address", func(_ *messages.Subject, m *messages.SendCode) { m.To = "" }, "to"},
		{"address of the other channel", func(_ *messages.Subject, m *messages.SendCode) { m.To = "foo@example.com" }, "to"},
		{"no payload", func(_ *messages.Subject, m *messages.SendCode) { m.Payload = nil }, "payload"},
		{"number as code", func(_ *messages.Subject, m *messages.SendCode) { m.Payload["code"] = 739205 }, "payload.code"},
		{"payload that is not JSON", func(_ *messages.Subject, m *messages.SendCode) { m.Payload["x"] = func() {} }, "payload"},
		{"id", func(_ *messages.Subject, m *messages.SendCode) { m.ID = "a b" }, "id"},
		{"body", func(_ *messages.Subject, m *messages.SendCode) {
			m.Payload["x"] = strings.Repeat("x", wire.MaxBody)
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
	if n := natstest.Stored(t, js); n != 0 {
		t.Errorf("%d messages are stored, want none", n)
	}
}

func TestPublishTakesOtherNumbersAsKeys(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	natstest.Provision(t, nc, wire.StreamOptions{})
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
	nc := natstest.Start(t).Connect(t)
	natstest.Provision(t, nc, wire.StreamOptions{})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock})
	s, m := code()
	m.ID, m.CreatedAt, m.Payload["x"] = strings.Repeat("7", 200), now, ""
	b, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	m.Payload["x"] = strings.Repeat("x", wire.MaxBody-len(b))
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Error(err)
	}
	m.Payload["x"] = strings.Repeat("x", wire.MaxBody-len(b)+1)
	_, err = p.Publish(t.Context(), s, m)
	wantField(t, err, "body")
}

func TestPublishWithoutStreams(t *testing.T) {
	t.Parallel()
	// The last try begins after 1.55 s, about a second before the time-out.
	p := newPublisher(t, natstest.Start(t).Connect(t), messages.PublisherOptions{Timeout: 2500 * time.Millisecond})
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

// TestPublishWaitsForTheStream: while a cluster elects a leader, nobody answers for its stream.
func TestPublishWaitsForTheStream(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	p := newPublisher(t, nc, messages.PublisherOptions{})
	sent := nc.Stats().OutMsgs
	done := make(chan error, 1)
	go func() {
		s, m := code()
		_, err := p.Publish(context.Background(), s, m)
		done <- err
	}()
	for nc.Stats().OutMsgs == sent { // until the first try
		if err := nc.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	js := natstest.Provision(t, nc, wire.StreamOptions{})
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := natstest.Stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

// TestPublishToAFullServer: the stream is not at its limit, but another stream has taken the
// rest of the server's store.
func TestPublishToAFullServer(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t, func(o *server.Options) { o.JetStreamMaxStore = 64 << 10 }).Connect(t)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	cfg := wire.StreamConfigs(wire.StreamOptions{})[0]
	cfg.MaxBytes = -1
	for _, cfg := range []jetstream.StreamConfig{cfg, {Name: "OTHER", Subjects: []string{"other"}}} {
		if _, err := js.CreateStream(t.Context(), cfg); err != nil {
			t.Fatal(err)
		}
	}
	var full error
	for n := 0; n < 100 && full == nil; n++ {
		_, full = js.Publish(t.Context(), "other", make([]byte, 8<<10))
	}
	s, m := code()
	_, err = newPublisher(t, nc, messages.PublisherOptions{}).Publish(t.Context(), s, m)
	if !errors.Is(err, messages.ErrStreamFull) {
		t.Errorf("the other stream got %v, and a publish %v, want ErrStreamFull", full, err)
	}
}

func TestPublishToAFullStream(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	js := natstest.Provision(t, nc, wire.StreamOptions{MaxBytes: 8 << 10})
	p := newPublisher(t, nc, messages.PublisherOptions{Now: clock}) // all of one size: a full stream takes no larger message in place of an older one
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
	if got := natstest.Stored(t, js); got != uint64(n-1) {
		t.Errorf("%d messages are stored, want %d", got, n-1)
	}
	s, m = code()
	s.Key = "user-00"
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Errorf("a newer code in place of an older one: %v", err)
	}
}
