package httpclient

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// Answer is a provider's answer, with any status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Broken is why Body is not complete; nil if it is.
	Broken error
}

// Failure classes an answer with an incomplete body, as the function Failure classes a
// missing answer. It is nil if the body is complete.
func (a *Answer) Failure(codes Codes) *sender.Error {
	if a.Broken == nil {
		return nil
	}
	return Failure(&Error{Left: true, Err: a.Broken}, codes)
}

// Response returns the answer as net/http's type. It needs no closing. If the body is not
// complete, reading fails at its end.
func (a *Answer) Response() *http.Response {
	return &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header, Body: newHeld(a.Body, a.Broken), ContentLength: -1,
	}
}

// held is a body in memory.
type held struct {
	body *bytes.Reader
	// broken is why it is not complete.
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

// limited reads up to a limit and then fails, so a longer body does not look as if it had
// ended.
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

// incoming reads from one of our own connections, one answer at a time. It remembers why
// reading stopped: a parser reports a line that stalled, or had no end, as invalid HTTP.
type incoming struct {
	limited
	failed error
	// head holds the first bytes that came over the connection.
	head [headLength]byte
	came int
}

// next begins an answer whose header has at most most bytes.
func (i *incoming) next(most int64) { i.got, i.most, i.failed = 0, most, nil }

func (i *incoming) Read(p []byte) (int, error) {
	n, err := i.limited.Read(p)
	if i.came < len(i.head) {
		i.came += copy(i.head[i.came:], p[:n])
		if other := otherProtocol(i.head[:i.came]); other != nil {
			n, err = 0, other
		}
	}
	if n == 0 && err != nil {
		i.failed = err
	}
	return n, err
}

// why returns the cause of a parser's error.
func (i *incoming) why(err error) error {
	switch {
	case errors.Is(i.failed, io.EOF):
		return io.ErrUnexpectedEOF
	case i.failed != nil:
		err = i.failed
	}
	return unquoted(err)
}

// errNoHTTP replaces net/http's errors about an invalid answer, since they quote the
// answer, which can hold anything.
var errNoHTTP = errors.New("the answer is not HTTP")

// unquoted removes what was read from an error; nil stays nil.
func unquoted(err error) error {
	var netErr net.Error
	var other *protocolError
	switch {
	case err == nil, errors.As(err, &netErr), errors.As(err, &other), errors.Is(err, errTooLong),
		errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return err
	case strings.Contains(err.Error(), "net/http: server response headers exceeded"):
		return errTooLong // net/http has no error type for it
	}
	return errNoHTTP
}

// possible refuses an invalid status (RFC 9110, 15), which net/http accepts.
func possible(answer *http.Response) error {
	if answer.StatusCode < 100 {
		return errNoHTTP
	}
	return nil
}
