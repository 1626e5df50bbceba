package worker

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestSettleInOrder: what is known about a message is stored first, and the message leaves
// the stream last.
func TestSettleInOrder(t *testing.T) {
	for name, c := range map[string]struct {
		v verdict
		// steps are those before the server has confirmed an ack, confirmed those after it.
		steps, confirmed string
		state            string
	}{
		"sent":                  {verdict{action: actSent}, "tell sent, done, ack", "clean up", "nothing"},
		"nothing is left to do": {verdict{action: actDone}, "done, ack", "clean up", "nothing"},
		"superseded":            {verdict{action: actSuperseded}, "tell superseded, done, ack", "clean up", "nothing"},
		"dead":                  {verdict{action: actDead, reason: messages.ReasonRejected}, "store rejected, tell dead, done, term rejected", "clean up", "nothing"},
		"retry":                 {verdict{action: actRetry, delay: 3 * time.Second}, "write retrying, tell retrying, nak 3s, done", "", "retrying"},
		"doubt":                 {doubtVerdict(), "tell unknown, write unknown, nak 3s, done", "", "unknown"},
		"a lost worker's doubt": {verdict{action: actDoubt, delay: time.Second}, "tell unknown, write unknown, nak 1s, done", "", "unknown"},
		"ask again":             {verdict{action: actAskAgain, delay: 3 * time.Second}, "write unknown, nak 3s, done", "", "unknown"},
		"deferred":              {verdict{action: actDefer, delay: 3 * time.Second}, "write released, nak 3s, done", "", "released"},
		"released":              {verdict{action: actRelease, state: ledger.Released}, "write released, nak 0s, done", "", "released"},
		"released in doubt":     {verdict{action: actRelease, state: ledger.InDoubt}, "write unknown, nak 0s, done", "", "unknown"},
		"released, no word":     {verdict{action: actRelease}, "nak 0s, done", "", "nothing"},
		"put back":              {verdict{action: actPutBack, delay: 2 * time.Second}, "nak 2s, done", "", "nothing"},
		"another worker has it": {verdict{action: actDrop}, "done", "", "nothing"},
		"another may have it":   {verdict{action: actDrop, state: ledger.Released}, "write released, done", "", "released"},
		"panicked":              {verdict{action: actPanicked}, "write panicked, nak 1s, done", "", "panicked"},
	} {
		for _, stopped := range []bool{false, true} { // also at the shutdown
			t.Run(name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					r := newSettling(t)
					d := r.arrives(t)
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					if stopped {
						cancel()
					}
					r.settles(ctx, d, c.v)
					check.Equal(t, "steps", r.empty(), c.steps)
					r.acks.confirm(nil)
					check.Equal(t, "steps after the confirmation", r.empty(), c.confirmed)
					check.Equal(t, "the ledger says", state(t, r.bucket, d), c.state)
					r.settling.Wait()
					check.Equal(t, "unconfirmed", r.unconfirmed.Load(), 0)
					check.Equal(t, "deferrals counted", r.deferred.n, map[action]int{actDefer: 1}[c.v.action])
				})
			})
		}
	}
}

// TestSettleWritesWhatIsKnown: the next worker finds the doubt's bounds, the suspects and
// the attempts.
func TestSettleWritesWhatIsKnown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		d := r.arrives(t)
		d.history, d.doubts = attempts(2, sender.Unavailable), 1
		v := doubtVerdict()
		r.settles(t.Context(), d, v)
		e := entryOf(t, r.bucket, d)
		check.Equal(t, "attempts", len(e.History), 2)
		check.Equal(t, "lost workers", e.Doubts, 1)
		same(t, "suspects", e.Suspects, []string{"a"})
		check.Equal(t, "in doubt for, when it comes again", e.DoubtFor, v.delay)
		check.Equal(t, "asked for", e.DoubtGrace, time.Minute)
		check.Equal(t, "delivery", e.Delivery, 1)
		check.Equal(t, "consumer", e.Consumer, noon.UnixNano())
		check.Equal(t, "place", e.Place, d.place)
		check.Equal(t, "owner", e.Owner, "me")
		check.Equal(t, "the message is in doubt", d.inDoubt, true)
	})
}

// TestSettleALostWorkersDoubt: the suspects are those that the stage has found.
func TestSettleALostWorkersDoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		d := r.arrives(t)
		d.suspects, d.doubtFor, d.doubtGrace = []string{"b"}, 5*time.Second, time.Minute
		r.settles(t.Context(), d, verdict{action: actDoubt, delay: 2 * time.Second})
		e := entryOf(t, r.bucket, d)
		same(t, "suspects", e.Suspects, []string{"b"})
		check.Equal(t, "in doubt for, when it comes again", e.DoubtFor, 7*time.Second)
		check.Equal(t, "asked for", e.DoubtGrace, time.Minute)
	})
}

// TestSettleCountsADoubt: the waits add up; a new doubt starts with its own wait.
func TestSettleCountsADoubt(t *testing.T) {
	for name, c := range map[string]struct {
		v         verdict
		lasts, is time.Duration // the written values
	}{
		"asked again":        {verdict{action: actAskAgain, delay: 4 * time.Second}, 9 * time.Second, time.Minute},
		"in doubt once more": {verdict{action: actDoubt, delay: 4 * time.Second, suspects: []string{"b"}, doubtGrace: time.Hour}, 4 * time.Second, time.Hour},
		"deferred":           {verdict{action: actDefer, delay: 4 * time.Second}, 5 * time.Second, time.Minute},
		"released in doubt":  {verdict{action: actRelease, state: ledger.InDoubt}, 5 * time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				d := r.arrives(t)
				d.suspects, d.doubtFor, d.doubtGrace = []string{"a"}, 5*time.Second, time.Minute
				r.settles(t.Context(), d, c.v)
				e := entryOf(t, r.bucket, d)
				check.Equal(t, "in doubt for, when it comes again", e.DoubtFor, c.lasts)
				check.Equal(t, "asked for", e.DoubtGrace, c.is)
			})
		})
	}
}

// TestSettleWhatNoTemplateFits: the next worker finds that an outcome has told it, until a request
// is made.
func TestSettleWhatNoTemplateFits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		d := r.arrives(t)
		r.settles(t.Context(), d, verdict{action: actRetry, delay: time.Second, unfilled: true})
		var p past
		first := entryOf(t, r.bucket, d)
		p.recall(&first)
		check.Equal(t, "told", p.unfilled, true)
		r.settles(t.Context(), d, verdict{action: actDefer, delay: time.Second, why: ledger.WhyTemplate})
		e := entryOf(t, r.bucket, d)
		check.Equal(t, "deferred: told", e.Unfilled, true)
		check.Equal(t, "deferred: why", e.Why, ledger.WhyTemplate)
		r.settles(t.Context(), d, verdict{action: actRetry, delay: time.Second})
		check.Equal(t, "after a request", entryOf(t, r.bucket, d).Unfilled, false)
	})
}

// TestSettleWhatIsSuperseded: the outcome says so only if no connector can have accepted the
// message.
func TestSettleWhatIsSuperseded(t *testing.T) {
	for name, c := range map[string]struct {
		notMine bool
		change  func(*delivery)
		told    bool
	}{
		"after an attempt that failed": {change: func(d *delivery) { d.history = attempts(1, sender.Throttled) }, told: true},
		"it is in doubt":               {change: func(d *delivery) { d.inDoubt = true }},
		"it has a suspect":             {change: func(d *delivery) { d.suspects = []string{"a"} }},
		"a worker was lost over it":    {change: func(d *delivery) { d.doubts = 1 }},
		"another worker may have it":   {notMine: true, change: func(*delivery) {}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.mine = mine(time.Now().Add(time.Minute), !c.notMine)
				d := r.arrives(t)
				c.change(d)
				r.settles(t.Context(), d, verdict{action: actSuperseded})
				r.acks.confirm(nil)
				r.settling.Wait()
				check.Equal(t, "the outcome says superseded", strings.Contains(r.empty(), "tell superseded"), c.told)
			})
		})
	}
}

// TestSettleADeferral: the delay ends at the expiry, so that the dead letter is stored in
// time.
func TestSettleADeferral(t *testing.T) {
	for _, c := range []struct{ delay, left, want time.Duration }{
		{3 * time.Second, time.Minute, 3 * time.Second},
		{3 * time.Second, 2 * time.Second, 2 * time.Second},
		{3 * time.Second, 0, time.Millisecond},
		{3 * time.Second, -time.Minute, time.Millisecond},
	} {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			d := r.arrives(t)
			d.expiresAt = time.Now().Add(c.left)
			r.settles(t.Context(), d, verdict{action: actDefer, delay: c.delay})
			check.Equal(t, "steps, "+c.left.String()+" before it expires", r.String(), "write released, nak "+c.want.String()+", done")
		})
	}
}

// TestSettleAfterTheMessageWasTakenOver: another worker has written the entry. This worker
// does nothing more with the message, except what is true for both.
func TestSettleAfterTheMessageWasTakenOver(t *testing.T) {
	for name, c := range map[string]struct {
		v     verdict
		long  bool // in flight for so long that another worker may have it
		steps string
		state string
	}{
		"retry":                 {verdict{action: actRetry}, false, "not written retrying, done", "claimed"},
		"doubt: it is told":     {doubtVerdict(), false, "tell unknown, not written unknown, done", "claimed"},
		"ask again":             {verdict{action: actAskAgain}, false, "not written unknown, done", "claimed"},
		"deferred":              {verdict{action: actDefer}, false, "not written released, done", "claimed"},
		"released":              {verdict{action: actRelease, state: ledger.Retrying}, false, "not written retrying, done", "claimed"},
		"another may have it":   {verdict{action: actDrop, state: ledger.Released}, false, "not written released, done", "claimed"},
		"panicked":              {verdict{action: actPanicked}, false, "not written panicked, done", "claimed"},
		"sent: it was":          {verdict{action: actSent}, false, "tell sent, done, ack", "claimed"},
		"dead, in hand briefly": {verdict{action: actDead, reason: messages.ReasonRejected}, false, "store rejected, tell dead, done, term rejected", "claimed"},
		"dead, in hand too long: the other may be sending it": {verdict{action: actDead, reason: messages.ReasonRejected}, true, "not written retrying, done", "claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				d := r.arrives(t)
				d.identify()
				if err := newLedger(r.bucket, "me").Write(t.Context(), &d.record, d.entry(ledger.Claimed)); err != nil {
					t.Fatal(err)
				}
				r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Delivery: 2, Place: d.place})
				if c.long {
					r.mine = mine(time.Now(), false)
				}
				r.settles(t.Context(), d, c.v)
				check.Equal(t, "steps", r.empty(), c.steps)
				check.Equal(t, "the ledger says", state(t, r.bucket, d), c.state)
				check.Equal(t, "the entry's owner", entryOf(t, r.bucket, d).Owner, "other")
				r.acks.confirm(nil)
			})
		})
	}
}

// TestSettleADeadMessageThatWasInFlightForLong: if no other worker has taken it over, it is
// dead.
func TestSettleADeadMessageThatWasInFlightForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		r.mine = leased
		d := r.arrives(t)
		after(17*time.Second - 1)
		r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonExpired})
		check.Equal(t, "steps just before its lease ends", r.empty(), "store expired, tell dead, done, term expired")
		d = r.arrives(t)
		after(17 * time.Second)
		r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonExpired})
		synctest.Wait()
		check.Equal(t, "steps after that", r.empty(), "write retrying, store expired, tell dead, done, write sent, term expired")
		r.acks.confirm(nil)
	})
}

// TestSettleWithoutTheLedger: the message still comes again, then in doubt.
func TestSettleWithoutTheLedger(t *testing.T) {
	for name, c := range map[string]struct {
		v     verdict
		steps string
	}{
		"retry":     {verdict{action: actRetry, delay: 3 * time.Second}, "not written retrying, tell retrying, nak 3s, done"},
		"doubt":     {doubtVerdict(), "tell unknown, not written unknown, nak 3s, done"},
		"ask again": {verdict{action: actAskAgain, delay: 3 * time.Second}, "not written unknown, nak 3s, done"},
		"deferred":  {verdict{action: actDefer, delay: 3 * time.Second}, "not written released, nak 3s, done"},
		"released":  {verdict{action: actRelease, state: ledger.Released}, "not written released, nak 0s, done"},
		"panicked":  {verdict{action: actPanicked}, "not written panicked, nak 1s, done"},
		"dropped":   {verdict{action: actDrop, state: ledger.Released}, "not written released, done"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
				r.settles(t.Context(), r.arrives(t), c.v)
				check.Equal(t, "steps", r.String(), c.steps)
				contains(t, "log", r.log.String(), "the ledger does not have this delivery")
			})
		})
	}
}

// TestSettleWithoutADeadLetter: until the dead letter is stored the message stays, and the
// next delivery finds the reason again.
func TestSettleWithoutADeadLetter(t *testing.T) {
	kept := map[messages.Reason]string{
		messages.ReasonInvalid: "retrying", messages.ReasonExpired: "retrying", messages.ReasonRejected: "retrying", messages.ReasonLimited: "retrying",
		messages.ReasonUndeliverable: "retrying", messages.ReasonMisconfigured: "retrying",
		messages.ReasonDoubt: "unknown", messages.ReasonPoison: "doubt",
	}
	for _, reason := range messages.Reasons() {
		t.Run(string(reason), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.letters.fail = errors.New("away")
				d := r.arrives(t)
				d.doubts = 3
				r.settles(t.Context(), d, verdict{action: actDead, reason: reason})
				check.Equal(t, "steps", r.String(), "store "+string(reason)+", write "+kept[reason]+", nak 2s, done")
				check.Equal(t, "lost workers in the ledger", entryOf(t, r.bucket, d).Doubts, 3)
			})
		})
	}
	t.Run("another worker has it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.letters.fail = errors.New("away")
			d := r.arrives(t)
			r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Place: d.place})
			r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonRejected})
			check.Equal(t, "steps", r.String(), "store rejected, not written retrying, done")
		})
	})
}

// TestSettlePoisonStaysPoison: a poison message whose dead letter could not be stored is
// not sent by the next worker.
func TestSettlePoisonStaysPoison(t *testing.T) {
	for _, claims := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.letters.fail = errors.New("away")
			m := given{delivered: 4, storedAt: time.Now(), arrived: time.Now()}
			d := m.open(t, r.wire)
			r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.LostWorker, Delivery: 3, Consumer: noon.UnixNano(), Doubts: 2, Place: d.place})
			s, _ := doubting(r.bucket, claims)
			v, _ := s.handle(t.Context(), d)
			check.Equal(t, "reason", v.reason, messages.ReasonPoison)
			r.settles(t.Context(), d, v)

			m.delivered = 5
			next := m.open(t, r.wire)
			v, ok := s.handle(t.Context(), next)
			check.Equal(t, "it became, at the next delivery", became(next, v, ok), isPoison)
		})
	}
}

// TestSettleADoubtStaysADoubt: the same for a message in doubt.
func TestSettleADoubtStaysADoubt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		r.letters.fail = errors.New("away")
		m := given{delivered: 2, storedAt: time.Now(), arrived: time.Now()}
		d := m.open(t, r.wire)
		d.suspects = []string{"a"}
		r.settles(t.Context(), d, dead(d, messages.ReasonUndeliverable, "no attempts left"))

		m.delivered = 3
		next := m.open(t, r.wire)
		s, _ := doubting(r.bucket, false)
		v, ok := s.handle(t.Context(), next)
		check.Equal(t, "it became, at the next delivery", became(next, v, ok), passedDoubt)
		same(t, "suspects", next.suspects, []string{"a"})
	})
}

// TestSettleDrop: the ledger gets what this delivery has done, and the message is not put
// back: it comes again without that.
func TestSettleDrop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		m := given{storedAt: time.Now(), arrived: time.Now()}
		d := m.open(t, r.wire)
		d.history, d.suspects, d.doubts = attempts(2, sender.Unavailable), []string{"b"}, 1
		r.settles(t.Context(), d, notMine())
		check.Equal(t, "steps", r.String(), "write released, done")

		m.delivered = 2
		next := m.open(t, r.wire)
		s, lost := doubting(r.bucket, false)
		v, ok := s.handle(t.Context(), next)
		check.Equal(t, "it became, at the next delivery", became(next, v, ok), passedFresh)
		check.Equal(t, "attempts", len(next.history), 2)
		same(t, "suspects", next.suspects, []string{"b"})
		check.Equal(t, "lost workers of the message", next.doubts, 1)
		check.Equal(t, "lost workers in the metrics", lost.n, 0)
	})
}

// TestSettleHoldsTheSlot: once as many messages as there are slots wait for their
// confirmation, the next one holds its slot until its own confirmation has come.
func TestSettleHoldsTheSlot(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t) // two slots
		for range 3 {
			r.settles(t.Context(), r.arrives(t), verdict{action: actDone})
		}
		check.Equal(t, "steps", r.empty(), "done, ack, done, ack, ack")
		check.Equal(t, "unconfirmed", r.unconfirmed.Load(), 3)
		r.acks.confirm(nil)
		check.Equal(t, "steps after the confirmations", r.empty(), "clean up, clean up, clean up, done")
		check.Equal(t, "unconfirmed in the end", r.unconfirmed.Load(), 0)
	})
}

// TestReap: an orphan's dead letter is stored before it is deleted.
func TestReap(t *testing.T) {
	away := errors.New("away")
	for name, c := range map[string]struct {
		store, remove error
		steps         string
	}{
		"all goes well":          {nil, nil, "store doubt, remove 7, tell dead"},
		"no dead letter":         {away, nil, "store doubt"},
		"it can't be taken away": {nil, away, "store doubt, remove 7"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.letters.fail = c.store
				r.remove = func(_ context.Context, sequence uint64) error {
					r.add("remove %d", sequence)
					return c.remove
				}
				err := r.reap(t.Context(), r.arrives(t), verdict{action: actDead, reason: messages.ReasonDoubt})
				check.Equal(t, "steps", r.String(), c.steps)
				check.Equal(t, "it failed", errors.Is(err, away), c.store != nil || c.remove != nil)
			})
		})
	}
}
