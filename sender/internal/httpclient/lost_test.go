package httpclient

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/fakes/relay"
	"github.com/codeferry/codeferry/sender"
)

// site is a server, or a proxy before one, behind a relay.
type site struct {
	relay *relay.Relay
	// url is the server's, as a client asks for it.
	url string
	// proxy is where the client connects instead; nil for the server itself.
	proxy *url.URL
	// held counts the requests that wait for each other in /together.
	held atomic.Int32
	all  chan struct{}
	// free is closed to send the answers to /slow.
	free chan struct{}
	// asked receives a value for each request for /slow.
	asked chan struct{}
}

// together is how many connections are kept before the network loses them.
const together = 4

func newSite(t *testing.T, w way) (s *site, o Options) {
	t.Helper()
	s = &site{all: make(chan struct{}), free: make(chan struct{}), asked: make(chan struct{}, 10)}
	srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/together":
			if s.held.Add(1) == together {
				close(s.all)
			}
			<-s.all
		case "/slow":
			s.asked <- struct{}{}
			<-s.free
		case "/cut":
			_, _ = io.Copy(io.Discard, r.Body)
			panic(http.ErrAbortHandler)
		}
		echo(w, r)
	})
	if w.secure {
		srv.StartTLS()
		o.TLS = trusting(srv)
	} else {
		srv.Start()
	}
	server, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	to := server.Host
	if w.proxied {
		s.proxy = newProxy(t)
		to = s.proxy.Host
	}
	if s.relay, err = relay.New(to); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.relay.Close)
	if w.proxied {
		s.proxy = &url.URL{Scheme: "http", Host: s.relay.Addr()}
	} else {
		server.Host = s.relay.Addr()
	}
	s.url = server.String()
	return s, o
}

// keep makes the client keep some connections to the site.
func (s *site) keep(t *testing.T, c *Client) {
	t.Helper()
	var asks sync.WaitGroup
	for range together {
		asks.Go(func() {
			if _, _, err := ask(t.Context(), c, post(t, s.url+"/together", "a")); err != nil {
				t.Error(err)
			}
		})
	}
	asks.Wait()
	if n := s.relay.Accepted(); n != together {
		t.Fatalf("%d connections are kept, want %d", n, together)
	}
}

// eachWay runs over our own connections and net/http's.
func eachWay(t *testing.T, f func(t *testing.T, c *Client, s, other *site)) {
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			s, o := newSite(t, w)
			other, _ := newSite(t, w) // httptest has one certificate
			proxies := map[string]*url.URL{}
			for _, s := range []*site{s, other} {
				u, err := url.Parse(s.url)
				if err != nil {
					t.Fatal(err)
				}
				proxies[u.Host] = s.proxy
			}
			o.Proxy = func(r *http.Request) (*url.URL, error) { return proxies[r.URL.Host], nil }
			c := New(o)
			t.Cleanup(c.transports.closeIdle)
			f(t, c, s, other)
		})
	}
}

// soon sets a deadline that is too short for an answer.
func soon(r *Request) *Request {
	r.Deadline = time.Now().Add(200 * time.Millisecond)
	return r
}

// patient sets a deadline that is long enough for any answer.
func patient(r *Request) *Request {
	r.Deadline = time.Now().Add(30 * time.Second)
	return r
}

// TestTheNetworkForgets the kept connections without a sign. The first request times out.
// After that none of the other connections is tried: the next request dials. Connections
// to another host stay.
func TestTheNetworkForgets(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, other *site) {
		s.keep(t, c)
		other.keep(t, c)
		s.relay.Forget()
		_, _, err := ask(t.Context(), c, soon(post(t, s.url, "a")))
		var netErr net.Error
		if err == nil || !left(t, err) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Fatalf("over a forgotten connection: %v, want a time-out", err)
		}
		if class := Failure(err, Codes{}).Class; class != sender.Unknown {
			t.Errorf("a time-out is %v, want doubt", class)
		}
		for range 2 {
			if _, body, err := ask(t.Context(), c, patient(post(t, s.url, "b"))); err != nil || body != "b" {
				t.Fatalf("after it: %q, %v", body, err)
			}
		}
		if n := s.relay.Accepted(); n != together+1 {
			t.Errorf("%d connections, want %d: one after the time-out", n, together+1)
		}
		if _, _, err := ask(t.Context(), c, patient(post(t, other.url, "c"))); err != nil {
			t.Error(err)
		}
		if n := other.relay.Accepted(); n != together {
			t.Errorf("the other host has had %d connections, want %d as before", n, together)
		}
	})
}

// TestTheCallersTimeIsOver is a time-out too: SES has its own by the context.
func TestTheCallersTimeIsOver(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, _ *site) {
		s.keep(t, c)
		s.relay.Forget()
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		defer cancel()
		if _, _, err := ask(ctx, c, post(t, s.url, "a")); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		if _, _, err := ask(t.Context(), c, patient(post(t, s.url, "b"))); err != nil {
			t.Error(err)
		}
	})
}

// TestManyAtOnceAreForgotten: each request in flight over a dead connection times out,
// and no later one, though more connections were kept than those requests used.
func TestManyAtOnceAreForgotten(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, _ *site) {
		s.keep(t, c)
		s.relay.Forget()
		var asks sync.WaitGroup
		for range together - 2 {
			asks.Go(func() {
				if _, _, err := ask(t.Context(), c, soon(post(t, s.url, "a"))); err != nil && !left(t, err) {
					t.Error(err)
				}
			})
		}
		asks.Wait()
		if _, _, err := ask(t.Context(), c, patient(post(t, s.url, "b"))); err != nil {
			t.Error(err)
		}
	})
}

// TestWhatAnswersSlowly: a connection with a slow answer is not closed when another one
// times out, and is used again.
func TestWhatAnswersSlowly(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, _ *site) {
		s.keep(t, c)
		slow := make(chan error, 1)
		go func() {
			_, _, err := ask(t.Context(), c, patient(post(t, s.url+"/slow", "slow")))
			slow <- err
		}()
		<-s.asked
		if _, _, err := ask(t.Context(), c, soon(post(t, s.url+"/slow", "a"))); err == nil || !left(t, err) {
			t.Fatalf("got %v, want a time-out", err)
		}
		close(s.free)
		if err := <-slow; err != nil {
			t.Errorf("the slow answer: %v", err)
		}
	})
}

// TestACallThatIsGivenUp says nothing about the network: kept connections stay.
func TestACallThatIsGivenUp(t *testing.T) {
	t.Parallel()
	eachWay(t, func(t *testing.T, c *Client, s, _ *site) {
		defer close(s.free)
		s.keep(t, c)
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-s.asked
			cancel()
		}()
		if _, _, err := ask(ctx, c, post(t, s.url+"/slow", "a")); !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if _, _, err := ask(t.Context(), c, patient(post(t, s.url, "b"))); err != nil {
			t.Error(err)
		}
		if n := s.relay.Accepted(); n != together {
			t.Errorf("%d connections, want %d as before", n, together)
		}
	})
}

// TestResets: if the network answers on forgotten connections with resets, one request
// fails, not one for each connection.
func TestResets(t *testing.T) {
	t.Parallel()
	sites := make(chan struct{}, 100)
	stale, all := make(chan struct{}), make(chan struct{})
	var held atomic.Int32
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		sites <- struct{}{}
		select {
		case <-stale: // a new one
		default:
			if !c.ReadRequest() {
				return
			}
			if held.Add(1) == together {
				close(all)
			}
			<-all
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
			c.AwaitByte()
			c.Reset()
			return
		}
		for c.ReadRequest() {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		}
	})
	c := direct(Options{})
	var asks sync.WaitGroup
	for range together {
		asks.Go(func() {
			if _, _, err := ask(t.Context(), c, patient(post(t, srv.Endpoint, "a"))); err != nil {
				t.Error(err)
			}
		})
	}
	asks.Wait()
	close(stale)
	if _, _, err := ask(t.Context(), c, patient(post(t, srv.Endpoint, "b"))); err == nil || !left(t, err) {
		t.Fatalf("got %v, want doubt", err)
	}
	if _, _, err := ask(t.Context(), c, patient(post(t, srv.Endpoint, "c"))); err != nil {
		t.Errorf("after the reset: %v", err)
	}
	if n := len(sites); n != together+1 {
		t.Errorf("%d connections, want %d", n, together+1)
	}
}
