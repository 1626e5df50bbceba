package httpclient

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/expiry"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// inTime returns a request that leaves before notAfter or not at all.
func inTime(t testing.TB, endpoint string, notAfter time.Time) *Request {
	t.Helper()
	r := post(t, endpoint, "hello")
	r.NotAfter = notAfter
	return r
}

// wantExpired checks that an exchange did not begin because NotAfter came.
func wantExpired(t testing.TB, err error) {
	t.Helper()
	if left(t, err) || !errors.Is(err, expiry.ErrExpired) {
		t.Errorf("got %v, left %v; want that it had expired and has not left", err, left(t, err))
	}
	sendertest.WantExpired(t, Failure(err, Codes{"a", "b", "c", "d"}))
}

// TestTooLateFromTheStart: nothing starts for a request whose NotAfter has come.
func TestTooLateFromTheStart(t *testing.T) {
	t.Parallel()
	c := New(Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("a way was looked for") }})
	for name, notAfter := range map[string]time.Time{"now": time.Now(), "long ago": time.Unix(1, 0)} {
		t.Run(name, func(t *testing.T) {
			_, _, err := ask(t.Context(), c, inTime(t, "http://127.0.0.1:1", notAfter))
			wantExpired(t, err)
		})
	}
}

// TestTheClockDecides: directly before the first byte, the clock decides whether the
// request leaves, over a new connection and over a kept one, even if no timer has fired.
func TestTheClockDecides(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		for _, warm := range []bool{false, true} {
			name := w.name + ", a new connection"
			if warm {
				name = w.name + ", a kept one"
			}
			t.Run(name, func(t *testing.T) {
				var requests atomic.Int32
				srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
					requests.Add(1)
					echo(w, r)
				})
				notAfter := time.Now().Add(time.Hour)
				var armed, jumped atomic.Bool
				c := w.client(t, srv, func() { jumped.Store(armed.Load()) })
				c.opts.Now = func() time.Time {
					if jumped.Load() {
						return notAfter
					}
					return notAfter.Add(-1)
				}
				want := int32(0)
				if warm {
					if _, _, err := ask(t.Context(), c, inTime(t, srv.URL, notAfter)); err != nil {
						t.Fatalf("in time: %v", err)
					}
					want = 1
				}
				armed.Store(true)
				_, _, err := ask(t.Context(), c, inTime(t, srv.URL, notAfter))
				wantExpired(t, err)
				if n := requests.Load(); n != want {
					t.Errorf("%d requests came, want %d", n, want)
				}
				armed.Store(false)
				jumped.Store(false)
				if _, body, err := ask(t.Context(), c, inTime(t, srv.URL, notAfter)); err != nil || body != "hello" {
					t.Errorf("the next request: %q, %v", body, err)
				}
			})
		}
	}
}

// TestNotAByteLeaves of a request that is too late, however long its header is.
func TestNotAByteLeaves(t *testing.T) {
	t.Parallel()
	for _, proxied := range []bool{false, true} {
		for name, long := range map[string]int{"a short header": 0, "a header that no buffer holds": 64 << 10} {
			t.Run(fmt.Sprintf("%s, proxied %v", name, proxied), func(t *testing.T) {
				came := make(chan string, 1)
				srv := faulty.Raw(t, func(c *faulty.Conn) {
					b, _ := io.ReadAll(c)
					came <- string(b)
				})
				notAfter := time.Now().Add(time.Hour)
				var jumped atomic.Bool
				c := New(Options{Proxy: func(*http.Request) (*url.URL, error) {
					jumped.Store(true)
					if !proxied {
						return nil, nil //nolint:nilnil // as http.Transport has it
					}
					return url.Parse(srv.Endpoint)
				}, IdleTimeout: -1})
				c.opts.Now = func() time.Time {
					if jumped.Load() {
						return notAfter
					}
					return notAfter.Add(-1)
				}
				r := inTime(t, srv.Endpoint, notAfter)
				r.Header.Set("X-Filler", strings.Repeat("x", long))
				_, _, err := ask(t.Context(), c, r)
				wantExpired(t, err)
				got := <-came
				if long == 0 && got != "" || strings.Contains(got, "\r\n\r\n") {
					t.Errorf("%d bytes came, a whole header among them: %v", len(got), strings.Contains(got, "\r\n\r\n"))
				}
			})
		}
	}
}

// hang makes a client's dialling never end. net/http keeps dialling after a request has
// given up, until the test is over.
func hang(t testing.TB, c *Client, reached func()) {
	c.dialer.ControlContext = func(ctx context.Context, _, _ string, _ syscall.RawConn) error {
		reached()
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-t.Context().Done():
			return t.Context().Err()
		}
	}
}

// TestWaitsEndAtNotAfter, for every step before the request, on either path.
func TestWaitsEndAtNotAfter(t *testing.T) {
	t.Parallel()
	silent := func(t testing.TB, reached func()) string {
		return faulty.Raw(t, func(c *faulty.Conn) {
			reached()
			c.Wait()
		}).Endpoint
	}
	for name, c := range map[string]struct {
		// setUp returns what is asked, and the proxy; "" for none.
		setUp func(t testing.TB, reached func()) (endpoint, proxy string)
		hang  bool // the dialling itself
	}{
		"dialling": {func(testing.TB, func()) (string, string) { return "http://127.0.0.1:1", "" }, true},
		"the handshake": {func(t testing.TB, r func()) (string, string) {
			return strings.Replace(silent(t, r), "http:", "https:", 1), ""
		}, false},
		"dialling the proxy":  {func(testing.TB, func()) (string, string) { return "http://127.0.0.1:2", "http://127.0.0.1:1" }, true},
		"the proxy's CONNECT": {func(t testing.TB, r func()) (string, string) { return "https://127.0.0.1:2", silent(t, r) }, false},
		"the handshake behind one": {func(t testing.TB, r func()) (string, string) {
			return strings.Replace(silent(t, r), "http:", "https:", 1), newProxy(t).String()
		}, false},
		"the handshake with itself": {func(t testing.TB, r func()) (string, string) {
			return "http://127.0.0.1:2", strings.Replace(silent(t, r), "http:", "https:", 1)
		}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sendertest.Soon(t, func(notAfter time.Time) bool {
				reached := make(chan struct{})
				arrive := sync.OnceFunc(func() { close(reached) })
				endpoint, proxy := c.setUp(t, arrive)
				client := New(Options{ConnectTimeout: sendertest.Patience, Proxy: func(*http.Request) (*url.URL, error) {
					if proxy == "" {
						return nil, nil //nolint:nilnil // as http.Transport has it
					}
					return url.Parse(proxy)
				}})
				if c.hang {
					hang(t, client, arrive)
				}
				r := inTime(t, endpoint, notAfter)
				r.Deadline = time.Now().Add(sendertest.Patience)
				_, _, err := ask(t.Context(), client, r)
				wantExpired(t, err)
				return sendertest.Closed(reached)
			})
		})
	}
}

// TestOtherEndsComeFirst: a context or a deadline that ends before NotAfter stays what it is.
func TestOtherEndsComeFirst(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		t.Run(w.name, func(t *testing.T) {
			reached := make(chan struct{}, 10)
			srv, _ := counted(t, echo)
			c := w.client(t, srv, func() {})
			hang(t, c, func() { reached <- struct{}{} })
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				<-reached
				cancel()
			}()
			_, _, err := ask(ctx, c, inTime(t, srv.URL, time.Now().Add(time.Hour)))
			if left(t, err) || !errors.Is(err, context.Canceled) && !strings.Contains(err.Error(), "canceled") {
				t.Errorf("called off: left %v, %v", left(t, err), err)
			}
			r := inTime(t, srv.URL, time.Now().Add(time.Hour))
			r.Deadline = time.Now().Add(50 * time.Millisecond)
			_, _, err = ask(t.Context(), c, r)
			if left(t, err) || errors.Is(err, expiry.ErrExpired) {
				t.Errorf("past its deadline: left %v, %v", left(t, err), err)
			}
			if e := Failure(err, Codes{ConnectTimeout: "late"}); e.Code != "late" || e.Class != sender.Unavailable {
				t.Errorf("past its deadline: %v", e)
			}
		})
	}
}

// TestTheAnswerMayComeAfterNotAfter, over a new connection and over a kept one.
func TestTheAnswerMayComeAfterNotAfter(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		for _, warm := range []bool{false, true} {
			name := w.name + ", a new connection"
			if warm {
				name = w.name + ", a kept one"
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				type talk struct{ reached, answer chan struct{} }
				talks := make(chan talk, 1)
				srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Path != "/warm" {
						k := <-talks
						close(k.reached)
						<-k.answer
					}
					echo(w, r)
				})
				c := w.client(t, srv, func() {})
				sendertest.Soon(t, func(notAfter time.Time) bool {
					if warm {
						if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/warm", "a")); err != nil {
							t.Fatal(err)
						}
					}
					k := talk{make(chan struct{}), make(chan struct{})}
					talks <- k
					r := inTime(t, srv.URL, notAfter)
					r.Deadline = time.Now().Add(sendertest.Patience)
					far := sendertest.AnsweredAfter(t, notAfter, k.reached, k.answer, func() error {
						_, body, err := ask(t.Context(), c, r)
						if err == nil && body != "hello" {
							t.Errorf("got %q", body)
						}
						if err != nil {
							return Failure(err, Codes{})
						}
						return nil
					})
					if !far {
						<-talks
					}
					return far
				})
			})
		}
	}
}

// TestHandover takes the role of net/http. The first byte or NotAfter decides, whichever
// comes first, also if net/http takes a second connection.
func TestHandover(t *testing.T) {
	t.Parallel()
	const soon = time.Second
	pass := func(d time.Duration) string { return "pass " + d.String() }
	for name, c := range map[string]struct {
		steps  []string
		bound  bool
		left   bool
		ended  error // of what net/http goes by
		silent bool  // the connection takes nothing more
	}{
		"it leaves":                        {steps: []string{"get", "got", "wrote"}, bound: true, left: true},
		"it leaves, NotAfter comes":        {steps: []string{"get", "got", "wrote", pass(2 * soon)}, bound: true, left: true},
		"no bound":                         {steps: []string{"get", pass(time.Hour), "got", "wrote"}, left: true},
		"NotAfter comes first":             {steps: []string{"get", pass(2 * soon)}, bound: true, ended: expiry.ErrExpired},
		"NotAfter comes as it is written":  {steps: []string{"get", "got", pass(soon), "wrote"}, bound: true, ended: expiry.ErrExpired, silent: true},
		"the clock jumps":                  {steps: []string{"get", "got", "jump", "wrote"}, bound: true, ended: expiry.ErrExpired, silent: true},
		"called off first":                 {steps: []string{"get", "got", "cancel", "wrote"}, bound: true, ended: context.Canceled, silent: true},
		"called off first, no bound":       {steps: []string{"get", "got", "cancel", "wrote"}, ended: context.Canceled, silent: true},
		"called off after":                 {steps: []string{"get", "got", "wrote", "cancel"}, bound: true, left: true, ended: context.Canceled},
		"a second connection":              {steps: []string{"get", "got", "get", "got", "wrote", pass(2 * soon)}, bound: true, left: true},
		"a second one after the first":     {steps: []string{"get", "got", "wrote", "get", "got", "wrote", pass(2 * soon)}, bound: true, left: true},
		"a second one that comes too late": {steps: []string{"get", "got", "wrote", "get", pass(2 * soon)}, bound: true, ended: expiry.ErrExpired},
		"a second one when it is too late": {steps: []string{"get", "got", "wrote", pass(2 * soon), "get"}, bound: true, ended: expiry.ErrExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				jump := time.Duration(0)
				notAfter := time.Time{}
				if c.bound {
					notAfter = time.Now().Add(soon)
				}
				h, going, free := handOver(ctx, notAfter, func() time.Time { return time.Now().Add(jump) })
				defer free()
				trace := httptrace.ContextClientTrace(going)
				conn := new(deadlines)
				for _, step := range c.steps {
					switch word, d, _ := strings.Cut(step, " "); word {
					case "get":
						trace.GetConn("")
					case "got":
						trace.GotConn(httptrace.GotConnInfo{Conn: conn})
					case "wrote":
						trace.WroteHeaders()
					case "jump":
						jump = time.Hour
					case "cancel":
						cancel()
					case "pass":
						length, err := time.ParseDuration(d)
						if err != nil {
							t.Fatal(err)
						}
						<-time.After(length)
					}
					synctest.Wait()
				}
				if h.left() != c.left {
					t.Errorf("left %v, want %v", h.left(), c.left)
				}
				if got := context.Cause(going); !errors.Is(got, c.ended) {
					t.Errorf("it ended by %v, want %v", got, c.ended)
				}
				if conn.silent != c.silent {
					t.Errorf("the connection takes nothing more: %v, want %v", conn.silent, c.silent)
				}
			})
		})
	}
}

// deadlines is a connection that only knows whether it can still be written to.
type deadlines struct {
	net.Conn
	silent bool
}

func (d *deadlines) SetWriteDeadline(t time.Time) error {
	d.silent = !t.IsZero() && t.Before(time.Now())
	return nil
}
