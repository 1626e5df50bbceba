package messages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func reissue(app, key string) messages.Reissue {
	return messages.Reissue{
		ID: "01JDCT5Z6Q0000000000000000", App: app, Channel: messages.SMS, Type: messages.SignIn, Key: key,
		To: "+86130****5678", DeadAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
}

// ask requests a new code, with a generous time-out.
func ask(t *testing.T, nc *nats.Conn, r messages.Reissue) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return wire.RequestReissue(ctx, nc, r)
}

func onReissue(ctx context.Context, t *testing.T, nc *nats.Conn, app, group string, f func(context.Context, messages.Reissue) error) {
	t.Helper()
	sub, err := messages.OnReissue(ctx, nc, app, group, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func TestOnReissueGetsItsApp(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	asker, service := s.Connect(t), s.Connect(t)
	heard := make(chan messages.Reissue, 10)
	onReissue(t.Context(), t, service, "shop", "auth", func(_ context.Context, r messages.Reissue) error {
		heard <- r
		return nil
	})
	want := reissue("shop", "user-1")
	if err := ask(t, asker, want); err != nil {
		t.Fatal(err)
	}
	if got := <-heard; got != want {
		t.Errorf("the service got %+v, want %+v", got, want)
	}
	if err := ask(t, asker, reissue("bank", "user-1")); !errors.Is(err, wire.ErrNobodyListens) {
		t.Errorf("for another app: error is %v, want ErrNobodyListens", err)
	}
	onReissue(t.Context(), t, service, "*", "all", func(context.Context, messages.Reissue) error { return nil })
	if err := ask(t, asker, reissue("bank", "user-1")); err != nil {
		t.Errorf("with a service for every app: %v", err)
	}
}

func TestRequestReissueRefused(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	onReissue(t.Context(), t, nc, "shop", "auth", func(context.Context, messages.Reissue) error {
		return errors.New("this user no longer exists")
	})
	if err := ask(t, nc, reissue("shop", "user-1")); !errors.Is(err, wire.ErrReissueRefused) || !strings.HasSuffix(err.Error(), ": this user no longer exists") {
		t.Errorf("error is %v, want ErrReissueRefused and the service's reason", err)
	}
	m, err := nc.Request("codeferry.reissue.shop.sms.SignIn.user-1", []byte("{"), 20*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := string(m.Data), "the request is not JSON"; got != want {
		t.Errorf("the answer to a bad request is %q, want %q", got, want)
	}
}

func TestOnReissueGroupSharesRequests(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	asker := s.Connect(t)
	heard := make(chan string, 100)
	for range 3 {
		onReissue(t.Context(), t, s.Connect(t), "shop", "auth", func(_ context.Context, r messages.Reissue) error {
			heard <- r.Key
			return nil
		})
	}
	keys := []string{"1", "2", "3", "4", "5", "6", "7", "8", "9"}
	for _, key := range keys {
		if err := ask(t, asker, reissue("shop", key)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range keys {
		if got := <-heard; got != key {
			t.Errorf("the next request is for %s, want %s", got, key)
		}
	}
	if len(heard) != 0 {
		t.Errorf("%d requests came more than once", len(heard))
	}
}

func TestReissueContexts(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	type mark struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), mark{}, "the service's"))
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	onReissue(ctx, t, nc, "shop", "auth", func(ctx context.Context, r messages.Reissue) error {
		if ctx.Value(mark{}) != "the service's" {
			t.Error("f does not get the context of OnReissue")
		}
		if r.Key == "slow" {
			entered <- struct{}{}
			<-release
		}
		return ctx.Err()
	})

	// The service can still take a request after the asker's time-out: the asker asks again.
	soon, cancelSoon := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancelSoon()
	if err := wire.RequestReissue(soon, nc, reissue("shop", "slow")); !errors.Is(err, wire.ErrNobodyListens) {
		t.Errorf("after the deadline: error is %v, want ErrNobodyListens", err)
	}
	<-entered
	stopped, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if err := wire.RequestReissue(stopped, nc, reissue("shop", "next")); !errors.Is(err, context.Canceled) || errors.Is(err, wire.ErrNobodyListens) {
		t.Errorf("after a cancel: error is %v, want only the context's", err)
	}
	close(release)

	cancel()
	if err := ask(t, nc, reissue("shop", "late")); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("with a service whose context has ended: error is %v, want its context's", err)
	}
}

func TestOnReissueCanNotBegin(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
	never := func(context.Context, messages.Reissue) error { return nil }
	for _, app := range []string{"", "a.b", ">", "a b", "**"} {
		_, err := messages.OnReissue(t.Context(), nc, app, "auth", never)
		wantField(t, err, "app")
	}
	if _, err := messages.OnReissue(t.Context(), nc, "shop", "two words", never); !errors.Is(err, nats.ErrBadQueueName) {
		t.Errorf("with a bad group: error is %v, want ErrBadQueueName", err)
	}
	_, err := messages.OnReissue(t.Context(), nc, "shop", "", never)
	wantField(t, err, "group")
	nc.Close()
	if _, err := messages.OnReissue(t.Context(), nc, "shop", "auth", never); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("OnReissue on a closed connection: error is %v, want ErrConnectionClosed", err)
	}
	if err := ask(t, nc, reissue("shop", "user-1")); err == nil || errors.Is(err, wire.ErrNobodyListens) {
		t.Errorf("RequestReissue on a closed connection: error is %v, want one other than ErrNobodyListens", err)
	}
}
