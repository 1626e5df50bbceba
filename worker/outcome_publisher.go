package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
)

// outcomePublisher publishes outcomes without waiting for them. It asks for one
// confirmation at a time, which also confirms the earlier outcomes: an outcome that is
// published while no confirmation is under way asks for one. So at a low rate each outcome
// is confirmed, and at a high rate one answer confirms all outcomes of one round trip.
type outcomePublisher struct {
	nc  *nats.Conn
	sub *nats.Subscription
	// prefix is the prefix of the confirmations' subjects; a number follows.
	prefix string
	lost   prometheus.Counter
	// refused is called with the reason when the stream has not stored outcomes.
	refused func(why string)
	// stored is called with the subject of the last one when the stream has stored outcomes.
	stored func(subject string)

	mu sync.Mutex
	// unconfirmed counts the outcomes that were published and not confirmed. asked is how
	// many of these the next confirmation covers; 0 if none is asked for.
	unconfirmed, asked int
	askedAt            time.Time
	// askedFor is the subject of the outcome that asks for the confirmation.
	askedFor string
	// overdue counts the outcomes whose confirmation did not come in time; nil before the first
	// request for one.
	overdue *time.Timer
	// reconnects is the connection's count of reconnects at the last request for a
	// confirmation.
	reconnects uint64
	// turn numbers the requests for a confirmation, so that a late answer does not count
	// for a later one.
	turn uint64
	// answered is closed when no confirmation is asked for any more; nil while nobody
	// waits for that.
	answered chan struct{}
}

const (
	// maxUnconfirmed is the most outcomes that may be unconfirmed; any more are lost, and
	// counted.
	maxUnconfirmed = 8192
	// confirmTimeout is how long a confirmation may take.
	confirmTimeout = 5 * time.Second
)

func newOutcomePublisher(nc *nats.Conn, lost prometheus.Counter, refused func(why string), stored func(subject string)) (*outcomePublisher, error) {
	p := &outcomePublisher{nc: nc, prefix: nc.NewInbox() + ".", lost: lost, refused: refused, stored: stored}
	sub, err := nc.Subscribe(p.prefix+"*", p.confirmation)
	if err != nil {
		return nil, fmt.Errorf("listen for confirmations of outcomes: %w", err)
	}
	p.sub = sub
	return p, nil
}

// publish hands an outcome to the connection. It counts lost outcomes.
func (p *outcomePublisher) publish(subject string, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unconfirmed >= maxUnconfirmed {
		p.lost.Inc()
		return
	}
	var err error
	if p.asked > 0 {
		err = p.nc.Publish(subject, body)
	} else {
		if reconnects := p.nc.Stats().Reconnects; reconnects != p.reconnects {
			// Outcomes whose confirmation was not asked for may have been lost with the
			// old connection.
			p.confirmed(false)
			p.reconnects = reconnects
		}
		p.turn++
		err = p.nc.PublishRequest(subject, p.answer(), body)
	}
	if err != nil {
		p.lost.Inc()
		return
	}
	p.unconfirmed++
	if p.asked == 0 {
		p.asked, p.askedAt, p.askedFor = p.unconfirmed, time.Now(), subject
		if p.overdue == nil {
			p.overdue = time.AfterFunc(confirmTimeout, p.late)
		} else {
			p.overdue.Reset(confirmTimeout)
		}
	}
}

// late counts the outcomes whose confirmation did not come in time.
func (p *outcomePublisher) late() {
	p.mu.Lock()
	late := p.asked > 0 && time.Since(p.askedAt) >= confirmTimeout // otherwise it came meanwhile
	if late {
		p.confirmed(false)
	}
	connected := p.nc.Stats().Reconnects == p.reconnects
	p.mu.Unlock()
	if late && connected { // otherwise they were lost with the connection
		p.refused("no answer")
	}
}

// denied takes the subject of an outcome that the server does not permit. The server answers
// it in no other way, and goes on with the outcomes after it. It returns false if no outcome
// waits for its confirmation.
func (p *outcomePublisher) denied(subject string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.unconfirmed == 0 {
		return false
	}
	p.lost.Inc()
	p.unconfirmed--
	p.asked = min(p.asked, p.unconfirmed)
	if subject == p.askedFor || p.asked == 0 {
		p.unasked()
	}
	return true
}

// answer returns the subject of the next confirmation.
func (p *outcomePublisher) answer() string { return p.prefix + strconv.FormatUint(p.turn, 10) }

// confirmation handles a confirmation or a refusal.
func (p *outcomePublisher) confirmation(msg *nats.Msg) {
	var ack struct {
		Stream string          `json:"stream"`
		Error  json.RawMessage `json:"error"`
	}
	ok := json.Unmarshal(msg.Data, &ack) == nil && ack.Error == nil && ack.Stream != ""
	subject := ""
	p.mu.Lock()
	if p.asked > 0 && msg.Subject == p.answer() {
		subject = p.askedFor
		p.confirmed(ok)
	}
	p.mu.Unlock()
	if !ok {
		p.refused(refusal(msg, ack.Error))
	} else {
		p.stored(subject)
	}
}

// refusal returns why an outcome was not stored.
func refusal(msg *nats.Msg, refused json.RawMessage) string {
	const noResponders = "503"
	switch {
	case len(refused) > 0:
		return string(refused)
	case msg.Header.Get("Status") == noResponders:
		return "no stream takes them"
	}
	return "the answer can't be read"
}

// confirmed applies an answer to the outcomes that it covers. A refusal, or a missing answer,
// covers all unconfirmed outcomes: while a stream has no leader, nobody takes the later ones
// either, and the next confirmation would not show that.
func (p *outcomePublisher) confirmed(ok bool) {
	if ok {
		p.unconfirmed -= p.asked
	} else {
		p.lost.Add(float64(p.unconfirmed))
		p.unconfirmed = 0
	}
	p.unasked()
}

// unasked notes that no confirmation is asked for any more.
func (p *outcomePublisher) unasked() {
	p.asked = 0
	if p.answered != nil {
		close(p.answered)
		p.answered = nil
	}
}

// end waits until the stream has the published outcomes, or ctx ends, and stops listening. It
// counts those that may be lost: all that are not confirmed, if the connection or the answer is
// lost.
func (p *outcomePublisher) end(ctx context.Context) {
	defer func() { _ = p.sub.Unsubscribe() }() // it fails only if the connection is closed
	sent := p.nc.FlushWithContext(ctx) == nil
	p.mu.Lock()
	if p.overdue != nil {
		p.overdue.Stop()
	}
	if !sent || p.nc.Stats().Reconnects != p.reconnects {
		p.confirmed(false)
	}
	if p.asked == 0 {
		p.mu.Unlock()
		return // the flush has sent the rest, which needs no confirmation
	}
	answered := make(chan struct{})
	p.answered = answered
	p.mu.Unlock()
	select {
	case <-answered:
	case <-ctx.Done():
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.asked > 0 { // otherwise the answer came just now
			p.confirmed(false)
		}
	}
}
