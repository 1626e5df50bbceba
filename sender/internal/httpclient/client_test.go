package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/testmain"
)

func TestMain(m *testing.M) {
	if os.Getenv(asServer) != "" {
		serveBenchmarks()
		return
	}
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

// direct makes a client that uses no proxy, whatever the environment says.
func direct(o Options) *Client {
	o.Proxy = func(*http.Request) (*url.URL, error) { return nil, nil } //nolint:nilnil // as http.Transport has it
	return New(o)
}

func post(t testing.TB, endpoint, body string) *Request {
	t.Helper()
	u, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	return &Request{Method: http.MethodPost, URL: u, Header: http.Header{"Content-Type": {"text/plain"}}, Body: []byte(body)}
}

// ask makes an exchange and reads the answer's body.
func ask(ctx context.Context, c *Client, r *Request) (status int, body string, err error) {
	answer, err := c.Do(ctx, r)
	if err != nil {
		return 0, "", err
	}
	resp := answer.Response()
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// left reports whether the request may have reached the server.
func left(t testing.TB, err error) bool {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e.Left
}

// leaves makes an exchange whose time is over soon, with twice the time until this machine was
// fast enough for the request to leave. It returns the last error.
func leaves(t testing.TB, exchange func(soon time.Duration) error) error {
	t.Helper()
	for soon := 100 * time.Millisecond; ; soon *= 2 {
		if err := exchange(soon); left(t, err) || soon > 10*time.Second {
			return err
		}
	}
}

// counted returns a server that counts its connections.
func counted(t testing.TB, h http.HandlerFunc) (*httptest.Server, *atomic.Int32) {
	n := new(atomic.Int32)
	srv := httptest.NewUnstartedServer(h)
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // what it says of our handshakes
	srv.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			n.Add(1)
		}
	}
	t.Cleanup(srv.Close)
	return srv, n
}

func echo(w http.ResponseWriter, r *http.Request) {
	if body, err := io.ReadAll(r.Body); err == nil {
		_, _ = w.Write(body)
	}
}

func TestContextEndsTheExchange(t *testing.T) {
	t.Parallel()
	gone := make(chan struct{}, 100)
	there := make(chan struct{}, 100)
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		c.ReadRequest()
		there <- struct{}{}
		c.Wait()
		gone <- struct{}{}
	})
	t.Run("cancelled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			<-there
			cancel()
		}()
		_, _, err := ask(ctx, direct(Options{}), post(t, srv.Endpoint, "a"))
		if !left(t, err) || !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled, for a request that has left", err)
		}
		<-gone
	})
	t.Run("too late", func(t *testing.T) {
		err := leaves(t, func(soon time.Duration) error {
			ctx, cancel := context.WithTimeout(t.Context(), soon)
			defer cancel()
			_, _, err := ask(ctx, direct(Options{}), post(t, srv.Endpoint, "a"))
			return err
		})
		var netErr net.Error
		if !left(t, err) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Errorf("got error %v, want a time-out, for a request that has left", err)
		}
		<-gone
	})
	t.Run("past its deadline", func(t *testing.T) {
		err := leaves(t, func(soon time.Duration) error {
			r := post(t, srv.Endpoint, "a")
			r.Deadline = time.Now().Add(soon)
			_, _, err := ask(t.Context(), direct(Options{}), r)
			return err
		})
		var netErr net.Error
		if !left(t, err) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Errorf("got error %v, want a time-out, for a request that has left", err)
		}
		<-gone
	})
	t.Run("over before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := ask(ctx, direct(Options{}), post(t, srv.Endpoint, "a")); left(t, err) || !errors.Is(err, context.Canceled) {
			t.Errorf("got error %v, want context.Canceled, for a request that has not left", err)
		}
	})
	if n := len(srv.Requests()); n != 3 {
		t.Errorf("%d requests came", n)
	}
}

// TestManyAtOnce shares a client among goroutines while the server closes connections. A
// connection that the server closes before it has read a request causes no doubt, unless
// the end crosses the request on the way. With -race, the test also finds data races.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	srv, _ := counted(t, echo)
	srv.Start()
	c := direct(Options{IdleTimeout: 5 * time.Millisecond})
	var all sync.WaitGroup
	for g := range 16 {
		all.Go(func() {
			for i := range 50 {
				want := fmt.Sprintf("%d/%d", g, i)
				if _, body, err := ask(t.Context(), c, post(t, srv.URL, want)); err != nil || body != want {
					t.Errorf("%q, %v", body, err)
				}
			}
		})
	}
	all.Wait()
}
