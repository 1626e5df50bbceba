package smtp

import (
	"net"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// SetClock has the connector made of c take its dates from now.
func SetClock(c *Config, now func() time.Time) { c.now = now }

// MoveAway has a connector take its server for one on another machine.
func MoveAway(s sender.Sender) {
	s.(*connector).pool.dialer.near = func(net.Conn) bool { return false }
}

// Resolve has a connector look its server up by r.
func Resolve(s sender.Sender, r *net.Resolver) { s.(*connector).pool.dialer.resolver = r }

// Idle is how many connections of a connector rest.
func Idle(s sender.Sender) int {
	p := s.(*connector).pool
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.idle)
}

// The insides that tables and fuzzing look at.
var (
	QueueID    = queueID
	SplitReply = splitReply
	SplitFrom  = splitFrom
	MessageID  = messageID
)

// Clean is what an error keeps of a server's words.
func Clean(text string, m *sender.Message, secrets ...string) string {
	return hider{secrets: secrets, message: m, from: "no-reply@example.com"}.clean(text)
}

// Make puts a mail together as the connector does.
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
