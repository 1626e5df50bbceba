package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// maxDoubts is how often a message may lose its worker before it is taken for
// what ends them.
const maxDoubts = 3

// doubt finds out whether a message may have been sent before.
//
// Where the server keeps its delivery counts, the first delivery is fresh, and
// of a later one the ledger says what the delivery before it came to; where it
// says nothing, that worker died or lost its connection. Where it does not keep
// them, every message is claimed in the ledger before it is sent, and the ledger
// alone decides.
func (l *lane) doubt(ctx context.Context, d *delivery) (verdict, bool) {
	if l.claims {
		return l.claim(ctx, d)
	}
	if d.deliveries <= 1 {
		return verdict{}, false
	}
	e, err := l.ledger.read(ctx, d)
	if err != nil {
		return verdict{status: statusHandBack, detail: err.Error()}, true
	}
	if e != nil && e.State != stateSent && e.Delivery != d.deliveries-1 {
		e.State = stateDoubt // it speaks of an earlier delivery, and nobody of the last one
	}
	return l.judge(ctx, d, e)
}

// claim writes down that this worker has the message, before anything is sent.
func (l *lane) claim(ctx context.Context, d *delivery) (verdict, bool) {
	fresh, err := l.ledger.create(ctx, d, stateClaimed)
	if err != nil {
		return verdict{status: statusHandBack, detail: err.Error()}, true
	}
	if fresh {
		return verdict{}, false
	}
	e, err := l.ledger.read(ctx, d)
	if err != nil {
		return verdict{status: statusHandBack, detail: err.Error()}, true
	}
	if e == nil { // it is another message's, of the same id
		e = &entry{State: stateReleased}
	}
	if v, decided := l.judge(ctx, d, e); decided {
		return v, true
	}
	if err := l.ledger.write(ctx, d, stateClaimed); err != nil {
		return verdict{status: statusHandBack, detail: err.Error()}, true
	}
	return verdict{}, false
}

// judge decides by what the ledger knows of the delivery before this one.
func (l *lane) judge(ctx context.Context, d *delivery, e *entry) (verdict, bool) {
	if e == nil {
		return l.lostWorker(ctx, d)
	}
	d.history, d.doubts, d.doubtSince, d.doubtUntil = e.History, e.Doubts, e.DoubtSince, e.DoubtUntil
	switch e.State {
	case stateSent:
		return verdict{status: statusSettled}, true
	case stateRetrying, stateReleased:
		return verdict{}, false
	case stateUnknown:
		return l.resolve(ctx, d)
	case stateClaimed, stateDoubt:
	}
	return l.lostWorker(ctx, d)
}

// lostWorker takes up a message whose worker was never heard of again, and
// leaves word of it before anything else happens.
func (l *lane) lostWorker(ctx context.Context, d *delivery) (verdict, bool) {
	d.doubts++
	d.doubtSince, d.doubtUntil = l.opts.Now(), time.Time{}
	if d.doubts >= maxDoubts {
		return dead(messages.ReasonPoison, fmt.Sprintf("it was handed out %d times, and %d workers were never heard of again", d.deliveries, d.doubts)), true
	}
	if err := l.ledger.write(ctx, d, stateDoubt); err != nil {
		return verdict{status: statusHandBack, detail: err.Error()}, true
	}
	l.opts.Metrics.doubts.WithLabelValues(string(l.channel)).Inc()
	v, decided := l.resolve(ctx, d)
	if v.status != messages.StatusSent {
		l.story(d, verdict{status: messages.StatusUnknown, delay: v.delay, detail: "whoever held the message before was never heard of again"})
	}
	return v, decided
}

// resolve decides what becomes of a message in doubt: a connector that can be
// asked is asked, for as long as its grace; of any other its onDoubt decides.
func (l *lane) resolve(ctx context.Context, d *delivery) (verdict, bool) {
	if last := lastUnknown(d); last != nil && l.connectors[last.Connector] == nil {
		return dead(messages.ReasonDoubt, "connector "+last.Connector+" may have sent it, and is no longer in the configuration"), true
	}
	for _, c := range l.suspects(d) {
		asker, ok := c.sender.(sender.Asker)
		if !ok {
			if c.onDoubt == config.Dead {
				return dead(messages.ReasonDoubt, fmt.Sprintf("whether connector %s has sent it is not known, and its onDoubt is dead", c.name)), true
			}
			continue
		}
		if v, decided := l.askProvider(ctx, d, c, asker); decided {
			return v, true
		}
	}
	if len(d.history) > 0 && l.attemptsUsed(d) {
		last := d.history[len(d.history)-1]
		return dead(messages.ReasonUndeliverable, fmt.Sprintf("all %d attempts failed; the last: %s: %s", l.opts.Config.Worker.Retry.MaxAttempts, last.Code, last.Detail)), true
	}
	d.doubtSince, d.doubtUntil = time.Time{}, time.Time{}
	return verdict{}, false
}

// suspects are the connectors that may have sent the message: the one whose
// answer never came, or, where a worker was lost, any of the route's.
func (l *lane) suspects(d *delivery) []*connector {
	if last := lastUnknown(d); last != nil {
		if c, ok := l.connectors[last.Connector]; ok {
			return []*connector{c}
		}
	}
	chain, _ := l.route(d)
	return chain
}

// lastUnknown returns the last attempt, where its answer never came.
func lastUnknown(d *delivery) *messages.Attempt {
	if n := len(d.history); n > 0 && d.history[n-1].Class == sender.Unknown.String() {
		return &d.history[n-1]
	}
	return nil
}

// mayHaveSent returns the connector that may have sent the message, where it can't
// be asked: only it may send it again, as its onDoubt says.
func (l *lane) mayHaveSent(d *delivery) *connector {
	last := lastUnknown(d)
	if last == nil {
		return nil
	}
	c := l.connectors[last.Connector]
	if c == nil {
		return nil
	}
	if _, ok := c.sender.(sender.Asker); ok {
		return nil // it was asked, and has not
	}
	return c
}

// askFirst is how soon a provider is asked about a message in doubt; it is asked
// again at twice the distance each time, up to the grace.
func (c *connector) askFirst() time.Duration { return max(c.askGrace/8, time.Millisecond) }

// askProvider asks whether the message was sent. It is decided when it was; and
// when that can't be known yet, the message is handed back until it can. Not
// found before the grace is over is no proof: how soon a message shows up is
// nowhere promised.
func (l *lane) askProvider(ctx context.Context, d *delivery, c *connector, asker sender.Asker) (verdict, bool) {
	m, err := c.sender.Render(d.code)
	if err != nil {
		return verdict{}, false // it can't have been sent
	}
	since := d.storedAt
	if n := len(d.history); n > 0 && d.history[n-1].Class == sender.Unknown.String() {
		since = d.history[n-1].At
	}
	receipt, found, err := asker.Ask(ctx, m, since)
	now := l.opts.Now()
	if d.doubtUntil.IsZero() {
		d.doubtUntil = d.doubtSince.Add(c.askGrace)
	}
	switch {
	case found:
		return verdict{status: messages.StatusSent, receipt: receipt, connector: c.name, detail: "found by asking the provider"}, true
	case err != nil && !now.Before(d.expiresAt):
		e := *sender.AsError(err)
		return dead(messages.ReasonDoubt, fmt.Sprintf("whether connector %s has sent it could not be asked before the code expired: %s", c.name, scrub(said(&e), d.code))), true
	case err == nil && !now.Before(d.doubtUntil):
		return verdict{}, false
	}
	wait := max(c.askFirst(), now.Sub(d.doubtSince))
	if err == nil {
		wait = min(wait, d.doubtUntil.Sub(now))
	}
	return verdict{status: statusInDoubt, delay: min(wait, shortWindow)}, true
}
