package messages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
)

func reissue(app, key string) messages.Reissue {
	return messages.Reissue{
		ID: "01JDCT5Z6Q0000000000000000", App: app, Channel: messages.SMS, Type: messages.SignIn, Key: key,
		To: "+86130****5678", DeadAt: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC),
	}
}

// ask asks for a new code, with time enough to get one.
func ask(t *testing.T, nc *nats.Conn, r messages.Reissue) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	return messages.RequestReissue(ctx, nc, r)
}

func onReissue(ctx context.Context, t *testing.T, nc *nats.Conn, app, group string, f func(context.Context, messages.Reissue) error) {
	t.Helper()
	sub, err := messages.OnReissue(ctx, nc, app, group, f)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
}

func TestReissueReachesItsApp(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	asker, service := s.connect(t), s.connect(t)
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
		t.Errorf("heard %+v, asked %+v", got, want)
	}
	if err := ask(t, asker, reissue("bank", "user-1")); !errors.Is(err, messages.ErrNobodyListens) {
		t.Errorf("another app's: %v", err)
	}
	onReissue(t.Context(), t, service, "*", "all", func(context.Context, messages.Reissue) error { return nil })
	if err := ask(t, asker, reissue("bank", "user-1")); err != nil {
		t.Errorf("every app's: %v", err)
	}
}

func TestReissueIsRefused(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	onReissue(t.Context(), t, nc, "shop", "auth", func(context.Context, messages.Reissue) error {
		return errors.New("this user has gone")
	})
	if err := ask(t, nc, reissue("shop", "user-1")); !errors.Is(err, messages.ErrReissueRefused) || !strings.HasSuffix(err.Error(), ": this user has gone") {
		t.Errorf("refused: %v", err)
	}
	m, err := nc.Request("codeferry.reissue.shop.sms.SignIn.user-1", []byte("{"), 20*time.Second)
	if err != nil || string(m.Data) != "the request is no JSON" {
		t.Errorf("no JSON: %v, %v", m, err)
	}
}

func TestServicesOfAGroupShareTheReissues(t *testing.T) {
	t.Parallel()
	s := startServer(t)
	asker := s.connect(t)
	heard := make(chan string, 100)
	for range 3 {
		onReissue(t.Context(), t, s.connect(t), "shop", "auth", func(_ context.Context, r messages.Reissue) error {
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
			t.Errorf("heard %s, want %s", got, key)
		}
	}
	if len(heard) != 0 {
		t.Errorf("%d requests were heard more than once", len(heard))
	}
}

func TestReissueContexts(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	type mark struct{}
	ctx, cancel := context.WithCancel(context.WithValue(t.Context(), mark{}, "the service's"))
	release, entered := make(chan struct{}), make(chan struct{}, 1)
	onReissue(ctx, t, nc, "shop", "auth", func(ctx context.Context, r messages.Reissue) error {
		if ctx.Value(mark{}) != "the service's" {
			t.Error("the service is given another context")
		}
		if r.Key == "slow" {
			entered <- struct{}{}
			<-release
		}
		return ctx.Err()
	})

	// One that is not taken in time may still be: to ask again is all that can be done.
	soon, cancelSoon := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancelSoon()
	if err := messages.RequestReissue(soon, nc, reissue("shop", "slow")); !errors.Is(err, messages.ErrNobodyListens) {
		t.Errorf("out of time: %v", err)
	}
	<-entered
	stopped, stop := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, stop)
	if err := messages.RequestReissue(stopped, nc, reissue("shop", "next")); !errors.Is(err, context.Canceled) || errors.Is(err, messages.ErrNobodyListens) {
		t.Errorf("the asker stopped: %v", err)
	}
	close(release)

	cancel()
	if err := ask(t, nc, reissue("shop", "late")); err == nil || !strings.Contains(err.Error(), context.Canceled.Error()) {
		t.Errorf("a service that ends: %v", err)
	}
}

func TestReissueSubscriptionsThatCanNotBegin(t *testing.T) {
	t.Parallel()
	nc := startServer(t).connect(t)
	never := func(context.Context, messages.Reissue) error { return nil }
	for _, app := range []string{"", "a.b", ">", "a b", "**"} {
		_, err := messages.OnReissue(t.Context(), nc, app, "auth", never)
		wantField(t, err, "app")
	}
	if _, err := messages.OnReissue(t.Context(), nc, "shop", "two words", never); !errors.Is(err, nats.ErrBadQueueName) {
		t.Errorf("a bad group: %v", err)
	}
	_, err := messages.OnReissue(t.Context(), nc, "shop", "", never)
	wantField(t, err, "group")
	nc.Close()
	if _, err := messages.OnReissue(t.Context(), nc, "shop", "auth", never); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("a closed connection: %v", err)
	}
	if err := ask(t, nc, reissue("shop", "user-1")); err == nil || errors.Is(err, messages.ErrNobodyListens) {
		t.Errorf("asked over a closed connection: %v", err)
	}
}
