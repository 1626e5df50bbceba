package archive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

func streams(t *testing.T) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(natstest.Start(t).Connect(t))
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(t.Context(), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	return js
}

func store(t *testing.T, js jetstream.JetStream, letters ...messages.DeadLetter) {
	t.Helper()
	for _, d := range letters {
		body, err := json.Marshal(d)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), wire.DeadSubject(d.App, d.Channel, d.Reason), body); err != nil {
			t.Fatal(err)
		}
	}
}

func found(t *testing.T, js jetstream.JetStream, f archive.Filter) string {
	t.Helper()
	var ids []string
	if err := archive.DeadLetters(t.Context(), js, f, func(l archive.Letter) error {
		if !f.Takes(&l) {
			t.Errorf("DeadLetters returned %+v, which the filter does not take", l)
		}
		ids = append(ids, l.ID)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return strings.Join(ids, " ")
}

func TestFilters(t *testing.T) {
	t.Parallel()
	js := streams(t)
	if got := found(t, js, archive.Filter{}); got != "" {
		t.Errorf("an empty stream has %s", got)
	}
	now := time.Now()
	letter := func(id string, c messages.Channel, r messages.Reason, ago time.Duration) messages.DeadLetter {
		return messages.DeadLetter{
			ID: id, App: "default", Channel: c, Type: messages.SignIn, Reason: r, Connector: "x-" + string(c), Code: "c-" + string(r),
			To: "+86139****2345", ToHash: "h-" + id, DeadAt: now.Add(-ago),
			Attempts: []messages.Attempt{{Connector: "x"}}, Message: &messages.SendCode{ID: id, Type: messages.SignIn, Sealed: &messages.Sealed{Key: "03c3ce5416a378a6", Box: make([]byte, 80)}},
		}
	}
	other := letter("other", messages.SMS, messages.ReasonRejected, 0)
	other.App, other.Type, other.To = "shop", messages.Generic, "+86138****2345"
	store(t, js, letter("a", messages.SMS, messages.ReasonRejected, 3*time.Minute), letter("b", messages.Email, messages.ReasonRejected, 2*time.Minute),
		letter("c", messages.SMS, messages.ReasonLimited, time.Minute), other)
	for _, c := range []struct {
		f    archive.Filter
		want string
	}{
		{archive.Filter{}, "a b c other"},
		{archive.Filter{App: "shop"}, "other"},
		{archive.Filter{Channel: messages.Email}, "b"},
		{archive.Filter{Reason: messages.ReasonRejected}, "a b other"},
		{archive.Filter{Type: messages.Test}, "other"},
		{archive.Filter{Connector: "x-sms"}, "a c other"},
		{archive.Filter{Code: "c-limited"}, "c"},
		{archive.Filter{Since: now.Add(-2 * time.Minute)}, "b c other"},
		{archive.Filter{Until: now.Add(-2 * time.Minute)}, "a"},
		{archive.Filter{Since: now.Add(-2 * time.Minute), Until: now.Add(-time.Second)}, "b c"},
		{archive.Filter{To: "+8613955512345"}, "a b c"},
		{archive.Filter{To: "+8613955512345", ToHashes: []string{"h-c", "h-x"}}, "c"},
		{archive.Filter{IDs: []string{"c", "nobody", "a"}}, "a c"},
	} {
		if got := found(t, js, c.f); got != c.want {
			t.Errorf("filter %+v: got %s, want %s", c.f, got, c.want)
		}
	}
	for n, want := range map[uint32]string{1: "other", 2: "c other", 4: "a b c other", 9: "a b c other"} {
		letters, more, err := archive.Newest(t.Context(), js, archive.Filter{}, n)
		var ids []string
		for _, l := range letters {
			ids = append(ids, l.ID)
		}
		if err != nil || strings.Join(ids, " ") != want || more != (n < 4) {
			t.Errorf("the newest %d: %v, %t, %v", n, ids, more, err)
		}
	}
	if err := archive.Heads(t.Context(), js, archive.Filter{Code: "c-limited"}, func(l archive.Letter) error {
		check.Equal(t, "the id", l.ID, "c")
		check.True(t, "the address is set", l.To != "", l)
		check.True(t, "it has no attempts", l.Attempts == nil, l.Attempts)
		check.True(t, "it has no decoded message", l.Message == nil, l.Message)
		check.True(t, "the body has the message", strings.Contains(string(l.Body), `"id":"c"`), string(l.Body))
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	// When all are removed, a read does not wait for more.
	remover, err := archive.NewRemover(t.Context(), js)
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.Each(t.Context(), js, archive.Filter{Reason: messages.ReasonRejected}, 3, remover.Erase); err != nil {
		t.Fatal(err)
	}
	if got := found(t, js, archive.Filter{}); got != "c" {
		t.Errorf("%s is left", got)
	}
	for range 2 { // the second time it is gone already
		if err := remover.Remove(t.Context(), archive.Letter{Place: 3}); err != nil {
			t.Fatal(err)
		}
	}
	if got := found(t, js, archive.Filter{}); got != "" {
		t.Errorf("%s is left", got)
	}
}

// TestNewestLooksFarBack: the wanted dead letters may be far older than the newest one.
func TestNewestLooksFarBack(t *testing.T) {
	t.Parallel()
	js := streams(t)
	for i := range 300 {
		d := messages.DeadLetter{ID: fmt.Sprint(i), App: "default", Channel: messages.SMS, Reason: messages.ReasonRejected}
		if i == 7 {
			d.Code = "rare"
		}
		store(t, js, d)
	}
	letters, more, err := archive.Newest(t.Context(), js, archive.Filter{Code: "rare"}, 2)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "more", more, false)
	if len(letters) != 1 {
		t.Fatalf("got %d dead letters, want 1", len(letters))
	}
	check.Equal(t, "the id", letters[0].ID, "7")
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	t.Parallel()
	js := streams(t)
	for i := range 50 {
		store(t, js, messages.DeadLetter{ID: fmt.Sprint(i), App: "default", Channel: messages.SMS, Reason: messages.ReasonRejected})
	}
	broken := errors.New("broken")
	var calls atomic.Int64
	err := archive.Each(t.Context(), js, archive.Filter{}, 2, func(context.Context, archive.Letter) error {
		if calls.Add(1) == 5 {
			return broken
		}
		return nil
	})
	if !errors.Is(err, broken) {
		t.Errorf("the error is %v, want %v", err, broken)
	}
	if n := calls.Load(); n > 10 {
		t.Errorf("f was called %d times, want at most 10", n)
	}
}
