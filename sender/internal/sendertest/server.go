// Package sendertest is what the tests of the senders share: servers on real
// sockets that answer as they are told or misbehave, the ways in which a call
// can fail, and the codes of Aliyun's help pages.
package sendertest

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

	"github.com/codeferry/codeferry/internal/sandbox"
)

// OK is an answer that every action takes for a success.
const OK = `{"Code":"OK","Message":"OK","Success":true,"RequestId":"R-1","BizId":"B-1","EnvId":"E-1"}`

// Sandbox serves a stand-in for Aliyun until the test ends.
func Sandbox(t testing.TB, o sandbox.Options) (sb *sandbox.Server, endpoint string) {
	t.Helper()
	sb = sandbox.New(o)
	srv := httptest.NewServer(sb)
	t.Cleanup(srv.Close)
	t.Cleanup(sb.Close)
	return sb, srv.URL
}

// Request is what a Server was asked.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	// Body is its form, decoded; empty where it is none.
	Body url.Values
	// Raw is its body as it came.
	Raw []byte
}

// Server keeps what it was asked.
type Server struct {
	// Endpoint is its URL.
	Endpoint string

	mu       sync.Mutex
	requests []Request
}

// Requests returns what has come so far.
func (s *Server) Requests() []Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// keep reads a request to its end.
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

// Serve serves HTTP until the test ends. The handler finds the form parsed.
func Serve(t testing.TB, h http.HandlerFunc) *Server {
	t.Helper()
	s := new(Server)
	srv := httptest.NewServer(s.handler(h))
	t.Cleanup(srv.Close)
	s.Endpoint = srv.URL
	return s
}

// ServeTLS serves HTTPS with a certificate that nobody trusts.
func ServeTLS(t testing.TB) *Server {
	t.Helper()
	s := new(Server)
	srv := httptest.NewUnstartedServer(s.handler(Answer(http.StatusOK, OK)))
	srv.Config.ErrorLog = log.New(io.Discard, "", 0) // what it says of our handshakes
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
		r.Form = s.last().Body
		h(w, r)
	}
}

func (s *Server) last() Request {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.requests[len(s.requests)-1]
}

// Answer always gives the same answer.
func Answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json;charset=utf-8")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// Conn is a connection to a server below HTTP.
type Conn struct {
	*net.TCPConn
	server *Server
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

// ReadRequest reads a request to its end. It is false where none comes.
func (c *Conn) ReadRequest() bool {
	r, err := http.ReadRequest(c.r)
	return err == nil && c.server.keep(r) == nil
}

// AwaitByte waits until the client has begun to write.
func (c *Conn) AwaitByte() { _, _ = c.r.ReadByte() }

// Say writes.
func (c *Conn) Say(text string) { _, _ = io.WriteString(c, text) }

// Wait waits until the client goes away.
func (c *Conn) Wait() { _, _ = io.Copy(io.Discard, c.r) }

// Reset closes the connection by a reset.
func (c *Conn) Reset() {
	_ = c.SetLinger(0)
	_ = c.Close()
}
