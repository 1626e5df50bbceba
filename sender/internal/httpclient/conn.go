package httpclient

import (
	"bufio"
	"context"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/codeferry/codeferry/sender/internal/tcp"
)

// conn is a connection for one exchange at a time.
type conn struct {
	net.Conn
	// below is the connection below TLS; without TLS it is Conn itself.
	below net.Conn
	// socket is the socket of below, to see whether anything has come.
	socket syscall.RawConn
	in     incoming
	reader *bufio.Reader
	// maxAnswer bounds an answer's body, in bytes.
	maxAnswer int64
	// reusable is true if the last exchange succeeded and left no unread data.
	reusable bool
	// born is when it was made. until is when it closes if it is still idle.
	born, until time.Time
}

// newConn makes a conn from a connection and the connection below it, which can be the
// same.
func newConn(c, below net.Conn, opts Options) (*conn, error) {
	socket, ok := below.(syscall.Conn)
	if !ok {
		_ = c.Close() // nothing was written to it
		return nil, errors.New("the connection has no socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		_ = c.Close() // likewise
		return nil, err
	}
	k := &conn{Conn: c, below: below, socket: raw, maxAnswer: opts.MaxAnswer, born: opts.Now()}
	k.hear(c)
	return k, nil
}

// hear makes the connection read its answers from a reader.
func (k *conn) hear(from io.Reader) {
	k.in.from = from
	k.reader = bufio.NewReader(&k.in)
}

// abort closes the connection at once. TLS would announce the end first, and wait for
// seconds if the server does not read.
func (k *conn) abort() { _ = k.below.Close() } // the connection is not used any more

// past is a deadline that is over.
var past = time.Unix(1, 0)

// lastWords is how long to wait for an answer if the request could not be written
// completely.
const lastWords = 50 * time.Millisecond

// maxHeader bounds an answer's header together with all 1xx answers before it, in bytes.
// Real headers have a few hundred bytes.
const maxHeader = 32 << 10

// exchange writes the request and reads the answer. If there is an error, left reports
// whether the request may have reached the server: its header was written.
func (k *conn) exchange(ctx context.Context, deadline time.Time, o *out) (answer *Answer, left bool, err error) {
	k.reusable = false
	if err := k.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = k.SetDeadline(past) }) // it fails only if the connection is closed
	defer stop()
	n, broken := k.Write(o.bytes)
	if broken != nil && n < o.header {
		return nil, false, broken
	}
	if broken != nil {
		// A server that refuses a request early can answer before it has read all of it,
		// and then stops reading.
		_ = k.SetReadDeadline(time.Now().Add(lastWords)) // it fails only if the connection is closed
	}
	answer, err = k.read()
	var other *protocolError
	switch {
	case err == nil:
		k.reusable = k.reusable && broken == nil && stop()
		return answer, true, nil
	case errors.As(err, &other):
		return nil, false, err // the server can't have read what was written as a request
	case broken != nil:
		err = broken
	}
	return nil, true, err
}

// read reads an answer and its whole body. It skips 1xx answers.
func (k *conn) read() (*Answer, error) {
	k.in.next(maxHeader)
	for {
		answer, err := http.ReadResponse(k.reader, nil) //nolint:bodyclose // a body holds no resource, and closing it would read the rest
		if err != nil {
			return nil, k.in.why(err)
		}
		if err := possible(answer); err != nil {
			return nil, err
		}
		if answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue // only maxHeader bounds their number
		}
		k.in.most = math.MaxInt64
		body, broken := io.ReadAll(&limited{from: answer.Body, most: k.maxAnswer})
		if broken != nil {
			broken = k.in.why(broken)
		}
		k.reusable = broken == nil && !answer.Close && answer.StatusCode >= 200 && k.reader.Buffered() == 0
		return &Answer{answer.StatusCode, answer.Header, body, broken}, nil
	}
}

// silent reports whether nothing has come over an idle connection. Anything that has come
// is its end, or data that nobody asked for, so the connection can't be used again. After
// silent, the connection needs a new deadline.
func (k *conn) silent() bool {
	if k.reader.Buffered() > 0 || !tcp.NothingToRead(k.socket) {
		return false
	}
	if k.Conn == k.below {
		return true
	}
	// TLS may have read more from the socket than the last answer. It returns that data
	// without reading from the socket, which the deadline would stop.
	k.in.next(maxHeader)
	if k.SetReadDeadline(past) != nil {
		return false
	}
	_, err := k.reader.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}
