package exchange

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"
)

// conn is a connection that one exchange at a time goes over.
type conn struct {
	net.Conn
	// below is what TLS goes over; without TLS it is Conn.
	below net.Conn
	// socket is that of below, for listening to it.
	socket syscall.RawConn
	answer limited
	reader *bufio.Reader
	// reusable tells that the last exchange went well and left nothing over.
	reusable bool
	// since is when it went idle.
	since time.Time
}

// newConn makes one of a connection and of the socket below, which may be the same.
func newConn(c, below net.Conn, maxAnswer int64) (*conn, error) {
	socket, ok := below.(syscall.Conn)
	if !ok {
		_ = c.Close() // nothing has gone over it
		return nil, errors.New("the connection has no socket")
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		_ = c.Close() // likewise
		return nil, err
	}
	k := &conn{Conn: c, below: below, socket: raw, answer: limited{from: c, most: maxAnswer}}
	k.reader = newReader(k)
	return k, nil
}

func newReader(k *conn) *bufio.Reader { return bufio.NewReader(&k.answer) }

// abort closes the connection at once. TLS would say so to the other side first, and
// wait for seconds where that does not listen.
func (k *conn) abort() { _ = k.below.Close() } // nothing is expected of it any more

// past is a deadline that is over.
var past = time.Unix(1, 0)

// lastWords is how long an answer is waited for after the request could not be
// written to its end.
const lastWords = 50 * time.Millisecond

// exchange writes the request and reads the answer. left tells, beside an error, that
// the request may have reached the other side: its header has been written.
func (k *conn) exchange(ctx context.Context, deadline time.Time, o *out) (answer *Answer, left bool, err error) {
	k.reusable = false
	if err := k.SetDeadline(deadline); err != nil {
		return nil, false, err
	}
	stop := context.AfterFunc(ctx, func() { _ = k.SetDeadline(past) }) // it fails only where the connection is closed
	defer stop()
	n, broken := k.Write(o.bytes)
	if broken != nil && n < o.header {
		return nil, false, broken
	}
	if broken != nil {
		// Who refuses a request early may answer before it has read all of it, and then
		// reads no further.
		_ = k.SetReadDeadline(time.Now().Add(lastWords)) // it fails only where the connection is closed
	}
	answer, err = k.read()
	switch {
	case err == nil:
		k.reusable = k.reusable && broken == nil && stop()
		return answer, true, nil
	case broken != nil:
		err = broken
	}
	return nil, true, err
}

// read reads an answer and all of its body, past those that only announce it.
func (k *conn) read() (*Answer, error) {
	k.answer.got = 0
	for {
		answer, err := http.ReadResponse(k.reader, nil)
		if err != nil {
			return nil, unquoted(err)
		}
		if err := possible(answer); err != nil {
			return nil, err
		}
		body, broken := io.ReadAll(answer.Body)
		_ = answer.Body.Close() // it has been read
		if answer.StatusCode < 200 && answer.StatusCode != http.StatusSwitchingProtocols {
			continue // nothing says how many there may be, but MaxAnswer
		}
		k.reusable = broken == nil && !answer.Close && answer.StatusCode >= 200 && k.reader.Buffered() == 0
		return &Answer{answer.StatusCode, answer.Header, body, broken}, nil
	}
}

// silent tells whether nothing has come over a connection that is not in use. What
// has can only be its end, or what nobody asked for: it serves no longer. The
// connection needs a new deadline after it.
func (k *conn) silent() bool {
	if k.reader.Buffered() > 0 || !nothingToRead(k.socket) {
		return false
	}
	if k.Conn == k.below {
		return true
	}
	// TLS may have read more than the last answer from the socket. It gives it without
	// looking there, where it could not read.
	k.answer.got = 0
	if k.SetReadDeadline(past) != nil {
		return false
	}
	_, err := k.reader.Peek(1)
	return errors.Is(err, os.ErrDeadlineExceeded)
}
