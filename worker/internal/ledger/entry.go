// Package ledger keeps, in a key-value bucket, what workers tell each other about a
// message: that it is claimed, being retried, in doubt, put back, or sent without a
// confirmed ack.
//
// An entry belongs to one stored message, not to the id that its publisher gave it. Every
// write except that of Sent is conditional on the revision that the worker knows: a worker
// that was cut off can't overwrite what another worker has written meanwhile.
package ledger

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// State is what the worker that wrote an entry knew.
type State string

// The states. Their values are stored in the bucket. An unknown value comes from a newer
// worker, and is read as LostWorker.
const (
	// Claimed: a worker has the message, and may be sending it.
	Claimed State = "claimed"
	// Retrying: no connector accepted it; it was put back with a delay.
	Retrying State = "retrying"
	// InDoubt: a connector may have accepted it; it was put back with a delay.
	InDoubt State = "unknown"
	// Released: it was put back, and no connector was tried.
	Released State = "released"
	// LostWorker: its worker disappeared, and another worker has taken the message.
	LostWorker State = "doubt"
	// Panicked: codeferry panicked while it worked on the message. This counts as a lost
	// worker, and is already counted in Doubts.
	Panicked State = "panicked"
	// Sent: a connector accepted it, but the server has not confirmed the ack.
	Sent State = "sent"
)

// Place is where the stream stored a message. Sequence and time together are unique, even
// after the stream was deleted and made again.
type Place struct {
	Sequence uint64 `json:"sequence"`
	// StoredAt is in nanoseconds since 1970.
	StoredAt int64 `json:"storedAt"`
}

// Entry is what the ledger keeps of a message.
type Entry struct {
	State State `json:"state"`
	// Delivery is the delivery during which the entry was written. Consumer is when the
	// consumer that counts the deliveries was made (Unix, in nanoseconds): a consumer that
	// is made again begins to count at 1.
	Delivery uint64 `json:"delivery"`
	Consumer int64  `json:"consumer,omitempty"`
	// Place is where the message is stored; if it was stored twice, where it was stored
	// first.
	Place
	// Owner is the worker that wrote the entry.
	Owner string `json:"owner,omitempty"`
	// Try counts the writes of that worker.
	Try uint64 `json:"try,omitempty"`
	// Doubts counts the workers that the message has lost.
	Doubts int `json:"doubts,omitempty"`
	// DoubtFor is how long the message has been in doubt. DoubtGrace is how long workers
	// ask the providers about it. They are durations and not times, because the workers'
	// clocks can differ.
	DoubtFor   time.Duration `json:"doubtFor,omitzero"`
	DoubtGrace time.Duration `json:"doubtGrace,omitzero"`
	// Suspects are the connectors that may have accepted the message.
	Suspects []string `json:"suspects,omitempty"`
	// History are its attempts, the oldest first.
	History []messages.Attempt `json:"history,omitempty"`
	// Unfilled says that an outcome has told that no connector can fill in its template for
	// the message. So it is told once, however long the message waits for a configuration.
	Unfilled bool `json:"unfilled,omitempty"`
	// Trace is the span of the delivery, as a W3C traceparent; empty if it is not sampled.
	// The span of the next delivery links to it.
	Trace string `json:"trace,omitempty"`
	// Why says why a Released message was put back. Open names the connectors whose circuit
	// breakers were open. They are for operators; no worker decides by them.
	Why  Why      `json:"why,omitempty"`
	Open []string `json:"open,omitempty"`
}

// Why says why a message was put back without an attempt.
type Why string

// The reasons. More may come.
const (
	// WhyBreaker: no connector could be called, and a circuit breaker was open.
	WhyBreaker Why = "breaker"
	// WhySlots: no connector could be called; its share of the slots was used up.
	WhySlots Why = "slots"
	// WhyNewerFirst: under overload newer codes go first.
	WhyNewerFirst Why = "newer-first"
	// WhyStream: the stream did not say whether a newer code was stored.
	WhyStream Why = "stream"
	// WhyTemplate: no connector can fill in its template for it.
	WhyTemplate Why = "template"
	// WhyNotBegun: its worker stopped pulling before the message had a slot.
	WhyNotBegun Why = "not-begun"
)

// OfLastDelivery reports whether the entry was written during the delivery just before
// that of r. Then the entry holds the result of that delivery.
func (e *Entry) OfLastDelivery(r *Record) bool {
	return e.Delivery+1 == r.Delivery && e.Consumer == r.Consumer
}

// OfEarlierDelivery reports whether the entry was written during any delivery before that
// of r, including those of an earlier consumer.
func (e *Entry) OfEarlierDelivery(r *Record) bool {
	return e.Consumer < r.Consumer || e.Consumer == r.Consumer && e.Delivery < r.Delivery
}

// maxHistory is how many attempts of a message are kept; the oldest are dropped first.
const maxHistory = 32

func encode(e Entry) ([]byte, error) {
	if n := len(e.History); n > maxHistory {
		e.History = e.History[n-maxHistory:]
	}
	b, err := json.Marshal(e)
	if err != nil {
		return nil, fmt.Errorf("encode a ledger entry: %w", err)
	}
	return b, nil
}

func decode(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := json.Unmarshal(b, e); err != nil {
		return nil, fmt.Errorf("decode a ledger entry: %w", err)
	}
	switch e.State {
	case Claimed, Retrying, InDoubt, Released, LostWorker, Panicked, Sent:
	default:
		e.State = LostWorker
	}
	return e, nil
}
