package httpclient

import (
	"bufio"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
)

// way is one way to make a request: over our own connection, or by net/http because of a
// setting or a proxy, and with or without TLS.
type way struct {
	name                     string
	secure, netHTTP, proxied bool
}

var ways = []way{
	{name: "own"},
	{name: "own, TLS", secure: true},
	{name: "net/http", netHTTP: true},
	{name: "net/http, TLS", netHTTP: true, secure: true},
	{name: "proxy", proxied: true},
	{name: "proxy, TLS", proxied: true, secure: true},
}

// options returns options with which requests go this way. begun is called when a
// Client's Do has made its first checks.
func (w way) options(t testing.TB, begun func()) Options {
	t.Helper()
	var proxy *url.URL
	if w.proxied {
		proxy = newProxy(t)
	}
	return Options{NetHTTP: w.netHTTP, Proxy: func(*http.Request) (*url.URL, error) {
		begun()
		return proxy, nil
	}}
}

// client starts a server, and makes a client for it.
func (w way) client(t testing.TB, srv *httptest.Server, begun func()) *Client {
	t.Helper()
	o := w.options(t, begun)
	if w.secure {
		srv.StartTLS()
		o.TLS = trusting(srv)
	} else {
		srv.Start()
	}
	return w.clientOf(t, o)
}

// clientOf makes a client that keeps nothing open after the test.
func (way) clientOf(t testing.TB, o Options) *Client {
	t.Helper()
	c := New(o)
	t.Cleanup(func() {
		c.transports.closeIdle()
		for to := range c.idle.conns {
			c.idle.drop(to)
		}
	})
	return c
}

// rawWays runs f for the ways on which a client reads the server's own bytes. An HTTP
// proxy without TLS answers by itself.
func rawWays(t *testing.T, f func(t *testing.T, w way)) {
	for _, w := range ways {
		if w.proxied && !w.secure {
			continue
		}
		t.Run(w.name, func(t *testing.T) {
			t.Parallel()
			f(t, w)
		})
	}
}

// talker is a server's side of one connection, over TCP or over TLS.
type talker struct {
	net.Conn
	// n counts the server's connections, from 0.
	n int
	r *bufio.Reader
}

// request reads a whole request; false if none comes.
func (k *talker) request() bool {
	r, err := http.ReadRequest(k.r)
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	return err == nil
}

func (k *talker) say(text string) bool {
	_, err := io.WriteString(k, text)
	return err == nil
}

// wait waits until the client goes away.
func (k *talker) wait() { _, _ = io.Copy(io.Discard, k.r) }

// raw serves a way, and returns a client for it.
func (w way) raw(t testing.TB, o Options, talk func(*talker)) (endpoint string, c *Client) {
	t.Helper()
	some := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer some.Close()
	numbers := make(chan int, 1)
	numbers <- 0
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		n := <-numbers
		numbers <- n + 1
		var conn net.Conn = c.TCPConn
		if w.secure {
			secured := tls.Server(conn, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: some.TLS.Certificates})
			if secured.Handshake() != nil {
				return
			}
			conn = secured
		}
		talk(&talker{conn, n, bufio.NewReader(conn)})
	})
	way := w.options(t, func() {})
	o.NetHTTP, o.Proxy = way.NetHTTP, way.Proxy
	endpoint = srv.Endpoint
	if w.secure {
		endpoint = strings.Replace(endpoint, "http:", "https:", 1)
		o.TLS = trusting(some)
	}
	return endpoint, w.clientOf(t, o)
}

// TestWhoMakesTheRequest: the table of ways covers both paths.
func TestWhoMakesTheRequest(t *testing.T) {
	t.Parallel()
	for _, w := range ways {
		srv, _ := counted(t, echo)
		c := w.client(t, srv, func() {})
		var byNetHTTP atomic.Int32
		ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { byNetHTTP.Add(1) }})
		if _, _, err := ask(ctx, c, patient(post(t, srv.URL, "a"))); err != nil {
			t.Errorf("%s: %v", w.name, err)
		}
		if got, want := byNetHTTP.Load() > 0, w.netHTTP || w.proxied; got != want {
			t.Errorf("%s: net/http makes the request: %v, want %v", w.name, got, want)
		}
	}
}
