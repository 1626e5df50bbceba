package broker_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
)

// mute is a server that speaks as much of NATS's protocol as a client needs, until it falls
// silent in one of several ways.
type mute struct {
	l net.Listener
	// silent: it accepts connections and reads, and says nothing. deaf: it does not even
	// read.
	silent, deaf atomic.Bool
	// accepted hears of a connection if there is room.
	accepted chan struct{}
}

func newMute(t *testing.T) *mute {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{l: l, accepted: make(chan struct{}, 1)}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan struct{}, 100)
	served := make(chan int, 1)
	go func() {
		n := 0
		for {
			c, err := l.Accept()
			if err != nil {
				served <- n
				return
			}
			n++
			select {
			case m.accepted <- struct{}{}:
			default:
			}
			go func() { m.serve(ctx, c); ended <- struct{}{} }()
		}
	}()
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		for range <-served {
			<-ended
		}
	})
	return m
}

func (m *mute) url() string { return "nats://" + m.l.Addr().String() }

func (m *mute) serve(ctx context.Context, c net.Conn) {
	defer context.AfterFunc(ctx, func() { _ = c.Close() })()
	defer func() { _ = c.Close() }()
	if !m.silent.Load() {
		_, _ = fmt.Fprintf(c, "INFO {\"server_id\":\"m\",\"version\":\"2.15.2\",\"max_payload\":1048576,\"proto\":1,\"headers\":true}\r\n")
	}
	lines := bufio.NewReader(c)
	for !m.deaf.Load() {
		line, err := lines.ReadString('\n')
		if err != nil {
			return
		}
		if strings.HasPrefix(line, "PING") && !m.silent.Load() {
			_, _ = c.Write([]byte("PONG\r\n"))
		}
	}
	<-ctx.Done()
}

// TestASilentServerIsLeft: in whichever way a server is silent, the connection goes to the
// next server of the list.
func TestASilentServerIsLeft(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		// before changes the first server before the client connects, after does afterwards.
		before, after func(*mute)
		busy          bool
	}{
		"it freezes":                             {after: func(m *mute) { m.silent.Store(true) }},
		"it freezes while much is sent":          {after: func(m *mute) { m.silent.Store(true); m.deaf.Store(true) }, busy: true},
		"it was frozen before the client begins": {before: func(m *mute) { m.silent.Store(true) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := newMute(t), newMute(t)
			if tt.before != nil {
				tt.before(first)
				second, first = first, second
			} else {
				second.silent.Store(true) // so that the first connection goes to the first
			}
			nc, err := broker.Connect(t.Context(), broker.Target{URL: first.url() + "," + second.url(), Name: "test"}, zerolog.Nop())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(nc.Close)
			if "nats://"+nc.ConnectedAddr() != first.url() {
				t.Fatalf("connected to %s, not %s", nc.ConnectedAddr(), first.url())
			}
			if tt.after == nil {
				return
			}
			back := nc.StatusChanged(nats.CONNECTED)
			second.silent.Store(false)
			tt.after(first)
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second) // with nats.go's defaults it would take minutes
			defer cancel()
			if tt.busy {
				go func() {
					for ctx.Err() == nil && "nats://"+nc.ConnectedAddr() != second.url() {
						_ = nc.Publish("x", make([]byte, 1<<20)) // it fails once the server reads no more
					}
				}()
			}
			select {
			case <-back:
			case <-ctx.Done():
				t.Fatalf("it stays with the silent server: %v", nc.Status())
			}
			if "nats://"+nc.ConnectedAddr() != second.url() {
				t.Errorf("it went to %s", nc.ConnectedAddr())
			}
		})
	}
}

func TestConnectToASilentServerSaysSo(t *testing.T) {
	t.Parallel()
	m := newMute(t)
	m.silent.Store(true)
	_, err := broker.Connect(t.Context(), broker.Target{URL: m.url(), Name: "test"}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), m.url()+" accepts the connection and says nothing") {
		t.Errorf("got %v", err)
	}
}

// TestConnectToAStalledHandshakeSaysSo: the server speaks, and does not finish the TLS handshake.
func TestConnectToAStalledHandshakeSaysSo(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = io.WriteString(c, `INFO {"server_id":"x","version":"2.15.2","tls_required":true,"max_payload":1048576}`+"\r\n") // an error fails the test below
		}
	}()
	t.Cleanup(func() {
		_ = l.Close()
		<-ended
	})
	_, err = broker.Connect(t.Context(), broker.Target{URL: "tls://" + l.Addr().String(), Name: "test"}, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "does not finish the TLS handshake; is it busy, or frozen?") {
		t.Errorf("got %v", err)
	}
}

// TestConnectEndsWithItsContext, wherever it waits; the connection that it made does not.
func TestConnectEndsWithItsContext(t *testing.T) {
	t.Parallel()
	enough := errors.New("enough")
	m := newMute(t)
	m.silent.Store(true)
	ctx, stop := context.WithCancelCause(t.Context())
	defer stop(nil)
	go func() { <-m.accepted; stop(enough) }()
	_, err := broker.Connect(ctx, broker.Target{URL: m.url() + "," + m.url(), Name: "test"}, zerolog.Nop())
	if !errors.Is(err, enough) {
		t.Errorf("while the server says nothing: got %v, want the context's cause", err)
	}
	if _, err = broker.Connect(ctx, broker.Target{URL: "nats://localhost:1", Name: "test"}, zerolog.Nop()); !errors.Is(err, enough) {
		t.Errorf("with an ended context: got %v, want its cause", err)
	}

	live := newMute(t)
	ctx, cancel := context.WithCancel(t.Context())
	nc, err := broker.Connect(ctx, broker.Target{URL: live.url(), Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	cancel()
	if err := nc.FlushTimeout(10 * time.Second); err != nil {
		t.Errorf("the connection ended with the context of Connect: %v", err)
	}
}

// TestRenewRefusesAnInvalidAddress, and shows nothing of it.
func TestRenewRefusesAnInvalidAddress(t *testing.T) {
	t.Parallel()
	m := newMute(t)
	nc, err := broker.Connect(t.Context(), broker.Target{URL: m.url(), Name: "test"}, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	for _, url := range []string{"nats://me:s3cret@127.0.0.1:notaport", "nats://me:s3cret%zz@127.0.0.1:4222"} {
		if err := broker.Renew(nc, broker.Target{URL: url}); err == nil || strings.Contains(err.Error(), "s3cret") || !strings.Contains(err.Error(), "nats.url") {
			t.Errorf("%s: %v", url, err)
		}
	}
	nc.Close()
	if err := broker.Renew(nc, broker.Target{URL: m.url()}); err == nil {
		t.Error("a closed connection takes credentials")
	}
}
