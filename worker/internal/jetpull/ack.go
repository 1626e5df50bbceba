package jetpull

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// Acker acks and terminates messages, and asks the server to confirm each ack: otherwise a
// message that was sent would come again if its ack was lost. Acks that wait for their
// confirmation are kept in a map. A goroutine for each would cost more than all other work
// on a message.
type Acker struct {
	nc      requester
	sub     *nats.Subscription
	timeout time.Duration
	now     func() time.Time
	// prefix is the prefix of the confirmations' subjects; a number follows.
	prefix string

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]unconfirmed
}

// requester is the part of a connection that sends requests.
type requester interface {
	PublishRequest(subject, reply string, data []byte) error
}

// unconfirmed is an ack whose confirmation has not come.
type unconfirmed struct {
	since time.Time
	done  func(error)
}

// NewAcker returns an Acker that listens for confirmations. A confirmation may take as
// long as the timeout. The caller has to call Run, and End at the end.
func NewAcker(nc *nats.Conn, timeout time.Duration, now func() time.Time) (*Acker, error) {
	a := &Acker{nc: nc, timeout: timeout, now: now, prefix: nc.NewInbox() + ".", waiting: make(map[uint64]unconfirmed)}
	sub, err := nc.Subscribe(a.prefix+"*", a.confirmation)
	if err != nil {
		return nil, fmt.Errorf("listen for confirmations of acks: %w", err)
	}
	// As many confirmations can come at once as there are slots. That can be more than the
	// client keeps for a subscription by default.
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return nil, fmt.Errorf("listen for confirmations of acks: %w", err)
	}
	a.sub = sub
	return a, nil
}

// Ack tells the server that the message is done, which removes it from the stream. Ack
// does not wait. It calls done once, with nil when the server has confirmed the ack, or
// with an error. done must not block.
func (a *Acker) Ack(m *Message, done func(error)) { a.send(m, ackAck, done) }

// Term is Ack for a message that will not be sent. The reason goes into the server's
// advisory.
func (a *Acker) Term(m *Message, reason string, done func(error)) { a.send(m, ackTerm+reason, done) }

func (a *Acker) send(m *Message, payload string, done func(error)) {
	if m.reply == "" {
		done(errNoReply)
		return
	}
	a.mu.Lock()
	a.next++
	n := a.next
	a.waiting[n] = unconfirmed{a.now(), done}
	a.mu.Unlock()
	if err := a.nc.PublishRequest(m.reply, a.prefix+strconv.FormatUint(n, 10), []byte(payload)); err != nil {
		a.end(n, fmt.Errorf("ack a message: %w", err))
	}
}

// confirmation handles one confirmation from the server.
func (a *Acker) confirmation(msg *nats.Msg) {
	n, err := strconv.ParseUint(strings.TrimPrefix(msg.Subject, a.prefix), 10, 64)
	if err != nil {
		return // no ack waits for it
	}
	if isStatus(msg) {
		err = fmt.Errorf("ack a message: %w", nats.ErrNoResponders)
	}
	a.end(n, err)
}

func (a *Acker) end(n uint64, err error) {
	a.mu.Lock()
	w, ok := a.waiting[n]
	delete(a.waiting, n)
	a.mu.Unlock()
	if ok {
		w.done(err)
	}
}

// Run fails the acks that are not confirmed in time, until ctx ends.
func (a *Acker) Run(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, a.timeout/10))
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			a.giveUp(a.now().Add(-a.timeout))
		}
	}
}

// giveUp fails the acks that were sent before a time.
func (a *Acker) giveUp(before time.Time) {
	var late []uint64
	a.mu.Lock()
	for n, w := range a.waiting {
		if w.since.Before(before) {
			late = append(late, n)
		}
	}
	a.mu.Unlock()
	for _, n := range late {
		a.end(n, fmt.Errorf("ack a message: no confirmation came: %w", nats.ErrTimeout))
	}
}

// End stops listening, and fails the acks that are not confirmed.
func (a *Acker) End() {
	_ = a.sub.Unsubscribe()                // it fails only if the connection is closed
	a.giveUp(a.now().Add(time.Nanosecond)) // all of it
}
