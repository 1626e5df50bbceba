package jetpull

import (
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Message is one delivery of a message.
type Message struct {
	Subject string
	Header  nats.Header
	Data    []byte
	// Sequence and StoredAt are the message's place in the stream: together they are
	// unique, even after the stream was deleted and made again.
	Sequence uint64
	StoredAt time.Time
	// Delivered is how often the server has handed the message out. A server that crashed
	// may have forgotten some deliveries.
	Delivered uint64
	// Pending is how many of the consumer's messages were never handed out.
	Pending uint64
	// Arrived is when it came. Consumer is when the consumer that handed it out was made.
	Arrived  time.Time
	Consumer time.Time
	// Late is how long before Arrived the server may have handed it out: the network may
	// have delayed it while nothing came.
	Late time.Duration

	conn  Publisher
	reply string
	// lease is how long after its arrival it surely belongs to this worker.
	lease atomic.Int64

	mu sync.Mutex
	// putBack is true once the message was put back: no ack is sent for it any more.
	putBack bool
}

// Publisher is the part of a connection that sends acks.
type Publisher interface {
	Publish(subject string, data []byte) error
}

// The payloads of the ack protocol.
const (
	ackAck        = "+ACK"
	ackTerm       = "+TERM " // a reason follows
	ackNak        = "-NAK"
	ackInProgress = "+WPI"
)

// Read makes a Message of what came from the server at the time now. The message's naks go
// over conn; o are the Options of its Puller. Read fails if the message did not come from
// a consumer.
func Read(conn Publisher, msg *nats.Msg, o Options, now time.Time) (*Message, error) {
	meta, err := msg.Metadata()
	if err == nil && (meta.Sequence.Stream == 0 || meta.NumDelivered == 0) { // a token that is not a number is read as 0
		err = errNoReply
	}
	if err != nil {
		return nil, fmt.Errorf("read where a message of %s came from: %w", subjectOf(msg), err)
	}
	m := &Message{
		Subject: msg.Subject, Header: msg.Header, Data: msg.Data,
		Sequence: meta.Sequence.Stream, StoredAt: meta.Timestamp, Delivered: meta.NumDelivered, Pending: meta.NumPending,
		Arrived: now, Consumer: o.Created, conn: conn, reply: msg.Reply,
	}
	m.lease.Store(int64(firstLease(o.AckWait)))
	return m, nil
}

// subjectOf names a message by its inbox. The message's own subject can hold text that a
// publisher should not have put there.
func subjectOf(msg *nats.Msg) string {
	if msg.Sub != nil {
		return "inbox " + msg.Sub.Subject
	}
	return "an inbox"
}

// Nak puts the message back: the server hands it out again after the delay, or at once if
// the delay is not positive. Nak does not wait for the server. After it InProgress does
// nothing, since that would replace the delay by AckWait.
func (m *Message) Nak(delay time.Duration) error {
	payload := []byte(ackNak)
	if delay > 0 {
		b, err := json.Marshal(struct {
			Delay time.Duration `json:"delay"` // nanoseconds
		}{delay})
		if err != nil {
			return fmt.Errorf("nak: %w", err)
		}
		payload = append(append(payload, ' '), b...)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.putBack = true
	return m.send(payload)
}

func (m *Message) send(payload []byte) error {
	if m.reply == "" {
		return errNoReply
	}
	if err := m.conn.Publish(m.reply, payload); err != nil {
		return fmt.Errorf("nak a message: %w", err)
	}
	return nil
}
