package exchange

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

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
