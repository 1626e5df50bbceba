package relay

import (
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// used reports whether a client has connected through the relay.
func (r *Relay) used() bool { return r.Accepted() > 0 }

// TestStates: which data passes while a relay is open, held, shut, and open again.
func TestStates(t *testing.T) {
	g, err := New(echo(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(g.Close)
	dial := func() net.Conn {
		t.Helper()
		c, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.Addr())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		return c
	}
	say := func(c net.Conn, text string) {
		t.Helper()
		if _, err := io.WriteString(c, text); err != nil {
			t.Errorf("say %s: %v", text, err)
		}
	}
	// hear reads as many bytes as the text has, for at most d.
	hear := func(c net.Conn, text string, d time.Duration) error {
		if err := c.SetReadDeadline(time.Now().Add(d)); err != nil {
			return err
		}
		b := make([]byte, len(text))
		if _, err := io.ReadFull(c, b); err != nil {
			return err
		}
		if string(b) != text {
			t.Errorf("heard %q, want %q", b, text)
		}
		return nil
	}
	const patience, moment = time.Minute, 50 * time.Millisecond

	c := dial()
	say(c, "open")
	if err := hear(c, "open", patience); err != nil {
		t.Errorf("open: %v", err)
	}

	g.Set(Held)
	say(c, "held")
	late := dial()
	say(late, "late")
	for name, conn := range map[string]net.Conn{"held": c, "late": late} {
		if err := hear(conn, name, moment); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: data came through while the relay was held, or the connection broke: %v", name, err)
		}
	}
	g.Set(Open)
	for name, conn := range map[string]net.Conn{"held": c, "late": late} {
		if err := hear(conn, name, patience); err != nil {
			t.Errorf("%s: held data did not come afterwards: %v", name, err)
		}
	}

	g.Forget()
	say(c, "forgotten")
	if err := hear(c, "forgotten", moment); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("data came through a forgotten connection, or the connection broke: %v", err)
	}
	c = dial()
	say(c, "fresh")
	if err := hear(c, "fresh", patience); err != nil {
		t.Errorf("a connection made after the others were forgotten: %v", err)
	}

	g.Set(Shut)
	if err := hear(c, "x", patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection stays open through a relay that is shut: %v", err)
	}
	if err := hear(dial(), "x", patience); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a relay that is shut accepts a new connection: %v", err)
	}
	g.Set(Open)
	c = dial()
	say(c, "again")
	if err := hear(c, "again", patience); err != nil {
		t.Errorf("open again: %v", err)
	}
}

// TestAForgottenEndHearsNothing: when one end of a forgotten connection is closed, the other
// end does not notice. When the relay closes, both ends do.
func TestAForgottenEndHearsNothing(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	g, err := New(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := new(net.Dialer).DialContext(t.Context(), "tcp", g.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	far, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = far.Close() })
	check.Eventually(t, "the relay has taken the connection", g.used)
	g.Forget()
	_ = far.Close()
	if err := c.SetReadDeadline(time.Now().Add(50 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the near end heard %v", err)
	}
	g.Close()
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the near end stays open after the relay has closed: %v", err)
	}
}
