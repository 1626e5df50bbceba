package exchange

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestAConnectionServesAgain over TCP and over TLS.
func TestAConnectionServesAgain(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			srv, conns := counted(t, echo)
			c := direct(Options{})
			if secure {
				srv.StartTLS()
				c = direct(Options{TLS: trusting(srv)})
			} else {
				srv.Start()
			}
			for i := range 3 {
				want := strings.Repeat("x", i*10_000)
				if status, body, err := ask(t.Context(), c, post(t, srv.URL, want)); status != 200 || body != want || err != nil {
					t.Fatalf("%d, %d bytes, %v", status, len(body), err)
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
			srv.CloseClientConnections()
			awaitNoise(t, c)
			if _, body, err := ask(t.Context(), c, post(t, srv.URL, "again")); body != "again" || err != nil {
				t.Errorf("after the connection was closed: %q, %v", body, err)
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

// awaitNoise waits until something has come over the kept connections.
func awaitNoise(t testing.TB, c *Client) {
	t.Helper()
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-ticks.C {
		noisy := true
		c.idle.mu.Lock()
		for _, conns := range c.idle.conns {
			for _, k := range conns {
				noisy = noisy && !k.silent()
			}
		}
		c.idle.mu.Unlock()
		if noisy {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing came")
		}
	}
}

func kept(c *Client) bool {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	for _, conns := range c.idle.conns {
		if len(conns) > 0 {
			return true
		}
	}
	return false
}

// TestADeadlineDoesNotStick: what one exchange may take says nothing of the next one
// over its connection.
func TestADeadlineDoesNotStick(t *testing.T) {
	srv, conns := counted(t, echo)
	srv.Start()
	c := direct(Options{})
	r := post(t, srv.URL, "a")
	r.Deadline = time.Now().Add(time.Second)
	if _, _, err := ask(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(r.Deadline))
	if _, _, err := ask(t.Context(), c, post(t, srv.URL, "a")); err != nil || conns.Load() != 1 {
		t.Errorf("%v, over %d connections", err, conns.Load())
	}
}

// TestWhatAnswersUnasked serves no request: its answer would be taken for that of the
// next one.
func TestWhatAnswersUnasked(t *testing.T) {
	said := make(chan struct{})
	var once sync.Once
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		for c.ReadRequest() {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			once.Do(func() {
				<-said
				c.Say("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
			})
		}
	})
	c := direct(Options{})
	if status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "a")); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	close(said)
	awaitNoise(t, c)
	if status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "b")); status != 200 || err != nil {
		t.Fatal(status, err)
	}
}

func TestIdleConnectionsClose(t *testing.T) {
	gone := make(chan struct{})
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Wait()
		gone <- struct{}{}
	})
	for _, timeout := range []time.Duration{-1, 50 * time.Millisecond} {
		c := direct(Options{IdleTimeout: timeout})
		for range 2 {
			if _, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "a")); err != nil {
				t.Fatal(err)
			}
			<-gone
		}
		if timeout < 0 && kept(c) {
			t.Error("a connection is kept")
		}
	}
}

// TestWhatIsIdleLongestCloses first, and the timer comes again for the rest.
func TestWhatIsIdleLongestCloses(t *testing.T) {
	i := newIdle(time.Hour)
	now := time.Now()
	a, b := origin{"http", "a"}, origin{"http", "b"}
	for n, to := range []origin{a, b, a, b} {
		k := &conn{}
		i.put(to, k)
		k.since = now.Add(time.Duration(n) * time.Minute)
	}
	for n, want := range []int{1, 1, 1, 1, 0} {
		if old := i.old(now.Add(time.Hour + time.Duration(n)*time.Minute)); len(old) != want {
			t.Fatalf("after %d minutes more %d are old", n, len(old))
		}
		if left := i.closing != nil; left != (n < 3) {
			t.Errorf("after %d minutes more the timer goes: %v", n, left)
		}
	}
}

// TestWhatComesTooLate uses up no connection.
func TestWhatComesTooLate(t *testing.T) {
	srv, conns := counted(t, echo)
	srv.Start()
	c := direct(Options{})
	for i := range 3 {
		r := post(t, srv.URL, "a")
		if late := i == 1; late {
			r.Deadline = time.Now()
		}
		_, _, err := ask(t.Context(), c, r)
		if late := i == 1; late && (left(t, err) || !errors.Is(err, context.DeadlineExceeded)) || !late && err != nil {
			t.Error(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}
