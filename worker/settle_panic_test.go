package worker

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestSettlePanics: a panic while a message is settled costs only this delivery. The
// message comes again as one whose worker was lost.
func TestSettlePanics(t *testing.T) {
	for name, c := range map[string]struct {
		v       verdict
		panicAt string
		doubts  int
		steps   string
	}{
		"telling that it was sent":        {verdict{action: actSent}, "tell sent", 0, "tell sent!, nak 1s, done"},
		"writing a retry":                 {verdict{action: actRetry}, "write retrying", 0, "write retrying!, nak 1s, done"},
		"telling of a retry":              {verdict{action: actRetry}, "tell retrying", 0, "write retrying, tell retrying!, nak 1s, done"},
		"telling of a doubt":              {doubtVerdict(), "tell unknown", 1, "tell unknown!, nak 1s, done"},
		"storing a dead letter":           {verdict{action: actDead, reason: messages.ReasonRejected}, "store rejected", 2, "store rejected!, nak 1s, done"},
		"writing that it panicked":        {verdict{action: actPanicked}, "write panicked", 0, "write panicked!, nak 1s, done"},
		"storing the third":               {verdict{action: actDead, reason: messages.ReasonPoison}, "store poison", 3, "store poison!, store bare poison, term poison, tell dead, done"},
		"telling of the third":            {verdict{action: actDead, reason: messages.ReasonPoison}, "tell dead", 3, "store poison, tell dead!, store bare poison, term poison, tell dead!, nak 30s, done"},
		"the third panic of a stage":      {verdict{action: actPanicked}, "store poison", 2, "store poison!, store bare poison, term poison, tell dead, done"},
		"storing even the bare letter":    {verdict{action: actDead, reason: messages.ReasonPoison}, "store", 3, "store poison!, store bare poison!, nak 30s, done"},
		"saying anything about it at all": {verdict{action: actRetry}, "nak", 0, "write retrying, tell retrying, nak 0s!, nak 1s!, nak 30s!, done"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.panicAt = c.panicAt
				d := r.arrives(t)
				d.doubts = c.doubts
				func() {
					defer func() {
						if p := recover(); p != nil && c.panicAt != "nak" {
							t.Errorf("the panic was not recovered: %v", p)
						}
					}()
					r.settles(t.Context(), d, c.v)
				}()
				check.Equal(t, "steps", r.String(), c.steps)
				contains(t, "log", r.log.String(), "settling a message panicked")
				r.panicAt = ""
				r.acks.confirm(nil)
			})
		})
	}
	t.Run("the bare letter can't be stored", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.panicAt, r.letters.fail = "store poison", errors.New("away")
			d := r.arrives(t)
			d.doubts = 3
			r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonPoison})
			check.Equal(t, "steps", r.String(), "store poison!, store bare poison, nak 2s, done")
		})
	})
}

// TestSettleAPanickedMessage: a panic counts as a lost worker, whatever was known about
// the message.
func TestSettleAPanickedMessage(t *testing.T) {
	for name, c := range map[string]struct {
		// unopened: the panic was before the message was opened. read: the ledger was read
		// before it. doubts and tried are what this worker knows then.
		unopened, read bool
		doubts, tried  int
		// entry is an earlier worker's entry; it has another place if other.
		entry *ledger.Entry
		other bool
		away  bool

		action  action
		want    int
		history int
		lasts   time.Duration
	}{
		"the first time":                      {tried: 1, action: actPutBack, want: 1, history: 1},
		"the second time":                     {read: true, doubts: 1, entry: &ledger.Entry{Doubts: 1}, action: actPutBack, want: 2},
		"the third time":                      {read: true, doubts: 2, entry: &ledger.Entry{Doubts: 2}, action: actDead, want: 3},
		"unopened":                            {unopened: true, action: actPutBack, want: 1},
		"unopened, the second time":           {unopened: true, entry: &ledger.Entry{Doubts: 1, DoubtFor: 9 * time.Second, Delivery: 4}, action: actPutBack, want: 2, lasts: 9 * time.Second},
		"unopened, the third time":            {unopened: true, entry: &ledger.Entry{Doubts: 2, DoubtFor: 9 * time.Second, Delivery: 4}, action: actDead, want: 3, lasts: 9 * time.Second},
		"unopened, and an equal publish":      {unopened: true, entry: &ledger.Entry{Doubts: 2}, other: true, action: actPutBack, want: 1},
		"unopened, and the ledger is away":    {unopened: true, entry: &ledger.Entry{Doubts: 2}, away: true, action: actPutBack, want: 1},
		"the ledger was not read":             {tried: 1, entry: &ledger.Entry{Doubts: 1, DoubtFor: 9 * time.Second, Delivery: 4, History: attempts(2, sender.Unavailable)}, action: actPutBack, want: 2, history: 3, lasts: 9 * time.Second},
		"an earlier consumer's":               {unopened: true, entry: &ledger.Entry{Doubts: 1, Delivery: 9, Consumer: noon.UnixNano() - 1}, action: actPutBack, want: 2},
		"a later consumer's":                  {unopened: true, entry: &ledger.Entry{Doubts: 1, Delivery: 1, Consumer: noon.UnixNano() + 1}, action: actDrop, want: 1},
		"another worker has it":               {tried: 1, entry: &ledger.Entry{Delivery: 6}, action: actDrop, want: 1, history: 1},
		"another worker had it at this count": {unopened: true, entry: &ledger.Entry{Delivery: 5}, action: actDrop, want: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				d := &delivery{msg: given{msgID: "msg-1", delivered: 5, storedAt: time.Now(), arrived: time.Now()}.message(t, r.wire)}
				d.opened = minimal(d.msg, messages.SMS)
				if !c.unopened {
					d.record = recordOf(d.msg)
				}
				d.doubts, d.history = c.doubts, attempts(c.tried, sender.Unavailable)
				if c.entry != nil {
					e := *c.entry
					if e.Consumer == 0 {
						e.Consumer = noon.UnixNano()
					}
					e.State, e.Place, e.Owner = ledger.Panicked, d.place, "other"
					if c.other {
						e.Sequence++
					}
					revision := r.bucket.Set(recordOf(d.msg).Key, e)
					if c.read {
						d.record.Revision = revision
					}
				}
				if c.away {
					r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
				}
				v := r.panicked(t.Context(), d)
				check.Equal(t, "action", v.action, c.action)
				check.Equal(t, "lost workers", d.doubts, c.want)
				check.Equal(t, "in doubt", d.inDoubt, true)
				check.Equal(t, "in doubt for", d.doubtFor, c.lasts)
				if c.action == actDead {
					check.Equal(t, "reason", v.reason, messages.ReasonPoison)
					check.Equal(t, "detail", v.detail, poisonByPanic)
					return
				}
				if c.action == actDrop {
					check.Equal(t, "detail", v.detail, "it panicked here, and another worker has the message")
					check.Equal(t, "the entry's owner", entryOf(t, r.bucket, d).Owner, "other")
					return
				}
				check.Equal(t, "delay", v.delay, panicDelay)
				if c.away {
					return
				}
				e := entryOf(t, r.bucket, d)
				check.Equal(t, "the ledger says", e.State, ledger.Panicked)
				check.Equal(t, "lost workers in the ledger", e.Doubts, c.want)
				check.Equal(t, "attempts in the ledger", len(e.History), c.history)
				check.Equal(t, "the entry's owner", e.Owner, "me")
			})
		})
	}
}
