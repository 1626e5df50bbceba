package httpclient

import (
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestARefusalBeforeTheEnd: the refusal of a server that has not read the whole request
// is read.
func TestARefusalBeforeTheEnd(t *testing.T) {
	t.Parallel()
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		c.AwaitByte()
		c.Say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		_ = c.CloseWrite()
		_, _ = io.CopyN(io.Discard, c, 1<<20) // it refuses while the rest is still being sent
		c.Reset()
	})
	c := direct(Options{})
	status, _, err := ask(t.Context(), c, post(t, srv.Endpoint, strings.Repeat("x", 64<<20)))
	if status != http.StatusRequestEntityTooLarge || err != nil {
		t.Errorf("got status %d and error %v, want 413", status, err)
	}
	if kept(c) {
		t.Error("the connection is kept")
	}
}

// TestAnEndThatCrossesTheAnswer: if a context ends while the answer is read, that
// connection closes, and the next exchange is not affected.
func TestAnEndThatCrossesTheAnswer(t *testing.T) {
	t.Parallel()
	srv, _ := counted(t, echo)
	srv.Start()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r := post(t, srv.URL, "a")
	to, err := originOf(r.URL)
	if err != nil {
		t.Fatal(err)
	}
	k, err := direct(Options{}).dial(ctx, to, new(Request))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = k.Close() }()
	k.hear(readerFunc(func(p []byte) (int, error) {
		n, err := k.Read(p)
		cancel()
		return n, err
	}))
	out := new(out)
	out.write(to, r)
	answer, _, err := k.exchange(ctx, time.Time{}, out)
	if err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the body", string(answer.Body), "a")
	if k.reusable {
		t.Error("the connection is kept after its context has ended")
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// TestARefusalThatReadsNoFurther: the refusal is read, though the request could not be
// written.
func TestARefusalThatReadsNoFurther(t *testing.T) {
	t.Parallel()
	stop := make(chan struct{})
	defer close(stop)
	srv := faulty.Raw(t, func(c *faulty.Conn) {
		c.AwaitByte()
		c.Say("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
		<-stop
	})
	r := post(t, srv.Endpoint, strings.Repeat("x", 16<<20))
	r.Deadline = time.Now().Add(2 * time.Second)
	if status, _, err := ask(t.Context(), direct(Options{}), r); status != http.StatusRequestEntityTooLarge || err != nil {
		t.Errorf("got status %d and error %v, want 413", status, err)
	}
}
