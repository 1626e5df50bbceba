package worker

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
)

// message is a message as the server handed it out, and what can be said about
// it to the server. The words are those of JetStream's ack protocol.
type message struct {
	*nats.Msg
	nc *nats.Conn
	// arrived is when it came; zero for one that no consumer handed out.
	arrived time.Time
	// waited tells that no slot was free for it when it came.
	waited bool
}

// The words that take a message out of the stream. A message that a newer one has
// replaced is acknowledged as any other.
const (
	wordAck  = "+ACK"
	wordTerm = "+TERM " // a reason follows
)

var errNoConsumer = errors.New("the message came from no consumer")

// nak hands the message back, to be handed out again after a delay.
func (m *message) nak(delay time.Duration) error {
	if delay <= 0 {
		return m.say([]byte("-NAK"))
	}
	b, err := json.Marshal(struct {
		Delay time.Duration `json:"delay"` // nanoseconds
	}{delay})
	if err != nil {
		return fmt.Errorf("nak: %w", err)
	}
	return m.say(append([]byte("-NAK "), b...))
}

// inProgress starts the server's wait for the message anew.
func (m *message) inProgress() error { return m.say([]byte("+WPI")) }

func (m *message) say(word []byte) error {
	if m.Reply == "" {
		return errNoConsumer
	}
	return m.nc.Publish(m.Reply, word)
}
