package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// maxDoubts is how many workers a message may lose before it counts as the cause.
const maxDoubts = 3

// duplicateWindow is how long the stream remembers a Nats-Msg-Id (wire.StreamConfigs).
const duplicateWindow = 5 * time.Minute

// maxConflicts is how often the ledger is read again after another worker has written
// meanwhile.
const maxConflicts = 3

// entries is the part of the ledger that the stage needs.
type entries interface {
	Claim(ctx context.Context, r *ledger.Record, e ledger.Entry) (prior *ledger.Entry, err error)
	Read(ctx context.Context, r *ledger.Record) (*ledger.Entry, error)
	Write(ctx context.Context, r *ledger.Record, e ledger.Entry) error
}

// suspects reports whether an earlier consumer may have handed a message out, and how long
// a worker that does not know the new consumer may still have it.
type suspects interface {
	suspect(p ledger.Place) (suspect bool, held time.Duration)
	// forgotten reports whether a message may have been claimed in a former ledger.
	forgotten(p ledger.Place) bool
}

// doubtStage finds out whether another worker may have tried the message.
//
// A message is fresh only if no worker can have tried it: this is its first delivery, by
// the first consumer that could hand it out. For any other message the ledger has the
// result of the delivery before. If it has none, that worker died or lost its connection.
// A single server can forget that it has handed out a message. So with claims on, every
// message is claimed in the ledger before it is sent.
type doubtStage struct {
	ledger entries
	// claims is true if every message is claimed before it is sent.
	claims   bool
	suspects suspects
	now      func() time.Time
	// lostWorkers counts the messages whose worker was lost.
	lostWorkers prometheus.Counter
	// failed is called when the ledger could not be read or written. It returns true if
	// the cause is logged elsewhere.
	failed func(err error) bool
	// untried holds the messages that were put back because of such an error.
	untried *untried
}

func (s doubtStage) handle(ctx context.Context, d *delivery) (verdict, bool) {
	suspect, held := s.suspects.suspect(d.place)
	t := tried{redelivered: d.msg.Delivered > 1 && !s.untried.take(d.msg), suspect: suspect, held: held}
	if !t.redelivered && !t.suspect && (!s.claims || d.wrong != nil && !d.unreadable) {
		return pass()
	}
	d.record = recordOf(d.msg)
	for range maxConflicts {
		v, ok, err := s.look(ctx, d, t)
		switch {
		case errors.Is(err, ledger.ErrLost):
			d.past = past{}
		case err != nil:
			if !t.redelivered && !t.suspect {
				s.untried.put(d.msg)
			}
			return decided(verdict{action: actPutBack, delay: putBackDelay, detail: wire.Unsent(err).Error(), quiet: s.failed(err)})
		default:
			return v, ok
		}
	}
	return decided(verdict{action: actDrop, detail: "another worker keeps writing the message's entry in the ledger"})
}

// tried holds the signs that another worker may have tried the message.
type tried struct {
	// redelivered: it was handed out before.
	redelivered bool
	// suspect: an earlier consumer may have handed it out, and a worker may still have it
	// for as long as held.
	suspect bool
	held    time.Duration
}

// ledgerKept is how long the ledger surely keeps the entry of a message that was claimed
// and is not settled: its TTL is 24 hours.
const ledgerKept = 18 * time.Hour

// fresh reports whether no worker can have tried the message if it has no entry in the
// ledger.
func (s doubtStage) fresh(d *delivery, t tried) bool {
	if !t.redelivered && t.suspect && s.claims && d.wrong == nil {
		return !s.suspects.forgotten(d.place) && s.now().Sub(d.msg.StoredAt) < ledgerKept // a worker that tried it has claimed it
	}
	return !t.redelivered && !t.suspect
}

// look reads the entry, decides by it, and writes that this worker has the message. It
// fails with ledger.ErrLost if another worker has written meanwhile.
func (s doubtStage) look(ctx context.Context, d *delivery, t tried) (verdict, bool, error) {
	fresh := s.fresh(d, t)
	var prior *ledger.Entry
	var err error
	claimed := s.claims && d.wrong == nil
	if claimed {
		prior, err = s.ledger.Claim(ctx, &d.record, d.entry(ledger.Claimed))
	} else {
		prior, err = s.ledger.Read(ctx, &d.record)
	}
	switch {
	case err != nil:
		return verdict{}, false, err
	case prior == nil && fresh:
		return verdict{}, false, nil
	case prior == nil:
		return s.lostWorker(ctx, d, t)
	}
	claim := func() (verdict, bool, error) {
		if !claimed {
			return verdict{}, false, nil
		}
		return verdict{}, false, s.ledger.Write(ctx, &d.record, d.entry(ledger.Claimed))
	}
	switch {
	case prior.Place == d.place:
		if !s.claims && prior.State != ledger.Sent && !prior.OfLastDelivery(&d.record) {
			prior.State = ledger.LostWorker // the entry is of an earlier delivery, and the last one left none
		}
	case prior.StoredAt > d.place.StoredAt: // the same publish was stored again later
		d.record.Revision = 0 // the entry belongs to the later one
		return verdict{action: actDone, detail: "superseded"}, true, nil
	case d.place.StoredAt-prior.StoredAt > int64(duplicateWindow): // another message
		if fresh {
			return claim()
		}
		return s.lostWorker(ctx, d, t)
	}
	d.recall(prior)
	switch prior.State {
	case ledger.Sent:
		return verdict{action: actDone, detail: "it was sent before"}, true, nil
	case ledger.Retrying, ledger.Released:
		return claim()
	case ledger.InDoubt:
		d.inDoubt = true
		return claim()
	case ledger.Panicked:
		d.inDoubt, d.lost = true, true
		return claim()
	case ledger.Claimed, ledger.LostWorker:
	}
	return s.lostWorker(ctx, d, t)
}

// lostWorker takes up a message whose worker was lost, and writes that to the ledger
// before anything else happens.
func (s doubtStage) lostWorker(ctx context.Context, d *delivery, t tried) (verdict, bool, error) {
	if t.held > 0 {
		return verdict{action: actPutBack, delay: t.held, detail: "its consumer was made again, and a worker may still have the message from the earlier one"}, true, nil
	}
	if d.wrong != nil {
		// It can't be sent. It is in doubt only if another worker may have read it.
		d.inDoubt = d.unreadable || d.doubts > 0 || len(d.history) > 0
		return verdict{}, false, nil
	}
	d.doubts++
	d.inDoubt, d.lost = true, true
	d.doubtFor, d.doubtGrace = 0, 0
	if d.doubts >= maxDoubts {
		return dead(d, messages.ReasonPoison, fmt.Sprintf("it was handed out %d times, and %d of its workers were lost", d.msg.Delivered, d.doubts)), true, nil
	}
	if err := s.ledger.Write(ctx, &d.record, d.entry(ledger.LostWorker)); err != nil {
		return verdict{}, false, err
	}
	s.lostWorkers.Inc()
	return verdict{}, false, nil
}
