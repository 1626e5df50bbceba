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
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// TestProxied goes through a proxy to HTTP and HTTPS. Left is right there too.
func TestProxied(t *testing.T) {
	t.Parallel()
	proxy := newProxy(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			there := make(chan struct{}, 1)
			srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/cut":
					_, _ = io.Copy(io.Discard, r.Body)
					panic(http.ErrAbortHandler)
				case "/cancel":
					_, _ = io.Copy(io.Discard, r.Body)
					there <- struct{}{}
					<-r.Context().Done()
				case "/none":
					here, _, err := http.NewResponseController(w).Hijack()
					if err == nil {
						_, _ = io.WriteString(here, "HTTP/1.1 000 X\r\nConnection: close\r\n\r\n")
						_ = here.Close()
					}
				case "/long":
					_, _ = io.WriteString(w, strings.Repeat("x", 5000))
				default:
					echo(w, r)
				}
			})
			o := Options{MaxAnswer: 2000, IdleTimeout: -1, Proxy: http.ProxyURL(proxy)}
			if secure {
				srv.StartTLS()
				o.TLS = trusting(srv)
			} else {
				srv.Start()
			}
			c := New(o)
			if status, body, err := ask(t.Context(), c, post(t, srv.URL+"/echo", "hello")); status != 200 || body != "hello" || err != nil {
				t.Fatalf("got status %d, body %q and error %v, want 200 hello", status, body, err)
			}
			if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/long", "a")); !errors.Is(err, errTooLong) {
				t.Errorf("a long answer: got error %v, want %v", err, errTooLong)
			}
			ctx, cancel := context.WithCancel(t.Context())
			go func() {
				<-there
				cancel()
			}()
			if _, _, err := ask(ctx, c, post(t, srv.URL+"/cancel", "a")); !left(t, err) || !errors.Is(err, context.Canceled) {
				t.Errorf("got error %v, want context.Canceled, for a request that has left", err)
			}
			if secure {
				if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/none", "a")); !left(t, err) {
					t.Errorf("the request has not left: %v", err)
				}
				if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/cut", "a")); !left(t, err) {
					t.Errorf("the request has not left: %v", err)
				}
				if _, _, err := ask(t.Context(), New(Options{Proxy: o.Proxy, IdleTimeout: -1}), post(t, srv.URL, "a")); left(t, err) {
					t.Errorf("the request has left: %v", err)
				}
			}
		})
	}
	t.Run("none there", func(t *testing.T) {
		c := New(Options{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})})
		if _, _, err := ask(t.Context(), c, post(t, "http://127.0.0.1:2", "a")); left(t, err) {
			t.Errorf("the request has left: %v", err)
		}
	})
	t.Run("none to be chosen", func(t *testing.T) {
		c := New(Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no idea") }})
		if _, _, err := ask(t.Context(), c, post(t, "http://127.0.0.1:2", "a")); left(t, err) || err.Error() != "no idea" {
			t.Errorf("got error %v, want no idea, for a request that has not left", err)
		}
	})
}

// newProxy starts a proxy for HTTP, and for any protocol by CONNECT.
func newProxy(t testing.TB) *url.URL {
	forward := &httputil.ReverseProxy{
		Rewrite: func(*httputil.ProxyRequest) {}, Transport: &http.Transport{DisableKeepAlives: true},
		ErrorLog: log.New(io.Discard, "", 0), // what it says of those that are cut or cancelled
	}
	var tunnels sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			forward.ServeHTTP(w, r)
			return
		}
		tunnels.Add(1) // a server that closes does not wait for what was hijacked
		defer tunnels.Done()
		there, err := new(net.Dialer).DialContext(r.Context(), "tcp", r.Host)
		if err != nil {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		here, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		_, _ = io.WriteString(here, "HTTP/1.1 200 OK\r\n\r\n")
		for _, way := range [][2]net.Conn{{here, there}, {there, here}} {
			tunnels.Go(func() {
				_, _ = io.Copy(way[0], way[1])
				_ = way[0].Close()
			})
		}
	}))
	t.Cleanup(func() {
		srv.Close()
		tunnels.Wait()
	})
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	return u
}
