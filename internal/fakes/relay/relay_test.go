package relay

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

// echo is a server that sends back what it reads.
func echo(t *testing.T) (addr string) {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talks.Go(func() {
				defer func() { _ = c.Close() }()
				_, _ = io.Copy(c, c)
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		talks.Wait()
	})
	return l.Addr().String()
}

func opened(t *testing.T) *Relay {
	t.Helper()
	r, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func dial(t *testing.T, r *Relay) net.Conn {
	t.Helper()
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", r.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// says returns nil if a text that is sent comes back in time.
func says(t *testing.T, c net.Conn, within time.Duration) error {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(within)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, "hello"); err != nil {
		return err
	}
	_, err := io.ReadFull(c, make([]byte, 5))
	return err
}

const (
	hang    = 30 * time.Second
	silence = 100 * time.Millisecond
)

func TestForget(t *testing.T) {
	r := opened(t)
	before := dial(t, r)
	if err := says(t, before, hang); err != nil {
		t.Fatalf("an open relay: %v", err)
	}
	r.Forget()
	if err := says(t, before, silence); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("over a forgotten connection: %v, want silence", err)
	}
	after := dial(t, r)
	if err := says(t, after, hang); err != nil {
		t.Errorf("over a new connection: %v", err)
	}
	if n := r.Accepted(); n != 2 {
		t.Errorf("%d connections were counted, want 2", n)
	}
}

// TestAnEndPasses: the end of a connection passes unless the connection is forgotten.
func TestAnEndPasses(t *testing.T) {
	r := opened(t)
	c := dial(t, r)
	if err := says(t, c, hang); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if err := says(t, c, hang); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("after the relay has closed: %v, want the end", err)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := New(gone)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := says(t, dial(t, r), hang); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("to nobody: %v, want the end", err)
	}
}
