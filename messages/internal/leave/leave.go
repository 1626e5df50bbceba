// Package leave makes a client leave a NATS server at which JetStream does not answer.
//
// A node of a cluster that is cut off from the others keeps its clients and answers their pings,
// so a client stays there. But without the others its JetStream answers nothing, or that it is
// not available, while the others go on.
package leave

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

const (
	// after is how long JetStream may answer nothing before the server is left. An election
	// of a leader takes a few seconds, too.
	after = 6 * time.Second
	// most is the longest time until the next server is left, if JetStream answers nowhere.
	most = time.Minute
)

// Conn is the part of a connection to NATS that a Leaver uses.
type Conn interface {
	IsConnected() bool
	ConnectedAddr() string
	Servers() []string
	Stats() nats.Statistics
	ForceReconnect() error
}

// Leaver decides when to leave the server that a connection is at. Its zero value is not
// usable; see New. Many goroutines can use it at once, and a connection can have several.
type Leaver struct {
	conn Conn
	now  func() time.Time
	left func(server string, silent time.Duration)

	// begun is when the Leaver was made. All times are compared with it, so that a clock that
	// is set changes nothing.
	begun time.Time
	// answered is when JetStream last answered, in nanoseconds after begun.
	answered atomic.Int64

	mu sync.Mutex
	// since is when the first request after the last answer, or after the server was left, was
	// made. wait is how long JetStream may be silent this time.
	since, leftAt time.Time
	wait          time.Duration
	// heard is the last answer that Silent has seen.
	heard time.Time
	// reconnects is the connection's count of reconnects at the present server.
	reconnects uint64
}

// New returns a Leaver for a connection. left is called, if it is not nil, when a server is left
// after JetStream did not answer there for a time.
func New(conn Conn, now func() time.Time, left func(server string, silent time.Duration)) *Leaver {
	begun := now()
	return &Leaver{conn: conn, now: now, left: left, begun: begun, wait: after, heard: begun, reconnects: conn.Stats().Reconnects}
}

// Answered notes an answer of JetStream.
func (l *Leaver) Answered() { l.answered.Store(int64(l.now().Sub(l.begun))) }

// Silent notes that JetStream did not answer a request that was made at begun, or answered that
// it is not available. If it has been so for some seconds, and there are other servers, the
// connection leaves this one. It does not block.
func (l *Leaver) Silent(begun time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.conn.IsConnected() {
		return
	}
	now, answered := l.now(), l.begun.Add(time.Duration(l.answered.Load()))
	if n := l.conn.Stats().Reconnects; n != l.reconnects { // another Leaver left the server, or the connection was lost
		l.reconnects, l.since, l.leftAt = n, time.Time{}, now
	}
	if answered.After(l.heard) { // the silence began after that
		l.heard, l.since, l.wait = answered, time.Time{}, after
	}
	switch {
	case begun.Before(answered):
		begun = answered
	case begun.Before(l.leftAt): // another server did not answer
		begun = l.leftAt
	}
	if l.since.IsZero() || begun.Before(l.since) {
		l.since = begun
	}
	silent := now.Sub(l.since)
	if silent < l.wait || len(l.conn.Servers()) < 2 {
		return
	}
	server := l.conn.ConnectedAddr()
	if err := l.conn.ForceReconnect(); err != nil {
		return // the connection is closed
	}
	l.reconnects++
	l.since, l.leftAt, l.wait = time.Time{}, now, min(2*l.wait, most)
	if l.left != nil {
		l.left(server, silent)
	}
}
