package exchange

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
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
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

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

// left tells how far an exchange came.
func left(t testing.TB, err error) bool {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *Error", err)
	}
	return e.Left
}

// counted serves, and counts the connections.
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

// TestAConnectionServesAgain over TCP and over TLS.
func TestAConnectionServesAgain(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			srv, conns := counted(t, echo)
			c := direct(Options{})
			if secure {
				srv.StartTLS()
				c = direct(Options{TLS: trusting(srv)})
			} else {
				srv.Start()
			}
			for i := range 3 {
				want := strings.Repeat("x", i*10_000)
				if status, body, err := ask(t.Context(), c, post(t, srv.URL, want)); status != 200 || body != want || err != nil {
					t.Fatalf("%d, %d bytes, %v", status, len(body), err)
				}
			}
			if n := conns.Load(); n != 1 {
				t.Errorf("%d connections", n)
			}
			srv.CloseClientConnections()
			awaitNoise(t, c)
			if _, body, err := ask(t.Context(), c, post(t, srv.URL, "again")); body != "again" || err != nil {
				t.Errorf("after the connection was closed: %q, %v", body, err)
			}
			if n := conns.Load(); n != 2 {
				t.Errorf("%d connections", n)
			}
		})
	}
}

func trusting(srv *httptest.Server) *tls.Config {
	roots := x509.NewCertPool()
	roots.AddCert(srv.Certificate())
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}
}

// awaitNoise waits until something has come over the kept connections.
func awaitNoise(t testing.TB, c *Client) {
	t.Helper()
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-ticks.C {
		noisy := true
		c.idle.mu.Lock()
		for _, conns := range c.idle.conns {
			for _, k := range conns {
				noisy = noisy && !k.silent()
			}
		}
		c.idle.mu.Unlock()
		if noisy {
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing came")
		}
	}
}

// TestAnswers: what is read of them, and whether the connection serves again.
func TestAnswers(t *testing.T) {
	const ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
	for _, c := range []struct {
		name, says string
		status     int
		body       string
		broken     bool
		kept       bool
	}{
		{"plain", ok, 200, "ok", false, true},
		{"no body", "HTTP/1.1 204 No Content\r\n\r\n", 204, "", false, true},
		{"in chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", 200, "ok", false, true},
		{"an early hint", "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" + ok, 200, "ok", false, true},
		{"an error", "HTTP/1.1 500 Oh\r\nContent-Length: 2\r\n\r\nno", 500, "no", false, true},
		{"a redirect", "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", 302, "", false, true},
		{"it closes", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
		{"HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", 200, "ok", false, false},
		{"until the end", "HTTP/1.1 200 OK\r\n\r\nok", 200, "ok", false, false},
		{"an upgrade", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", 101, "", false, false},
		{"more than the answer", ok + ok, 200, "ok", false, false},
		{"half a body", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nok", 200, "ok", true, false},
		{"a broken chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 200, "", true, false},
		{"a long body", "HTTP/1.1 200 OK\r\n\r\n" + strings.Repeat("x", 5000), 200, "", true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := sendertest.Raw(t, func(conn *sendertest.Conn) {
				if conn.ReadRequest() {
					conn.Say(c.says)
				}
				if c.kept {
					conn.Wait()
				}
			})
			client := direct(Options{MaxAnswer: 2000})
			status, body, err := ask(t.Context(), client, post(t, srv.Endpoint, "a"))
			if status != c.status || (err != nil) != c.broken || !c.broken && body != c.body {
				t.Errorf("%d %q, %v", status, body, err)
			}
			if kept := kept(client); kept != c.kept {
				t.Errorf("the connection is kept: %v, want %v", kept, c.kept)
			}
			for _, k := range client.idle.old(time.Now().Add(time.Hour)) {
				_ = k.Close()
			}
		})
	}
}

func kept(c *Client) bool {
	c.idle.mu.Lock()
	defer c.idle.mu.Unlock()
	for _, conns := range c.idle.conns {
		if len(conns) > 0 {
			return true
		}
	}
	return false
}

// TestNoAnswer: nothing that had not left is said to have, nor the other way round.
func TestNoAnswer(t *testing.T) {
	for _, c := range []struct {
		name string
		talk func(*sendertest.Conn)
		left bool
	}{
		{"closed", func(c *sendertest.Conn) { c.ReadRequest() }, true},
		{"reset", func(c *sendertest.Conn) { c.ReadRequest(); c.Reset() }, true},
		{"half a header", func(c *sendertest.Conn) { c.ReadRequest(); c.Say("HTTP/1.1 200 OK\r\nA") }, true},
		{"a header without end", func(c *sendertest.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 200 OK\r\nX-Filler: " + strings.Repeat("x", 5000))
			c.Wait()
		}, true},
		{"a status that is none", func(c *sendertest.Conn) {
			c.ReadRequest()
			c.Say("HTTP/1.1 000 X\r\nContent-Length: 0\r\n\r\n")
			c.Wait()
		}, true},
		{"hints without end", func(c *sendertest.Conn) {
			c.ReadRequest()
			c.Say(strings.Repeat("HTTP/1.1 103 Early Hints\r\n\r\n", 500))
			c.Wait()
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := sendertest.Raw(t, c.talk)
			_, _, err := ask(t.Context(), direct(Options{MaxAnswer: 2000}), post(t, srv.Endpoint, "a"))
			if left(t, err) != c.left {
				t.Errorf("%v, left %v", err, !c.left)
			}
		})
	}
	t.Run("refused", func(t *testing.T) {
		if _, _, err := ask(t.Context(), direct(Options{}), post(t, "http://127.0.0.1:1", "a")); left(t, err) {
			t.Errorf("%v is said to have left", err)
		}
	})
	t.Run("no handshake", func(t *testing.T) {
		srv := sendertest.Raw(t, (*sendertest.Conn).Wait)
		c := direct(Options{ConnectTimeout: 50 * time.Millisecond})
		_, _, err := ask(t.Context(), c, post(t, strings.Replace(srv.Endpoint, "http:", "https:", 1), "a"))
		if left(t, err) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	})
}

// TestARefusalBeforeTheEnd: who refuses a request that it has not read to its end is
// heard.
func TestARefusalBeforeTheEnd(t *testing.T) {
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.AwaitByte()
		c.Say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		_ = c.CloseWrite()
		_, _ = io.CopyN(io.Discard, c, 1<<20) // it says so while the rest is on its way
		c.Reset()
	})
	c := direct(Options{})
	status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, strings.Repeat("x", 64<<20)))
	if status != http.StatusRequestEntityTooLarge || err != nil {
		t.Errorf("%d, %v", status, err)
	}
	if kept(c) {
		t.Error("the connection is kept")
	}
}

func TestContextEndsTheExchange(t *testing.T) {
	gone := make(chan struct{}, 3)
	there := make(chan struct{}, 3)
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
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
			t.Error(err)
		}
		<-gone
	})
	t.Run("too late", func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, _, err := ask(ctx, direct(Options{}), post(t, srv.Endpoint, "a"))
		var netErr net.Error
		if !left(t, err) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Error(err)
		}
		<-gone
	})
	t.Run("past its deadline", func(t *testing.T) {
		r := post(t, srv.Endpoint, "a")
		r.Deadline = time.Now().Add(100 * time.Millisecond)
		_, _, err := ask(t.Context(), direct(Options{}), r)
		var netErr net.Error
		if !left(t, err) || !errors.As(err, &netErr) || !netErr.Timeout() {
			t.Error(err)
		}
		<-gone
	})
	t.Run("over before it began", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, _, err := ask(ctx, direct(Options{}), post(t, srv.Endpoint, "a")); left(t, err) || !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	if n := len(srv.Requests()); n != 3 {
		t.Errorf("%d requests", n)
	}
}

// TestAnEndThatCrossesTheAnswer: a context that ends while the answer is read ends
// that exchange's connection, and never the next exchange.
func TestAnEndThatCrossesTheAnswer(t *testing.T) {
	srv, _ := counted(t, echo)
	srv.Start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := post(t, srv.URL, "a")
	to, err := originOf(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	k, err := direct(Options{}).dial(ctx, to, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	k.answer.from = readerFunc(func(p []byte) (int, error) {
		n, err := k.Read(p)
		cancel()
		return n, err
	})
	out := new(out)
	if err := out.write(to, r); err != nil {
		t.Fatal(err)
	}
	if answer, _, err := k.exchange(ctx, time.Time{}, out); err != nil || string(answer.Body) != "a" || k.reusable {
		t.Errorf("%+v, %v, kept: %v", answer, err, k.reusable)
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestADeadlineDoesNotStick: what one exchange may take says nothing of the next one
// over its connection.
func TestADeadlineDoesNotStick(t *testing.T) {
	srv, conns := counted(t, echo)
	srv.Start()
	c := direct(Options{})
	r := post(t, srv.URL, "a")
	r.Deadline = time.Now().Add(time.Second)
	if _, _, err := ask(t.Context(), c, r); err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(r.Deadline))
	if _, _, err := ask(t.Context(), c, post(t, srv.URL, "a")); err != nil || conns.Load() != 1 {
		t.Errorf("%v, over %d connections", err, conns.Load())
	}
}

// TestWhatAnswersUnasked serves no request: its answer would be taken for that of the
// next one.
func TestWhatAnswersUnasked(t *testing.T) {
	said := make(chan struct{})
	var once sync.Once
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		for c.ReadRequest() {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
			once.Do(func() {
				<-said
				c.Say("HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
			})
		}
	})
	c := direct(Options{})
	if status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "a")); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	close(said)
	awaitNoise(t, c)
	if status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "b")); status != 200 || err != nil {
		t.Fatal(status, err)
	}
}

func TestIdleConnectionsClose(t *testing.T) {
	gone := make(chan struct{})
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.ReadRequest()
		c.Say("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
		c.Wait()
		gone <- struct{}{}
	})
	for _, timeout := range []time.Duration{-1, 50 * time.Millisecond} {
		c := direct(Options{IdleTimeout: timeout})
		for range 2 {
			if _, _, err := ask(t.Context(), c, post(t, srv.Endpoint, "a")); err != nil {
				t.Fatal(err)
			}
			<-gone
		}
		if timeout < 0 && kept(c) {
			t.Error("a connection is kept")
		}
	}
}

// TestWhatIsIdleLongestCloses first, and the timer comes again for the rest.
func TestWhatIsIdleLongestCloses(t *testing.T) {
	i := newIdle(time.Hour)
	now := time.Now()
	a, b := origin{"http", "a"}, origin{"http", "b"}
	for n, to := range []origin{a, b, a, b} {
		k := &conn{}
		i.put(to, k)
		k.since = now.Add(time.Duration(n) * time.Minute)
	}
	for n, want := range []int{1, 1, 1, 1, 0} {
		if old := i.old(now.Add(time.Hour + time.Duration(n)*time.Minute)); len(old) != want {
			t.Fatalf("after %d minutes more %d are old", n, len(old))
		}
		if left := i.closing != nil; left != (n < 3) {
			t.Errorf("after %d minutes more the timer goes: %v", n, left)
		}
	}
}

func TestWhatCantStandInARequest(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Request)
	}{
		{"the URL", func(r *Request) { r.URL.RawQuery = "a=b HTTP/1.1\r\nX: y" }},
		{"the host", func(r *Request) { r.URL.Host = "a\r\nX: y" }},
		{"no host", func(r *Request) { r.URL.Host = "" }},
		{"the method", func(r *Request) { r.Method = "POST / HTTP/1.1\r\nX" }},
		{"HEAD", func(r *Request) { r.Method = http.MethodHead }},
		{"no method", func(r *Request) { r.Method = "" }},
		{"a header", func(r *Request) { r.Header.Set("Authorization", "x\r\nInjected: y") }},
		{"a header's name", func(r *Request) { r.Header["A\r\nInjected"] = []string{"y"} }},
		{"the scheme", func(r *Request) { r.URL.Scheme = "ftp" }},
	} {
		r := post(t, "http://127.0.0.1:1", "a")
		c.spoil(r)
		if _, _, err := ask(t.Context(), direct(Options{}), r); left(t, err) || strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer srv.Close()
	r := post(t, srv.URL+"?a=b", "body")
	r.Header = http.Header{
		"Authorization": {"x y"}, "Content-Length": {"7"}, "Host": {"elsewhere"}, "Transfer-Encoding": {"chunked"},
		"content-length": {"9"}, "host": {"elsewhere"}, "transfer-encoding": {"chunked"},
	}
	if _, _, err := ask(t.Context(), direct(Options{}), r); err != nil {
		t.Fatal(err)
	}
	if got.RequestURI != "/?a=b" || got.ContentLength != 4 || got.Host != r.URL.Host || len(got.TransferEncoding) != 0 ||
		got.Header.Get("Authorization") != "x y" {
		t.Errorf("%+v", got)
	}
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
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
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

// TestWhatTLSHolds: what came with an answer is not taken for that of the next request,
// nor is a connection used that has been ended so.
func TestWhatTLSHolds(t *testing.T) {
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

// TestWhoDoesNotListen is left at once: TLS would wait for seconds until it could say
// that the connection is closed.
func TestWhoDoesNotListen(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	some := httptest.NewTLSServer(http.NotFoundHandler())
	defer some.Close()
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		if tls.Server(c, &tls.Config{MinVersion: tls.VersionTLS12, Certificates: some.TLS.Certificates}).Handshake() == nil {
			<-stop
		}
	})
	to := origin{"https", strings.TrimPrefix(srv.Endpoint, "http://")}
	k, err := direct(Options{TLS: trusting(some)}).dial(t.Context(), to, time.Time{})
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

// TestARefusalThatReadsNoFurther is heard, though the request could not be written.
func TestARefusalThatReadsNoFurther(t *testing.T) {
	stop := make(chan struct{})
	defer close(stop)
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.AwaitByte()
		c.Say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		<-stop
	})
	r := post(t, srv.Endpoint, strings.Repeat("x", 16<<20))
	r.Deadline = time.Now().Add(2 * time.Second)
	if status, _, err := ask(t.Context(), direct(Options{}), r); status != http.StatusRequestEntityTooLarge || err != nil {
		t.Errorf("%d, %v", status, err)
	}
}

// TestWhatComesTooLate uses up no connection.
func TestWhatComesTooLate(t *testing.T) {
	srv, conns := counted(t, echo)
	srv.Start()
	c := direct(Options{})
	for i := range 3 {
		r := post(t, srv.URL, "a")
		if late := i == 1; late {
			r.Deadline = time.Now()
		}
		_, _, err := ask(t.Context(), c, r)
		if late := i == 1; late && (left(t, err) || !errors.Is(err, context.DeadlineExceeded)) || !late && err != nil {
			t.Error(err)
		}
	}
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string][3]string{
		"dm.aliyuncs.com":     {"dm.aliyuncs.com", "dm.aliyuncs.com:443", "dm.aliyuncs.com"},
		"dm.aliyuncs.com:80":  {"dm.aliyuncs.com:80", "dm.aliyuncs.com:80", "dm.aliyuncs.com"},
		"bücher.example:8443": {"xn--bcher-kva.example:8443", "xn--bcher-kva.example:8443", "xn--bcher-kva.example"},
		"[::1]":               {"[::1]", "[::1]:443", "::1"},
		"[fe80::1%lo]:8443":   {"[fe80::1]:8443", "[fe80::1%lo]:8443", "fe80::1%lo"},
	} {
		o, err := originOf(&url.URL{Scheme: "https", Host: host})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		address, name := o.address()
		if got := [3]string{o.named(), address, name}; got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}

// TestProxied goes through a proxy to HTTP and to HTTPS, and knows there too what has
// left.
func TestProxied(t *testing.T) {
	proxy := newProxy(t)
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("TLS %v", secure), func(t *testing.T) {
			srv, _ := counted(t, func(w http.ResponseWriter, r *http.Request) {
				switch r.URL.Path {
				case "/cut":
					_, _ = io.Copy(io.Discard, r.Body)
					panic(http.ErrAbortHandler)
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
				t.Fatalf("%d %q, %v", status, body, err)
			}
			if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/long", "a")); !errors.Is(err, errTooLong) {
				t.Errorf("a long answer: %v", err)
			}
			if secure {
				if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/none", "a")); !left(t, err) {
					t.Errorf("%v is said not to have left", err)
				}
				if _, _, err := ask(t.Context(), c, post(t, srv.URL+"/cut", "a")); !left(t, err) {
					t.Errorf("%v is said not to have left", err)
				}
				if _, _, err := ask(t.Context(), New(Options{Proxy: o.Proxy, IdleTimeout: -1}), post(t, srv.URL, "a")); left(t, err) {
					t.Errorf("%v is said to have left", err)
				}
			}
		})
	}
	t.Run("none there", func(t *testing.T) {
		c := New(Options{Proxy: http.ProxyURL(&url.URL{Scheme: "http", Host: "127.0.0.1:1"})})
		if _, _, err := ask(t.Context(), c, post(t, "http://127.0.0.1:2", "a")); left(t, err) {
			t.Errorf("%v is said to have left", err)
		}
	})
	t.Run("none to be chosen", func(t *testing.T) {
		c := New(Options{Proxy: func(*http.Request) (*url.URL, error) { return nil, errors.New("no idea") }})
		if _, _, err := ask(t.Context(), c, post(t, "http://127.0.0.1:2", "a")); left(t, err) || err.Error() != "no idea" {
			t.Errorf("%v", err)
		}
	})
}

// newProxy is one for HTTP, and by CONNECT for anything.
func newProxy(t testing.TB) *url.URL {
	forward := &httputil.ReverseProxy{Rewrite: func(*httputil.ProxyRequest) {}, Transport: &http.Transport{DisableKeepAlives: true}}
	var tunnels sync.WaitGroup
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodConnect {
			forward.ServeHTTP(w, r)
			return
		}
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

// TestManyAtOnce has goroutines share a client while the server closes what it likes;
// the race detector watches. What it closes before it has read a request leaves no
// doubt but where it crosses the request on its way.
func TestManyAtOnce(t *testing.T) {
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

// FuzzAnswer reads anything as an answer: it ends, and a connection on which something
// is left over serves no more.
func FuzzAnswer(f *testing.F) {
	for _, s := range []string{
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "220 smtp ESMTP\r\n", "HTTP/1.1 101 X\r\n\r\n",
		"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\n\r\n", "",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, says []byte) {
		const most = 4096
		k := &conn{answer: limited{from: bytes.NewReader(says), most: most}}
		k.reader = newReader(k)
		answer, err := k.read()
		if err != nil {
			return
		}
		if len(answer.Body) > most || answer.Status < 200 && answer.Status != http.StatusSwitchingProtocols {
			t.Errorf("%d, %d bytes", answer.Status, len(answer.Body))
		}
		if k.reusable && (answer.Broken != nil || k.reader.Buffered() != 0) {
			t.Errorf("kept after %v, %d bytes left over", answer.Broken, k.reader.Buffered())
		}
	})
}

// BenchmarkDo: an exchange over a kept connection.
func BenchmarkDo(b *testing.B) {
	srv := sendertest.Raw(b, func(c *sendertest.Conn) {
		for c.ReadRequest() {
			c.Say("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
		}
	})
	c := direct(Options{})
	r := post(b, srv.Endpoint, strings.Repeat("x", 500))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ask(b.Context(), c, r); err != nil {
			b.Fatal(err)
		}
	}
}
