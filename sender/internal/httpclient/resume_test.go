package httpclient

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
)

func secureWays(t *testing.T, f func(t *testing.T, w way)) {
	for _, w := range ways {
		if w.secure {
			t.Run(w.name, func(t *testing.T) {
				t.Parallel()
				f(t, w)
			})
		}
	}
}

// TestSessionsAreResumed on new connections. With a server that has forgotten them, there
// is a full handshake.
func TestSessionsAreResumed(t *testing.T) {
	t.Parallel()
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		t.Run(tls.VersionName(version), func(t *testing.T) {
			t.Parallel()
			secureWays(t, func(t *testing.T, w way) {
				srv, conns := counted(t, func(w http.ResponseWriter, r *http.Request) {
					w.Header().Set("Connection", "close")
					if r.TLS.DidResume {
						_, _ = io.WriteString(w, "resumed")
					}
				})
				config := &tls.Config{MinVersion: version, MaxVersion: version}
				srv.TLS = config
				var key atomic.Uint32
				config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
					c := srv.TLS.Clone()
					c.GetConfigForClient = nil
					c.SetSessionTicketKeys([][32]byte{{byte(key.Load())}})
					return c, nil
				}
				c := w.client(t, srv, func() {})
				for i, want := range []string{"", "resumed", "resumed", "", "resumed"} {
					if i == 3 {
						key.Store(1) // the server has new keys now
					}
					_, got, err := ask(t.Context(), c, patient(post(t, srv.URL, "a")))
					if err != nil {
						t.Fatal(err)
					}
					if got != want {
						t.Errorf("connection %d: %q, want %q", i, got, want)
					}
				}
				if n := conns.Load(); n != 5 {
					t.Errorf("%d connections, want 5", n)
				}
			})
		})
	}
}

// TestAResumedHandshakeThatBreaks leaves no doubt: nothing of a request leaves before its
// end.
func TestAResumedHandshakeThatBreaks(t *testing.T) {
	t.Parallel()
	secureWays(t, func(t *testing.T, w way) {
		srv, _ := counted(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
		c := w.client(t, srv, func() {})
		if _, _, err := ask(t.Context(), c, patient(post(t, srv.URL, "a"))); err != nil {
			t.Fatal(err)
		}
		sent := make(chan string, 1)
		cut := faulty.Raw(t, func(c *faulty.Conn) {
			b := make([]byte, 1<<16)
			n, _ := c.Read(b)
			sent <- string(b[:n])
		})
		// The session is the name's, whatever the port.
		_, _, err := ask(t.Context(), c, patient(post(t, strings.Replace(cut.Endpoint, "http:", "https:", 1), strings.Repeat("secret", 100))))
		if err == nil || left(t, err) {
			t.Fatalf("got %v, want an error of a request that has not left", err)
		}
		if class := Failure(err, Codes{}).Class; class != sender.Unavailable {
			t.Errorf("class %s, want unavailable", class)
		}
		hello := <-sent
		if strings.Contains(hello, "secret") || len(hello) < 5 || hello[0] != 22 {
			t.Errorf("%d bytes left that are no handshake", len(hello))
		}
		if n := int(hello[3])<<8 | int(hello[4]); len(hello) != 5+n {
			t.Errorf("%d bytes left after the first message of the handshake", len(hello)-5-n)
		}
		// The extension early_data (RFC 8446, 4.2.10) has no content.
		if strings.Contains(hello, "\x00\x2a\x00\x00") {
			t.Error("early data is announced")
		}
	})
}

// TestWhoRefusesHTTP1: the server refuses in the handshake, so nothing can have been
// accepted.
func TestWhoRefusesHTTP1(t *testing.T) {
	t.Parallel()
	secureWays(t, func(t *testing.T, w way) {
		srv, _ := counted(t, echo)
		srv.TLS = &tls.Config{NextProtos: []string{"another"}}
		c := w.client(t, srv, func() {})
		srv.TLS.NextProtos = []string{"another"} // httptest adds its own
		_, _, err := ask(t.Context(), c, patient(post(t, srv.URL, "a")))
		if err == nil || left(t, err) {
			t.Fatalf("got %v, want an error of a request that has not left", err)
		}
		wantFailure(t, Failure(err, Codes{Connect: "connect"}), sender.Error{Class: sender.Misconfigured, Code: "connect", Detail: "HTTP/1.1", Advice: "endpoint"})
	})
}

// TestWhoSpeaksBoth: a server with HTTP/1.1 and HTTP/2 is asked over HTTP/1.1.
func TestWhoSpeaksBoth(t *testing.T) {
	t.Parallel()
	secureWays(t, func(t *testing.T, w way) {
		srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) { _, _ = io.WriteString(w, r.Proto) })
		srv.EnableHTTP2 = true
		c := w.client(t, srv, func() {})
		if _, got, err := ask(t.Context(), c, patient(post(t, srv.URL, "a"))); got != "HTTP/1.1" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
	})
}
