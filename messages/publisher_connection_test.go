package messages_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestPublishWhileTheServerIsAway(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	status := make(chan nats.Status, 10)
	nc := srv.Connect(t,
		nats.DisconnectErrHandler(func(*nats.Conn, error) { status <- nats.RECONNECTING }),
		nats.ReconnectHandler(func(*nats.Conn) { status <- nats.CONNECTED }))
	p := newPublisher(t, nc, messages.PublisherOptions{Timeout: 200 * time.Millisecond})
	srv.Stop()
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
	var err error
	for short := 20 * time.Millisecond; short < 10*time.Second; short *= 2 { // a slow machine tries nothing in a short time
		ctx, cancel := context.WithTimeout(t.Context(), short)
		_, err = p.Publish(ctx, s, m)
		cancel()
		if errors.Is(err, messages.ErrNotConnected) {
			break
		}
	}
	if !errors.Is(err, messages.ErrNotConnected) {
		t.Errorf("Publish with a short context: %v, want ErrNotConnected", err)
	}

	srv.Again(t)
	if got := <-status; got != nats.CONNECTED {
		t.Fatalf("the connection is %s", got)
	}
	// A message that this connection had buffered would arrive before the flush's answer.
	awaitConnection(t, nc)
	awaitConnection(t, js.Conn())
	if n := natstest.Stored(t, js); n != 0 {
		t.Errorf("%d messages are stored after their publish had failed, want none", n)
	}
	// The time-out above is too short for an answer from a busy server.
	ack, err := newPublisher(t, nc, messages.PublisherOptions{}).Publish(t.Context(), s, m)
	if err != nil {
		t.Fatalf("Publish after the server is back: %v", err)
	}
	if ack.Duplicate || ack.Sequence != 1 {
		t.Errorf("Publish after the server is back returns %+v, want sequence 1 and no duplicate", ack)
	}
}

// awaitConnection waits until a connection reaches its server. On a busy machine it can
// break once more.
func awaitConnection(t *testing.T, nc *nats.Conn) {
	t.Helper()
	check.Eventually(t, "the connection is up", func() bool { return nc.Flush() == nil })
}

func TestPublishContinuesWhenTheServerIsBack(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	js := natstest.Provision(t, srv.Connect(t), wire.StreamOptions{})
	away := make(chan struct{}, 10)
	nc := srv.Connect(t, nats.DisconnectErrHandler(func(*nats.Conn, error) { away <- struct{}{} }))
	p := newPublisher(t, nc, messages.PublisherOptions{})
	srv.Stop()
	<-away
	done := make(chan error, 1)
	go func() {
		s, m := code()
		_, err := p.Publish(context.Background(), s, m)
		done <- err
	}()
	srv.Again(t)
	if err := <-done; err != nil {
		t.Error(err)
	}
	awaitConnection(t, js.Conn())
	if n := natstest.Stored(t, js); n != 1 {
		t.Errorf("%d messages are stored, want 1", n)
	}
}

// TestPublishLeavesASilentServer: of two servers, the first takes codes and never answers, as a
// node does that is cut off from its cluster. The publish goes on at the second.
func TestPublishLeavesASilentServer(t *testing.T) {
	t.Parallel()
	silent, well := natstest.Start(t), natstest.Start(t)
	js := natstest.Provision(t, well.Connect(t), wire.StreamOptions{})
	if _, err := silent.Connect(t).Subscribe("codeferry.send.>", func(*nats.Msg) {}); err != nil {
		t.Fatal(err)
	}
	nc := silent.Connect(t, func(o *nats.Options) error {
		o.Servers, o.NoRandomize = []string{silent.ClientURL(), well.ClientURL()}, true
		return nil
	})
	p := newPublisher(t, nc, messages.PublisherOptions{AckWait: time.Second, Timeout: time.Minute})
	s, m := code()
	if _, err := p.Publish(t.Context(), s, m); err != nil {
		t.Errorf("Publish: %v", err)
	}
	check.Equal(t, "the server it is at", nc.ConnectedUrl(), well.ClientURL())
	check.Equal(t, "stored messages", natstest.Stored(t, js), 1)
}

func TestPublishOnAClosedConnection(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t)
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

func TestNewPublisherRefusesAConnectionThatBuffers(t *testing.T) {
	t.Parallel()
	srv := natstest.Start(t)
	for name, opts := range map[string][]nats.Option{
		"default": nil, "large": {nats.ReconnectBufSize(1 << 20)},
	} {
		nc, err := nats.Connect(srv.ClientURL(), opts...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := messages.NewPublisher(nc, messages.PublisherOptions{}); err == nil || !strings.Contains(err.Error(), "ReconnectBufSize(-1)") {
			t.Errorf("%s: error is %v, want one that names ReconnectBufSize(-1)", name, err)
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

func TestConnectOverridesReconnectBufSize(t *testing.T) {
	t.Parallel()
	nc := natstest.Start(t).Connect(t, nats.ReconnectBufSize(1<<20))
	newPublisher(t, nc, messages.PublisherOptions{})
}
