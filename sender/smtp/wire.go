package smtp

import (
	"errors"
	"net"
	"time"
)

// wire is a connection below TLS and SMTP. It bounds silence and what is read,
// and knows how much has left: go-mail's client says neither. One goroutine
// uses it at a time; cut may come from any.
type wire struct {
	net.Conn
	// silence bounds each read and write; 0 for no bound.
	silence time.Duration
	// read counts since something was last written.
	read int
	// written counts what the system has taken.
	written int64
}

// maxAnswer bounds what is read in answer to one thing that was said; real
// answers have a few hundred bytes, and a chain of certificates a few thousand.
const maxAnswer = 1 << 18

var errTooLong = errors.New("the answer has no end")

func (w *wire) Read(b []byte) (int, error) {
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

// cut ends whatever goes on.
func (w *wire) cut() { _ = w.Conn.Close() }
