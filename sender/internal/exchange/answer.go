package exchange

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
)

// Answer is what came back, of whatever status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Broken is why Body is not whole.
	Broken error
}

// Response gives the answer to what takes net/http's. It needs no closing; its body
// fails at its end where it is not whole.
func (a *Answer) Response() *http.Response {
	return &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header, Body: newHeld(a.Body, a.Broken), ContentLength: -1,
	}
}

// held is a body that lies in memory.
type held struct {
	body *bytes.Reader
	// broken is why it is not whole.
	broken error
}

func newHeld(body []byte, broken error) io.ReadCloser {
	if broken == nil {
		broken = io.EOF
	}
	return &held{bytes.NewReader(body), broken}
}

func (h *held) Read(p []byte) (int, error) {
	n, err := h.body.Read(p)
	if err == io.EOF {
		err = h.broken
	}
	return n, err
}

func (*held) Close() error { return nil }

// limited reads so much of an answer and then fails: what is longer is not to look as
// if it had ended.
type limited struct {
	from      io.Reader
	got, most int64
}

var errTooLong = errors.New("the answer is too long")

func (l *limited) Read(p []byte) (int, error) {
	if l.got >= l.most {
		return 0, errTooLong
	}
	if left := l.most - l.got; int64(len(p)) > left {
		p = p[:left]
	}
	n, err := l.from.Read(p)
	l.got += int64(n)
	return n, err
}

// errNoHTTP stands for all that an answer can be that is none. net/http quotes it, and
// it may hold anything.
var errNoHTTP = errors.New("the answer is no HTTP")

// unquoted takes what was read out of an error.
func unquoted(err error) error {
	var netErr net.Error
	if errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, errTooLong) {
		return err
	}
	return errNoHTTP
}

// possible refuses a status that none is (RFC 9110, 15), which net/http takes.
func possible(answer *http.Response) error {
	if answer.StatusCode < 100 {
		return errNoHTTP
	}
	return nil
}
