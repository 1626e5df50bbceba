// Package faulty is a server on a real socket, for any protocol. It answers as a test asks,
// cuts, stalls or sends nonsense, and keeps the requests.
package faulty

import (
	"bufio"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Request is a request to a Server.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	// Body is its decoded form; empty if the body is not a form.
	Body url.Values
	// Raw is its unchanged body.
	Raw []byte
}

// Server keeps its requests.
type Server struct {
	// Endpoint is its URL.
	Endpoint string

	mu       sync.Mutex
	requests []Request
}

// Requests returns the requests so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// keep reads a whole request and keeps it.
func (s *Server) keep(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	var form url.Values
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		if form, err = url.ParseQuery(string(body)); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, Request{r.Method, r.URL, r.Header, form, body})
	return nil
}

// Serve serves HTTP until the test ends. The handler gets requests whose form is parsed.
func Serve(t testing.TB, h http.HandlerFunc) *Server {
	t.Helper()
	s := new(Server)
	srv := httptest.NewServer(s.handler(h))
	t.Cleanup(srv.Close)
	s.Endpoint = srv.URL
	return s
}

// ServeTLS serves HTTPS with a certificate that nobody trusts.
func ServeTLS(t testing.TB, h http.HandlerFunc) *Server {
	t.Helper()
	s := new(Server)
	srv := httptest.NewUnstartedServer(s.handler(h))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // it would log failed handshakes
	srv.StartTLS()
	t.Cleanup(srv.Close)
	s.Endpoint = srv.URL
	return s
}

func (s *Server) handler(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.keep(r); err != nil {
			panic(http.ErrAbortHandler)
		}
		r.Form = s.Last().Body
		h(w, r)
	}
}

// Last returns the last request.
func (s *Server) Last() Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// Conn is a connection to a server, below HTTP.
type Conn struct {
	*net.TCPConn
	// Server is the server of the connection.
	Server *Server
	r      *bufio.Reader
}

// Raw serves TCP until the test ends. The connection is closed when talk
// returns.
func Raw(t testing.TB, talk func(*Conn)) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Endpoint: "http://" + l.Addr().String()}
	var talks sync.WaitGroup
	talks.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			talks.Go(func() {
				stop := make(chan struct{})
				defer close(stop)
				talks.Go(func() {
					select {
					case <-t.Context().Done(): // a talk that still waits
					case <-stop:
					}
					_ = c.Close()
				})
				talk(&Conn{c.(*net.TCPConn), s, bufio.NewReader(c)})
			})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		talks.Wait()
	})
	return s
}

// Refused is a server at whose address nobody listens.
func Refused(t testing.TB) *Server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_ = l.Close()
	return &Server{Endpoint: "http://" + l.Addr().String()}
}

// OverTLS returns the server with a plain host as its endpoint. Clients speak TLS to it, so
// their first bytes are a handshake.
func (s *Server) OverTLS() *Server {
	s.Endpoint = strings.TrimPrefix(s.Endpoint, "http://")
	return s
}

// ReadRequest reads a whole request. It returns false if none comes.
func (c *Conn) ReadRequest() bool {
	r, err := http.ReadRequest(c.r)
	return err == nil && c.Server.keep(r) == nil
}

// AwaitByte waits until the client has begun to write.
func (c *Conn) AwaitByte() { _, _ = c.r.ReadByte() }

// Say writes text.
func (c *Conn) Say(text string) { _, _ = io.WriteString(c, text) }

// Wait waits until the client goes away.
func (c *Conn) Wait() { _, _ = io.Copy(io.Discard, c.r) }

// Reset closes the connection by a reset.
func (c *Conn) Reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}
