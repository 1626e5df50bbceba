package httpclient

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// hand is a clock that tests set.
type hand struct {
	mu  sync.Mutex
	now time.Time
}

func (h *hand) read() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now
}

func (h *hand) pass(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.now = h.now.Add(d)
}

// aging starts a server, and makes a client with a clock and a MaxAge of an hour. dials
// counts the connections of the client, or those that it has the proxy dial.
func aging(t *testing.T, w way, h http.HandlerFunc) (c *Client, srv *httptest.Server, clock *hand, dials *atomic.Int32) {
	srv, _ = counted(t, h)
	o := w.options(t, func() {})
	clock = &hand{now: time.Now()}
	o.MaxAge, o.IdleTimeout, o.Now = time.Hour, 24*time.Hour, clock.read
	if w.secure {
		srv.StartTLS()
		o.TLS = trusting(srv)
	} else {
		srv.Start()
	}
	c = w.clientOf(t, o)
	return c, srv, clock, countDials(c)
}

// TestAConnectionIsReplacedAtItsAge, in steady traffic and after a pause. The next
// connection resolves the name again.
func TestAConnectionIsReplacedAtItsAge(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			c, srv, clock, dials := aging(t, w, echo)
			for _, step := range []struct {
				pass time.Duration
				want int32
			}{{0, 1}, {30 * time.Minute, 1}, {30*time.Minute - 1, 1}, {1, 2}, {59 * time.Minute, 2}, {5 * time.Hour, 3}, {0, 3}} {
				clock.pass(step.pass)
				if _, _, err := ask(t.Context(), c, patient(post(t, srv.URL, "a"))); err != nil {
					t.Fatal(err)
				}
				if n := dials.Load(); n != step.want {
					t.Fatalf("%s later: %d connections, want %d", step.pass, n, step.want)
				}
			}
		})
	}
}

// TestABusyConnectionIsNotCut at its age. It closes after its answer.
func TestABusyConnectionIsNotCut(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			asked, free := make(chan struct{}), make(chan struct{})
			c, srv, clock, dials := aging(t, w, func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path == "/slow" {
					close(asked)
					<-free
				}
				echo(w, r)
			})
			slow := make(chan error, 1)
			go func() {
				_, _, err := ask(t.Context(), c, patient(post(t, srv.URL+"/slow", "slow")))
				slow <- err
			}()
			<-asked
			clock.pass(2 * time.Hour)
			for range 2 {
				if _, _, err := ask(t.Context(), c, patient(post(t, srv.URL, "a"))); err != nil {
					t.Error(err)
				}
			}
			close(free)
			if err := <-slow; err != nil {
				t.Errorf("the request that was under way: %v", err)
			}
			if _, _, err := ask(t.Context(), c, patient(post(t, srv.URL, "b"))); err != nil {
				t.Error(err)
			}
			if n := dials.Load(); n != 2 {
				t.Errorf("%d connections, want 2: the old one and one after it", n)
			}
		})
	}
}

// TestAnIdleConnectionClosesAtItsAge, though it was used a moment ago.
func TestAnIdleConnectionClosesAtItsAge(t *testing.T) {
	t.Parallel()
	now := time.Now()
	clock := &hand{now: now}
	i := newIdle(Options{IdleTimeout: time.Hour, MaxAge: 90 * time.Minute, Now: clock.read})
	to := origin{"http", "a"}
	clock.pass(60 * time.Minute)
	i.put(to, &conn{born: now})
	i.put(to, &conn{born: clock.read()})
	for _, step := range []struct {
		pass time.Duration
		old  int
	}{{29 * time.Minute, 0}, {time.Minute, 1}, {29 * time.Minute, 0}, {time.Minute, 1}} {
		clock.pass(step.pass)
		if old := i.old(clock.read()); len(old) != step.old {
			t.Errorf("%s later %d close, want %d", step.pass, len(old), step.old)
		}
	}
}
