package worker

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// settling is a settler that keeps its steps in a trace.
type settling struct {
	*settler
	*trace
	bucket   *ledgertest.Bucket
	wire     *fakeConn
	acks     *fakeAcks
	letters  *fakeLetters
	deferred *counter
	log      *strings.Builder
	troubles *someTroubles
}

// newSettling returns a settling. Call it in a synctest bubble.
func newSettling(t testing.TB) *settling {
	t.Helper()
	r := &settling{trace: new(trace), bucket: new(ledgertest.Bucket), deferred: new(counter), log: new(strings.Builder), troubles: new(someTroubles)}
	r.wire = &fakeConn{trace: r.trace}
	r.acks = &fakeAcks{trace: r.trace}
	r.letters = &fakeLetters{trace: r.trace}
	r.settler = &settler{
		acks: r.acks, deadLetters: r.letters, cleaner: fakeCleaner{r.trace}, inFlight: newInFlight(),
		ledger: tracedLedger{newLedger(r.bucket, "me"), r.trace},
		report: func(_ context.Context, _ *delivery, v verdict) {
			if s, told := v.status(); told {
				r.add("tell %s", s)
			}
		},
		remove: func(_ context.Context, sequence uint64) error {
			r.add("remove %d", sequence)
			return nil
		},
		mine: mine(time.Now().Add(time.Hour), true), slots: 2, now: time.Now,
		log: zerolog.New(r.log), deferred: r.deferred, troubles: r.troubles,
	}
	return r
}

// arrives returns a message whose entry the worker may write.
func (r *settling) arrives(t testing.TB) *delivery { return arrives(t, r.wire) }

// settle settles a message, and notes in the trace when the slot is free.
func (r *settling) settles(ctx context.Context, d *delivery, v verdict) {
	r.settler.settle(ctx, d, v, func() { r.add("done") })
}

// fakeAcks keeps acks; each is confirmed when confirm is called.
type fakeAcks struct {
	*trace
	// refuse makes each ack fail at once.
	refuse  error
	waiting []func(error)
}

func (a *fakeAcks) Ack(_ *jetpull.Message, done func(error)) { a.say("ack", done) }

func (a *fakeAcks) Term(_ *jetpull.Message, reason string, done func(error)) {
	a.say("term "+reason, done)
}

func (a *fakeAcks) say(word string, done func(error)) {
	a.add("%s", word)
	if a.refuse != nil {
		done(a.refuse)
		return
	}
	a.waiting = append(a.waiting, done)
}

// confirm answers every ack.
func (a *fakeAcks) confirm(err error) {
	waiting := a.waiting
	a.waiting = nil
	for _, done := range waiting {
		done(err)
	}
}

// tracedLedger keeps the writes in the trace.
type tracedLedger struct {
	*ledger.Ledger
	*trace
}

func (l tracedLedger) Write(ctx context.Context, r *ledger.Record, e ledger.Entry) error {
	if err := l.Ledger.Write(ctx, r, e); err != nil {
		l.add("not written %s", e.State)
		return err
	}
	l.add("write %s", e.State)
	return nil
}

func (l tracedLedger) WriteSent(ctx context.Context, r *ledger.Record, e ledger.Entry) error {
	if err := l.Ledger.WriteSent(ctx, r, e); err != nil {
		l.add("not written %s", e.State)
		return err
	}
	l.add("write %s", e.State)
	return nil
}

// fakeLetters keeps dead letters in the trace; fail is the error of each.
type fakeLetters struct {
	*trace
	fail error
}

func (l *fakeLetters) store(_ context.Context, _ *delivery, v verdict) error {
	l.add("store %s", v.reason)
	return l.fail
}

func (l *fakeLetters) storeBare(_ context.Context, _ *delivery, v verdict) error {
	l.add("store bare %s", v.reason)
	return l.fail
}

type fakeCleaner struct{ *trace }

func (c fakeCleaner) Settled(*ledger.Record) { c.add("clean up") }

// doubtVerdict is decide's verdict about a message in doubt.
func doubtVerdict() verdict {
	return verdict{action: actDoubt, delay: 3 * time.Second, suspects: []string{"a"}, doubtGrace: time.Minute}
}
