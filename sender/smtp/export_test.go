package smtp

import (
	"io"
	"net"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// SetClock sets the clock of the connector that c makes.
func SetClock(c *Config, now func() time.Time) { c.now = now }

// MoveAway makes a connector treat its server as one on another machine.
func MoveAway(s sender.Sender) {
	s.(*connector).pool.dialer.near = func(net.Conn) bool { return false }
}

// Resolve makes a connector resolve its server with r.
func Resolve(s sender.Sender, r *net.Resolver) { s.(*connector).pool.dialer.resolver = r }

// Server returns the name that a connector dials, and the name that the certificate must
// have.
func Server(s sender.Sender) (host, certificate string) {
	d := s.(*connector).pool.dialer
	return d.host, d.tls.ServerName
}

// Idle returns how many connections of a connector are idle.
func Idle(s sender.Sender) int {
	p := s.(*connector).pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// Internals for tables and fuzz targets.
var (
	QueueID    = queueID
	SplitReply = splitReply
	SplitFrom  = splitFrom
	MessageID  = messageID
)

// Redact returns what an error shows of a server's text.
func Redact(text string, m *sender.Message, secrets ...string) string {
	return private{secrets: secrets, message: m, from: "no-reply@example.com"}.redact(text)
}

// Make makes a mail as the connector does.
func Make(c *Config, m *sender.Message) ([]byte, error) {
	s, err := c.New()
	if err != nil {
		return nil, err
	}
	mailing, invalid := s.(*connector).maker.make(m)
	if invalid != nil {
		return nil, invalid
	}
	return mailing.data, nil
}

// Offers returns what a listener reads from a server's reply to EHLO. read gets what the
// client reads.
func Offers(answer net.Conn, read func(io.Reader)) map[string][]string {
	l := &listener{Conn: answer}
	_, _ = l.Write([]byte("EHLO x\r\n"))
	read(l)
	return l.offers()
}
