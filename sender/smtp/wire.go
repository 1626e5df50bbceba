package smtp

import (
	"errors"
	"net"
	"net/textproto"
	"time"
)

// wire is a connection below TLS and SMTP. It bounds waits and the amount read, and
// counts the bytes written, which go-mail's client does not do. One goroutine uses it at
// a time; any goroutine can call cut.
type wire struct {
	net.Conn
	// silence bounds each read and write; 0 means no bound.
	silence time.Duration
	// read is the number of bytes read since the last write.
	read int
	// written is the number of bytes that the system has taken.
	written int64
	// failed is the first error of reading.
	failed error
}

// maxAnswer bounds the reply to one command, in bytes. Real replies have a few hundred
// bytes, and a chain of certificates a few thousand.
const maxAnswer = 1 << 18

var errTooLong = errors.New("the answer has no end")

func (w *wire) Read(b []byte) (int, error) {
	n, err := w.hear(b)
	if n == 0 && w.failed == nil {
		w.failed = err
	}
	return n, err
}

func (w *wire) hear(b []byte) (int, error) {
	if w.read >= maxAnswer {
		return 0, errTooLong
	}
	if err := w.SetReadDeadline(w.deadline()); err != nil {
		return 0, err
	}
	n, err := w.Conn.Read(b[:min(len(b), maxAnswer-w.read)])
	w.read += n
	return n, err
}

// why returns the cause of an error in reading a reply. A parser reports the part of a
// line that came before a time-out or a cut as an invalid reply.
func (w *wire) why(err error) error {
	var protocol textproto.ProtocolError
	if w.failed != nil && errors.As(err, &protocol) {
		return w.failed
	}
	return err
}

func (w *wire) Write(b []byte) (int, error) {
	if err := w.SetWriteDeadline(w.deadline()); err != nil {
		return 0, err
	}
	n, err := w.Conn.Write(b)
	w.read, w.written = 0, w.written+int64(n)
	return n, err
}

func (w *wire) deadline() time.Time {
	if w.silence <= 0 {
		return time.Time{}
	}
	return time.Now().Add(w.silence)
}

// cut ends all reads and writes.
func (w *wire) cut() { _ = w.Conn.Close() }
