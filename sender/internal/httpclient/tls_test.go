package httpclient

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
)

func trusting(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// corked holds back what is written, so that it comes in one segment.
type corked struct {
	net.Conn
	held bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) { return c.held.Write(p) }

func (c *corked) flush() {
	_, _ = c.held.WriteTo(c.Conn) // the client may have gone
}

// secured serves TLS: talk is called with each connection and the request that has been
// read from it, and what it writes comes in one segment.
func secured(t testing.TB, talk func(secured *tls.Conn, body string)) (endpoint string, client *tls.Config) {
	some := httptest.NewTLSServer(http.NotFoundHandler()) // for its certificate
	defer some.Close()
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		socket := &corked{Conn: c.TCPConn}
		talks := tls.Server(handshaking{socket}, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: some.TLS.Certificates})
		if talks.Handshake() != nil {
			return
		}
		socket.flush()
		r := bufio.NewReader(talks)
		for {
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			body, err := io.ReadAll(req.Body)
			if err != nil {
				return
			}
			talk(talks, string(body))
			socket.flush()
		}
	})
	return strings.Replace(srv.Endpoint, "http:", "https:", 1), trusting(some)
}

// handshaking flushes what it has before it waits for the other side.
type handshaking struct{ *corked }

func (h handshaking) Read(p []byte) (int, error) {
	h.flush()
	return h.Conn.Read(p)
}

// TestWhatTLSHolds: data that came with an answer does not count as the next answer, and
// a connection whose end came with the answer is not used again.
func TestWhatTLSHolds(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%s"
	for name, more := range map[string]func(*tls.Conn){
		"another answer": func(c *tls.Conn) { _, _ = fmt.Fprintf(c, answer, 400, 5, "stale") },
		"its end": func(c *tls.Conn) {
			_ = c.CloseWrite()
			_ = c.SetWriteDeadline(time.Time{}) // CloseWrite's is over, and the answer is still to go
		},
	} {
		t.Run(name, func(t *testing.T) {
			endpoint, config := secured(t, func(c *tls.Conn, body string) {
				_, _ = fmt.Fprintf(c, answer, 200, len(body), body)
				more(c)
			})
			c := direct(Options{TLS: config, IdleTimeout: time.Minute})
			for i := range 3 {
				want := fmt.Sprint("request ", i)
				if status, body, err := ask(t.Context(), c, post(t, endpoint, want)); status != 200 || body != want || err != nil {
					t.Errorf("%s: %d %q, %v", want, status, body, err)
				}
			}
			for _, k := range c.idle.old(time.Now().Add(time.Hour)) {
				_ = k.Close()
			}
		})
	}
}

// TestWhoDoesNotListen: the connection closes at once if the server does not read. TLS
// would wait for seconds to announce the end.
func TestWhoDoesNotListen(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	some := httptest.NewTLSServer(http.NotFoundHandler())
	defer some.Close()
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		if tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: some.TLS.Certificates}).Handshake() == nil {
			<-stop
		}
	})
	to := origin{"https", strings.TrimPrefix(srv.Endpoint, "http://")}
	k, err := direct(Options{TLS: trusting(some)}).dial(t.Context(), to, new(Request))
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{1 << 20, 1} { // until not a byte more fits
		for err = nil; err == nil; {
			if err := k.SetWriteDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
				t.Fatal(err)
			}
			_, err = k.below.Write(make([]byte, size))
		}
	}
	began := time.Now()
	k.abort()
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("it took %s", took)
	}
}
