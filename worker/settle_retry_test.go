package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestSettleRetriesItsAck: if the server does not confirm an ack, settle writes to the
// ledger or acks again. Meanwhile the message belongs to this worker.
func TestSettleRetriesItsAck(t *testing.T) {
	lost := errors.New("no confirmation came")
	t.Run("the ledger is told", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			d := r.arrives(t)
			d.history = attempts(1, sender.Unavailable)
			r.settles(t.Context(), d, verdict{action: actSent})
			r.empty()
			r.acks.confirm(lost)
			synctest.Wait()
			check.Equal(t, "steps", r.empty(), "write sent, ack") // the entry is not cleaned up: the message may come again
			r.acks.confirm(nil)
			check.Equal(t, "steps after the second ack", r.empty(), "")
			check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
			check.Equal(t, "attempts in the ledger", len(entryOf(t, r.bucket, d).History), 1)
			r.settling.Wait()
			check.Equal(t, "messages that the heartbeat speaks for", len(r.inFlight.all()), 0)
			contains(t, "log", r.log.String(), lost.Error())
		})
	})
	t.Run("also if another worker has written meanwhile", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			d := r.arrives(t)
			r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Place: d.place})
			r.settles(t.Context(), d, verdict{action: actSent})
			r.acks.confirm(lost)
			synctest.Wait()
			check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
		})
	})
	t.Run("the ledger is away, and the ack arrives after all", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
			d := r.arrives(t)
			r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonRejected})
			r.empty()
			r.acks.confirm(lost)
			synctest.Wait()
			check.Equal(t, "steps of the first try", r.empty(), "not written sent, term rejected")
			check.Equal(t, "messages that the heartbeat speaks for", len(r.inFlight.all()), 1)
			r.acks.confirm(lost)
			after(time.Second)
			synctest.Wait()
			check.Equal(t, "steps of the second try", r.empty(), "not written sent, term rejected")
			r.acks.confirm(nil)
			synctest.Wait()
			check.Equal(t, "steps after the confirmation", r.empty(), "clean up")
			r.settling.Wait()
			check.Equal(t, "messages that the heartbeat speaks for in the end", len(r.inFlight.all()), 0)
		})
	})
	t.Run("nothing helps", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
			r.acks.refuse = errors.New("no connection")
			began := time.Now()
			r.settles(t.Context(), r.arrives(t), verdict{action: actSent})
			r.settling.Wait()
			if took := time.Since(began); took < retryAckFor-2*time.Second || took > retryAckFor+2*time.Second {
				t.Errorf("it tried for %v, want about %v", took, retryAckFor)
			}
			contains(t, "log", r.log.String(), "the message may come again in doubt")
			check.Equal(t, "messages that the heartbeat speaks for", len(r.inFlight.all()), 0)
		})
	})
	t.Run("the worker stops", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
			r.acks.refuse = errors.New("no connection")
			ctx, cancel := context.WithCancel(t.Context())
			began := time.Now()
			r.settles(ctx, r.arrives(t), verdict{action: actSent})
			time.AfterFunc(5*time.Second, cancel)
			r.settling.Wait()
			check.Equal(t, "it insisted for", time.Since(began), 5*time.Second)
		})
	})
	t.Run("the worker stops, and the ledger is there", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			d := r.arrives(t)
			r.settles(ctx, d, verdict{action: actSent})
			r.acks.confirm(lost)
			r.settling.Wait()
			check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
		})
	})
}

// TestSettleNothingLeftToDo: a message that a newer publish has superseded may share its
// entry with that one. An ack that is not confirmed writes nothing there, because the
// newer one would then count as sent.
func TestSettleNothingLeftToDo(t *testing.T) {
	for name, c := range map[string]struct {
		mine   bool
		action action
	}{
		"superseded, and the ack is not confirmed":    {true, actSuperseded},
		"superseded, and another worker may have it":  {false, actSuperseded},
		"sent before, and the ack is not confirmed":   {true, actDone},
		"sent before, and another worker may have it": {false, actDone},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.mine = mine(time.Now().Add(time.Minute), c.mine)
				d := r.arrives(t)
				newer := d.place
				newer.Sequence, newer.StoredAt = newer.Sequence+1, newer.StoredAt+1
				r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Delivery: 1, Place: newer})
				r.settles(t.Context(), d, verdict{action: c.action})
				if c.mine {
					r.acks.confirm(errors.New("no confirmation came"))
				}
				r.settling.Wait()
				check.Equal(t, "the ledger says", state(t, r.bucket, d), "claimed")
				check.Equal(t, "the entry's owner", entryOf(t, r.bucket, d).Owner, "other")
				check.Equal(t, "unconfirmed", r.unconfirmed.Load(), 0)
			})
		})
	}
}

// TestSettleADeadMessageOfAnother: the dead letter is stored, but the term is not
// confirmed. Another worker has claimed the message meanwhile, and may still send it.
func TestSettleADeadMessageOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		d := r.arrives(t)
		r.settles(t.Context(), d, verdict{action: actDead, reason: messages.ReasonRejected})
		r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Delivery: 2, Place: d.place})
		r.acks.confirm(errors.New("no confirmation came"))
		r.settling.Wait()
		check.Equal(t, "the ledger says", state(t, r.bucket, d), "claimed")
		check.Equal(t, "the entry's owner", entryOf(t, r.bucket, d).Owner, "other")
	})
}

// TestSettleWhatIsNotMine: another worker may have the message, so an ack could end that
// worker's delivery or do nothing. First the ledger gets the entry that the message is
// done.
func TestSettleWhatIsNotMine(t *testing.T) {
	for name, c := range map[string]struct {
		v verdict
		// begin are the steps before the ack, away the steps without the ledger; word is
		// the ack.
		begin, away, word string
	}{
		"sent": {verdict{action: actSent}, "tell sent, ", "tell sent, ", "ack"},
		"dead": {verdict{action: actDead, reason: messages.ReasonRejected}, "write retrying, store rejected, tell dead, ", "not written retrying, store rejected, tell dead, ", "term rejected"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.mine = mine(time.Now(), false)
				d := r.arrives(t)
				r.settles(t.Context(), d, c.v)
				synctest.Wait()
				check.Equal(t, "steps", r.empty(), c.begin+"done, write sent, "+c.word)
				check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
				contains(t, "log", r.log.String(), errNotMine.Error())
				r.acks.confirm(nil)
				check.Equal(t, "steps after the confirmation", r.empty(), "") // the other worker may still read the ledger
				r.settling.Wait()
				check.Equal(t, "unconfirmed", r.unconfirmed.Load(), 0)
				check.Equal(t, "messages that the heartbeat speaks for", len(r.inFlight.all()), 0)
			})
		})
		t.Run(name+", and another worker has claimed it", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.mine = mine(time.Now(), false)
				d := r.arrives(t)
				r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Owner: "other", Delivery: 2, Place: d.place})
				r.settles(t.Context(), d, c.v)
				synctest.Wait()
				if c.v.action == actDead { // the other worker decides about it
					check.Equal(t, "steps", r.empty(), "not written retrying, done")
					check.Equal(t, "the ledger says", state(t, r.bucket, d), "claimed")
					return
				}
				check.Equal(t, "steps", r.empty(), c.begin+"done, write sent, "+c.word)
				check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
				check.Equal(t, "the entry's owner", entryOf(t, r.bucket, d).Owner, "me")
			})
		})
		t.Run(name+", and the ledger is away", func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				r.mine = mine(time.Now(), false)
				var back atomic.Bool
				r.bucket.Before = func(ledgertest.Step, string) error {
					if back.Load() {
						return nil
					}
					return errors.New("away")
				}
				d := r.arrives(t)
				r.settles(t.Context(), d, c.v)
				synctest.Wait()
				check.Equal(t, "steps", r.empty(), c.away+"done, not written sent, "+c.word)
				check.Equal(t, "messages that the heartbeat speaks for", len(r.inFlight.all()), 1)
				back.Store(true)
				r.acks.confirm(errors.New("no confirmation came"))
				after(time.Second)
				synctest.Wait()
				check.Equal(t, "steps once it is back", r.empty(), "write sent, "+c.word)
				r.settling.Wait()
				check.Equal(t, "the ledger says", state(t, r.bucket, d), "sent")
			})
		})
	}
	t.Run("it holds its slot until the ledger knows", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t) // two slots
			for range 2 {
				r.settles(t.Context(), r.arrives(t), verdict{action: actDone})
			}
			r.empty()
			r.mine = mine(time.Now(), false)
			r.settles(t.Context(), r.arrives(t), verdict{action: actSent})
			synctest.Wait()
			check.Equal(t, "steps", r.empty(), "tell sent, write sent, ack, done")
			r.acks.confirm(nil)
		})
	})
}

// TestSettleRetriesWithAHeartbeat: the message stays this worker's, although its slot is
// free and the ack fails before the slot is.
func TestSettleRetriesWithAHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newSettling(t)
		r.acks.refuse = errors.New("no connection")
		r.bucket.Before = func(ledgertest.Step, string) error { return errors.New("away") }
		d := r.arrives(t)
		r.inFlight.add(d.msg)
		r.settle(t.Context(), d, verdict{action: actSent}, func() {
			synctest.Wait() // the retries have begun
			r.inFlight.remove(d.msg)
		})
		beat, stop := context.WithCancel(t.Context())
		go r.inFlight.heartbeat(beat, fakeBeater{r.trace}, known(), func() time.Duration { return 30 * time.Second })
		after(time.Minute)
		stop()
		contains(t, "what the server heard in a minute", r.String(), "in progress")
		r.settling.Wait()
	})
}
