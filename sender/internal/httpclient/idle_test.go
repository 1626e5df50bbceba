package httpclient

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestAConnectionServesAgain over TCP and over TLS.
func TestAConnectionServesAgain(t *testing.T) {
	t.Parallel()
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
	check.Eventually(t, "something has come over the kept connections", func() bool {
		noisy := true
		c.idle.mu.Lock()
		for _, conns := range c.idle.conns {
			for _, k := range conns {
				noisy = noisy && !k.silent()
			}
		}
		c.idle.mu.Unlock()
		return noisy
	})
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

// TestADeadlineDoesNotStick: one exchange's deadline does not affect the next one over
// the same connection.
func TestADeadlineDoesNotStick(t *testing.T) {
	t.Parallel()
	srv, conns := counted(t, echo)
	srv.Start()
	c := direct(Options{})
	r := post(t, srv.URL, "a")
	r.Deadline = time.Now().Add(time.Second)
	if _, _, err := ask(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(r.Deadline))
	if _, _, err := ask(t.Context(), c, post(t, srv.URL, "a")); err != nil {
		t.Errorf("the next exchange: %v", err)
	}
	sendertest.Equal(t, "the number of connections", conns.Load(), 1)
}

// TestWhatAnswersUnasked: a connection with an unasked answer is not used, because that
// would count as the answer to the next request.
func TestWhatAnswersUnasked(t *testing.T) {
	t.Parallel()
	said := make(chan struct{})
	var once sync.Once
	srv := faulty.Raw(t, func(c *faulty.Conn) {
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
	t.Parallel()
	gone := make(chan struct{})
	srv := faulty.Raw(t, func(c *faulty.Conn) {
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

// TestWhatIsIdleLongestCloses first, and the timer fires again for the rest.
func TestWhatIsIdleLongestCloses(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := now
	i := newIdle(Options{IdleTimeout: time.Hour, MaxAge: 24 * time.Hour, Now: func() time.Time { return clock }})
	a, b := origin{"http", "a"}, origin{"http", "b"}
	for n, to := range []origin{a, b, a, b} {
		clock = now.Add(time.Duration(n) * time.Minute)
		i.put(to, &conn{born: now})
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

// TestWhatComesTooLate: a request that is too late leaves the kept connection usable.
func TestWhatComesTooLate(t *testing.T) {
	t.Parallel()
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
