package worker

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// The possible results of the stage.
const (
	passedFresh = "passed on as not in doubt"
	passedDoubt = "passed on as in doubt"
	passedLost  = "passed on as in doubt, its worker is lost"
	isDone      = "done"
	isPoison    = "dead: poison"
	isPutBack   = "put back"
	isDropped   = "dropped"
)

// became returns the stage's result for a message.
func became(d *delivery, v verdict, ok bool) string {
	switch {
	case !ok && d.lost:
		return passedLost
	case !ok && d.inDoubt:
		return passedDoubt
	case !ok:
		return passedFresh
	case v.action == actDone:
		return isDone
	case v.action == actDead:
		return "dead: " + string(v.reason)
	case v.action == actPutBack:
		return isPutBack
	case v.action == actDrop:
		return isDropped
	}
	return fmt.Sprintf("action %d", v.action)
}

// doubting returns the stage over a bucket.
func doubting(b *ledgertest.Bucket, claims bool) (doubtStage, *counter) {
	lost := new(counter)
	return doubtStage{
		ledger: newLedger(b, "me"), claims: claims, suspects: someSuspects{}, now: atNoon, lostWorkers: lost,
		failed: new(someTroubles).ledgerFailed, untried: newUntried(),
	}, lost
}

func TestDoubtByTheLedger(t *testing.T) {
	const off, on = false, true
	for name, c := range map[string]struct {
		claims    bool
		delivered uint64
		// suspect: an earlier consumer may have handed it out.
		suspect bool
		// state, delivery and doubts are those of the entry; without a state there is no
		// entry.
		state    ledger.State
		delivery uint64
		doubts   int
		want     string
		// wantDoubts is the number of lost workers afterwards; left is the ledger's state
		// afterwards.
		wantDoubts int
		left       string
	}{
		// Claims off: a first delivery is fresh, and nothing is written about it.
		"off: first delivery":                     {off, 1, false, "", 0, 0, passedFresh, 0, "nothing"},
		"off: of an earlier consumer":             {off, 1, true, "", 0, 0, passedLost, 1, "doubt"},
		"off: of an earlier consumer, retried":    {off, 1, true, ledger.Retrying, 5, 0, passedLost, 1, "doubt"},
		"off: of an earlier consumer, sent":       {off, 1, true, ledger.Sent, 5, 0, isDone, 0, "sent"},
		"off: no word":                            {off, 2, false, "", 0, 0, passedLost, 1, "doubt"},
		"off: retried":                            {off, 2, false, ledger.Retrying, 1, 0, passedFresh, 0, "retrying"},
		"off: retried, lost a worker before":      {off, 2, false, ledger.Retrying, 1, 1, passedFresh, 1, "retrying"},
		"off: retried, and then no word":          {off, 3, false, ledger.Retrying, 1, 0, passedLost, 1, "doubt"},
		"off: deferred":                           {off, 2, false, ledger.Released, 1, 0, passedFresh, 0, "released"},
		"off: deferred, and then no word":         {off, 3, false, ledger.Released, 1, 0, passedLost, 1, "doubt"},
		"off: in doubt":                           {off, 2, false, ledger.InDoubt, 1, 0, passedDoubt, 0, "unknown"},
		"off: in doubt, and then no word":         {off, 3, false, ledger.InDoubt, 1, 0, passedLost, 1, "doubt"},
		"off: panicked":                           {off, 2, false, ledger.Panicked, 1, 1, passedLost, 1, "panicked"},
		"off: panicked, and then no word":         {off, 3, false, ledger.Panicked, 1, 1, passedLost, 2, "doubt"},
		"off: lost a worker, and then another":    {off, 3, false, ledger.LostWorker, 2, 1, passedLost, 2, "doubt"},
		"off: lost a worker, no word for long":    {off, 9, false, ledger.LostWorker, 2, 1, passedLost, 2, "doubt"},
		"off: lost three workers":                 {off, 4, false, ledger.LostWorker, 3, 2, isPoison, 3, "doubt"},
		"off: claimed by a worker of another way": {off, 2, false, ledger.Claimed, 1, 0, passedLost, 1, "doubt"},
		"off: sent":                               {off, 2, false, ledger.Sent, 1, 0, isDone, 0, "sent"},
		"off: sent, long ago":                     {off, 9, false, ledger.Sent, 1, 0, isDone, 0, "sent"},

		// Claims on: every message is claimed, and the count is not relied on.
		"on: first delivery":                  {on, 1, false, "", 0, 0, passedFresh, 0, "claimed"},
		"on: of an earlier consumer":          {on, 1, true, "", 0, 0, passedFresh, 0, "claimed"},
		"on: of an earlier consumer, claimed": {on, 1, true, ledger.Claimed, 5, 0, passedLost, 1, "doubt"},
		"on: of an earlier consumer, retried": {on, 1, true, ledger.Retrying, 5, 0, passedFresh, 0, "claimed"},
		"on: of an earlier consumer, sent":    {on, 1, true, ledger.Sent, 5, 0, isDone, 0, "sent"},
		"on: of an earlier consumer, twice":   {on, 2, true, "", 0, 0, passedLost, 1, "doubt"},
		"on: a server that forgot the count":  {on, 1, false, ledger.Claimed, 1, 0, passedLost, 1, "doubt"},
		"on: no word":                         {on, 2, false, "", 0, 0, passedLost, 1, "doubt"},
		"on: claimed":                         {on, 2, false, ledger.Claimed, 1, 0, passedLost, 1, "doubt"},
		"on: retried":                         {on, 2, false, ledger.Retrying, 1, 0, passedFresh, 0, "claimed"},
		"on: retried, count forgotten":        {on, 1, false, ledger.Retrying, 1, 0, passedFresh, 0, "claimed"},
		"on: retried, a delivery got lost":    {on, 5, false, ledger.Retrying, 1, 0, passedFresh, 0, "claimed"},
		"on: deferred":                        {on, 2, false, ledger.Released, 1, 0, passedFresh, 0, "claimed"},
		"on: in doubt":                        {on, 2, false, ledger.InDoubt, 1, 1, passedDoubt, 1, "claimed"},
		"on: panicked":                        {on, 2, false, ledger.Panicked, 1, 1, passedLost, 1, "claimed"},
		"on: lost a worker":                   {on, 3, false, ledger.LostWorker, 2, 1, passedLost, 2, "doubt"},
		"on: lost three workers":              {on, 4, false, ledger.LostWorker, 3, 2, isPoison, 3, "doubt"},
		"on: sent":                            {on, 2, false, ledger.Sent, 1, 0, isDone, 0, "sent"},
		"on: sent, count forgotten":           {on, 1, false, ledger.Sent, 1, 0, isDone, 0, "sent"},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := given{delivered: c.delivered}.open(t, &fakeConn{trace: new(trace)})
			kept := ledger.Entry{
				State: c.state, Delivery: c.delivery, Doubts: c.doubts, Place: d.place, Suspects: []string{"b"},
				DoubtFor: 3 * time.Second, DoubtGrace: time.Minute, Consumer: noon.UnixNano(), History: attempts(2, sender.Unavailable),
			}
			if c.state != "" {
				b.Set(recordOf(d.msg).Key, kept)
			}
			s, lost := doubting(b, c.claims)
			s.suspects = someSuspects{are: func(p ledger.Place) bool { return c.suspect && p == d.place }}
			v, ok := s.handle(t.Context(), d)
			got := became(d, v, ok)
			check.Equal(t, "it became", got, c.want)
			check.Equal(t, "lost workers of the message", d.doubts, c.wantDoubts)
			check.Equal(t, "the ledger says", state(t, b, d), c.left)
			newlyLost := 0
			if got == passedLost && c.wantDoubts > c.doubts {
				newlyLost = 1
			}
			check.Equal(t, "lost workers in the metrics", lost.n, newlyLost)
			if c.state == "" {
				return
			}
			// What the entry had is kept.
			check.Equal(t, "attempts", len(d.history), 2)
			same(t, "suspects", d.suspects, []string{"b"})
			if e := entryOf(t, b, d); got != isDone && got != isPoison {
				check.Equal(t, "attempts in the ledger", len(e.History), 2)
				same(t, "suspects in the ledger", e.Suspects, []string{"b"})
				check.Equal(t, "lost workers in the ledger", e.Doubts, c.wantDoubts)
			}
			if newlyLost == 1 {
				check.Equal(t, "in doubt for", d.doubtFor, 0)
				check.Equal(t, "asked for", d.doubtGrace, 0)
			} else if got == passedDoubt {
				check.Equal(t, "in doubt for", d.doubtFor, 3*time.Second)
				check.Equal(t, "asked for", d.doubtGrace, time.Minute)
			}
			if got == isDone {
				check.Equal(t, "detail", v.detail, "it was sent before")
			}
			if got == isPoison {
				contains(t, "the detail", v.detail, "it was handed out 4 times, and 3 of its workers were lost")
			}
		})
	}
}

// TestDoubtThreeLostWorkersInARow: each worker writes that it has taken the message up, so
// the third one is the last.
func TestDoubtThreeLostWorkersInARow(t *testing.T) {
	for _, claims := range []bool{false, true} {
		b := new(ledgertest.Bucket)
		var got []string
		for delivered := uint64(1); delivered <= 4; delivered++ {
			d := given{delivered: delivered}.open(t, &fakeConn{trace: new(trace)})
			s, _ := doubting(b, claims)
			v, ok := s.handle(t.Context(), d)
			got = append(got, became(d, v, ok))
		}
		same(t, fmt.Sprintf("claims %v: it became", claims), got, []string{passedFresh, passedLost, passedLost, isPoison})
	}
}

// TestDoubtAFreshMessageIsNotLookedFor: without claims, a fresh message needs no read of
// the ledger.
func TestDoubtAFreshMessageIsNotLookedFor(t *testing.T) {
	b := &ledgertest.Bucket{Before: func(s ledgertest.Step, _ string) error {
		t.Errorf("got the step %s for a fresh message", s)
		return nil
	}}
	s, _ := doubting(b, false)
	d := fresh(t)
	d.record.Key = ""
	if v, ok := s.handle(t.Context(), d); ok {
		t.Errorf("it decided on action %d", v.action)
	}
	check.Equal(t, "the place of its name at the provider", d.firstPlace(), d.place)
}

// TestDoubtOfAnotherConsumersCount: a consumer that was made again begins to count at 1,
// so the count alone does not prove that an entry is of the last delivery.
func TestDoubtOfAnotherConsumersCount(t *testing.T) {
	now := noon.UnixNano()
	for consumer, want := range map[int64]string{now: passedFresh, now - 1: passedLost, 0: passedLost} {
		b := new(ledgertest.Bucket)
		d := given{delivered: 2}.open(t, nowhere())
		b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Retrying, Delivery: 1, Consumer: consumer, Place: d.place})
		s, _ := doubting(b, false)
		v, ok := s.handle(t.Context(), d)
		check.Equal(t, fmt.Sprintf("the entry's consumer was made at %d: it became", consumer), became(d, v, ok), want)
	}
}

// TestDoubtOfAnotherPlace: the entry belongs to an equal publish that was stored earlier
// or later.
func TestDoubtOfAnotherPlace(t *testing.T) {
	for name, c := range map[string]struct {
		delivered uint64
		// stored is when the other one was stored, relative to this one.
		stored time.Duration
		state  ledger.State
		want   string
		// first is true if the message counts as the other one, and so takes over its
		// attempts and its name at the provider.
		first bool
		left  string
	}{
		"stored again, and that one is newer":       {1, time.Second, ledger.Claimed, isDone, false, "claimed"},
		"the same publish, and a worker had it":     {1, -time.Minute, ledger.Claimed, passedLost, true, "doubt"},
		"the same publish, and it was sent":         {1, -time.Minute, ledger.Sent, isDone, true, "sent"},
		"the same publish, being retried":           {1, -time.Minute, ledger.Retrying, passedFresh, true, "claimed"},
		"the same publish, in doubt":                {1, -time.Minute, ledger.InDoubt, passedDoubt, true, "claimed"},
		"the same, at the end of the window":        {1, -duplicateWindow, ledger.Claimed, passedLost, true, "doubt"},
		"another message, published much later":     {1, -duplicateWindow - 1, ledger.Claimed, passedFresh, false, "claimed"},
		"another message, sent":                     {1, -time.Hour, ledger.Sent, passedFresh, false, "claimed"},
		"another message, and this one comes again": {2, -time.Hour, ledger.Retrying, passedLost, false, "doubt"},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := given{msgID: "repeated", delivered: c.delivered}.open(t, &fakeConn{trace: new(trace)})
			other := ledger.Place{Sequence: 5, StoredAt: d.place.StoredAt + int64(c.stored)}
			b.Set(recordOf(d.msg).Key, ledger.Entry{State: c.state, Delivery: 1, Consumer: noon.UnixNano(), Place: other, History: attempts(2, sender.Unavailable)})
			s, _ := doubting(b, true)
			v, ok := s.handle(t.Context(), d)
			check.Equal(t, "it became", became(d, v, ok), c.want)
			check.Equal(t, "the ledger says", state(t, b, d), c.left)
			if c.want == isDone && !c.first {
				check.Equal(t, "detail", v.detail, "superseded")
				// The cleaner must not delete what the newer publish has written.
				check.Equal(t, "the revision that is cleaned up", d.record.Revision, 0)
			}
			place, history := d.place, 0
			if c.first {
				place, history = other, 2
			}
			check.Equal(t, "the place of its name at the provider", d.firstPlace(), place)
			check.Equal(t, "attempts", len(d.history), history)
			if c.left == "claimed" && c.want != isDone {
				check.Equal(t, "the entry's place", entryOf(t, b, d).Place, place)
			}
		})
	}
}

// TestDoubtOfWhatCannotBeSent: an invalid message is in doubt only if a worker may still
// have sent it.
func TestDoubtOfWhatCannotBeSent(t *testing.T) {
	for name, c := range map[string]struct {
		claims     bool
		delivered  uint64
		unreadable bool
		state      ledger.State
		history    int
		doubts     int
		want       string
		left       string
		suspect    bool // an earlier consumer may have handed it out
	}{
		"not read here, of an earlier consumer, claims":       {claims: true, delivered: 1, unreadable: true, suspect: true, want: passedDoubt, left: "nothing"},
		"no worker can read it":                               {false, 1, false, "", 0, 0, passedFresh, "nothing", false},
		"no worker can read it, claims":                       {true, 1, false, "", 0, 0, passedFresh, "nothing", false},
		"no worker can read it, and it comes again":           {false, 2, false, "", 0, 0, passedFresh, "nothing", false},
		"no worker can read it, and it comes again, claims":   {true, 2, false, "", 0, 0, passedFresh, "nothing", false},
		"not read here":                                       {false, 1, true, "", 0, 0, passedFresh, "nothing", false},
		"not read here, claims":                               {true, 1, true, "", 0, 0, passedFresh, "nothing", false},
		"not read here, and it comes again":                   {false, 2, true, "", 0, 0, passedDoubt, "nothing", false},
		"not read here, and it comes again, claims":           {true, 2, true, "", 0, 0, passedDoubt, "nothing", false},
		"not read here, and claimed by another, claims":       {true, 1, true, ledger.Claimed, 0, 0, passedDoubt, "claimed", false},
		"not read here, and another's retry":                  {false, 2, true, ledger.Retrying, 1, 0, passedFresh, "retrying", false},
		"not read here, in doubt by another":                  {false, 2, true, ledger.InDoubt, 1, 0, passedDoubt, "unknown", false},
		"not read here, sent by another":                      {false, 2, true, ledger.Sent, 1, 0, isDone, "sent", false},
		"now wrong, and another worker had tried it":          {false, 2, false, ledger.LostWorker, 1, 0, passedDoubt, "doubt", false},
		"now wrong, and another worker had counted its doubt": {false, 2, false, ledger.LostWorker, 0, 1, passedDoubt, "doubt", false},
		"now wrong, and another worker had only begun":        {false, 2, false, ledger.Claimed, 0, 0, passedFresh, "claimed", false},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := given{delivered: c.delivered}.open(t, &fakeConn{trace: new(trace)})
			d.wrong, d.unreadable = errors.New("wrong"), c.unreadable
			if c.state != "" {
				b.Set(recordOf(d.msg).Key, ledger.Entry{State: c.state, Delivery: 1, Consumer: noon.UnixNano(), Place: d.place, Doubts: c.doubts, History: attempts(c.history, sender.Unavailable)})
			}
			s, lost := doubting(b, c.claims)
			s.suspects = someSuspects{are: func(ledger.Place) bool { return c.suspect }}
			if c.delivered == 1 && !c.unreadable { // it is fresh, and needs no ledger
				b.Before = func(ledgertest.Step, string) error { return errors.New("away") }
			}
			v, ok := s.handle(t.Context(), d)
			check.Equal(t, "it became", became(d, v, ok), c.want)
			check.Equal(t, "the ledger says", state(t, b, d), c.left)
			check.Equal(t, "lost workers in the metrics", lost.n, 0)
		})
	}
}

// TestDoubtWithoutTheLedger: if the ledger does not answer, nothing is sent.
func TestDoubtWithoutTheLedger(t *testing.T) {
	away := errors.New("the server is away")
	for name, c := range map[string]struct {
		claims    bool
		delivered uint64
		fails     ledgertest.Step
	}{
		"claiming":             {true, 1, ledgertest.Create},
		"reading":              {false, 2, ledgertest.Get},
		"writing a lost one":   {false, 2, ledgertest.Create},
		"writing one's own":    {true, 2, ledgertest.Update},
		"reading another's":    {true, 2, ledgertest.Get},
		"claiming after retry": {true, 3, ledgertest.Update},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := given{delivered: c.delivered}.open(t, &fakeConn{trace: new(trace)})
			if c.claims && c.delivered > 1 {
				b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Retrying, Delivery: 1, Consumer: noon.UnixNano(), Place: d.place})
			}
			b.Before = func(s ledgertest.Step, _ string) error {
				if s == c.fails {
					return away
				}
				return nil
			}
			s, lost := doubting(b, c.claims)
			v, ok := s.handle(t.Context(), d)
			check.Equal(t, "it became", became(d, v, ok), isPutBack)
			check.Equal(t, "delay", v.delay, putBackDelay)
			contains(t, "the detail", v.detail, away.Error())
			check.Equal(t, "lost workers in the metrics", lost.n, 0)
		})
	}
}

// TestDoubtWhileAnotherWorkerWrites: the other worker's entry is read again. If that
// worker does not stop writing, the message is left to it.
func TestDoubtWhileAnotherWorkerWrites(t *testing.T) {
	for name, c := range map[string]struct {
		// writes is how often another worker writes just before this one does.
		writes int
		other  ledger.State
		want   string
		left   string
	}{
		"once, and it is retried":   {1, ledger.Retrying, passedFresh, "claimed"},
		"once, and it is in doubt":  {1, ledger.InDoubt, passedDoubt, "claimed"},
		"once, and it was sent":     {1, ledger.Sent, isDone, "sent"},
		"twice, and it is in doubt": {2, ledger.InDoubt, passedDoubt, "claimed"},
		"without end":               {99, ledger.Claimed, isDropped, "claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := given{delivered: 2}.open(t, &fakeConn{trace: new(trace)})
			b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Claimed, Delivery: 1, Consumer: noon.UnixNano(), Place: d.place, Doubts: 1, History: attempts(1, sender.Unknown)})
			b.Before = func(s ledgertest.Step, key string) error {
				if s == ledgertest.Update && c.writes > 0 {
					c.writes--
					b.Set(key, ledger.Entry{State: c.other, Delivery: 2, Consumer: noon.UnixNano(), Owner: "other", Place: d.place})
				}
				return nil
			}
			s, lost := doubting(b, true)
			v, ok := s.handle(t.Context(), d)
			check.Equal(t, "it became", became(d, v, ok), c.want)
			check.Equal(t, "the ledger says", state(t, b, d), c.left)
			check.Equal(t, "lost workers in the metrics", lost.n, 0)
			check.Equal(t, "attempts (the other's entry has none)", len(d.history), 0)
			check.Equal(t, "lost workers of the message (the other's entry has none)", d.doubts, 0)
			if c.want == isDropped {
				check.Equal(t, "detail", v.detail, "another worker keeps writing the message's entry in the ledger")
				check.Equal(t, "the entry's owner", entryOf(t, b, d).Owner, "other")
			}
		})
	}
}

// TestDoubtWhileAnotherWorkerMayHoldIt: the consumer was made again, and a worker that
// does not know may have the message in flight. Until that is over it is put back; then it
// counts as one whose worker was lost.
func TestDoubtWhileAnotherWorkerMayHoldIt(t *testing.T) {
	const off, on = false, true
	for name, c := range map[string]struct {
		claims    bool
		delivered uint64
		// wrong: it can't be sent here; unreadable: another worker may have been able to.
		wrong, unreadable bool
		age               time.Duration // since it was stored; a second if empty
		first             bool          // this is the first consumer
		state             ledger.State
		// delivery is that of the entry, counted by the consumer before or by this one.
		delivery uint64
		before   bool
		// want is the result while another worker may have it, left the ledger's state
		// then.
		want, left string
		// then and leftThen are the same once that is over; empty if nothing changes.
		then, leftThen string
	}{
		"off: no entry":                            {claims: off, want: isPutBack, left: "nothing", then: passedLost, leftThen: "doubt"},
		"off: no entry, and it comes again":        {claims: off, delivered: 2, want: isPutBack, left: "nothing", then: passedLost, leftThen: "doubt"},
		"off: retried by the consumer before":      {claims: off, state: ledger.Retrying, delivery: 5, before: true, want: isPutBack, left: "retrying", then: passedLost, leftThen: "doubt"},
		"off: deferred by the consumer before":     {claims: off, state: ledger.Released, delivery: 5, before: true, want: isPutBack, left: "released", then: passedLost, leftThen: "doubt"},
		"off: the numbers fit, but not the count":  {claims: off, delivered: 2, state: ledger.Retrying, delivery: 1, before: true, want: isPutBack, left: "retrying", then: passedLost, leftThen: "doubt"},
		"off: retried once by the consumer before": {claims: off, state: ledger.Retrying, delivery: 1, before: true, want: isPutBack, left: "retrying", then: passedLost, leftThen: "doubt"},
		"off: in doubt before, no word since":      {claims: off, state: ledger.InDoubt, delivery: 5, before: true, want: isPutBack, left: "unknown", then: passedLost, leftThen: "doubt"},
		"off: lost a worker before":                {claims: off, state: ledger.LostWorker, delivery: 5, before: true, want: isPutBack, left: "doubt", then: passedLost, leftThen: "doubt"},
		"off: the delivery before says retry":      {claims: off, delivered: 2, state: ledger.Retrying, delivery: 1, want: passedFresh, left: "retrying"},
		"off: the delivery before says doubt":      {claims: off, delivered: 2, state: ledger.InDoubt, delivery: 1, want: passedDoubt, left: "unknown"},
		"off: sent":                                {claims: off, state: ledger.Sent, delivery: 5, before: true, want: isDone, left: "sent"},
		"off: not read here":                       {claims: off, wrong: true, unreadable: true, want: isPutBack, left: "nothing", then: passedDoubt, leftThen: "nothing"},
		"off: no worker can read it":               {claims: off, wrong: true, want: isPutBack, left: "nothing", then: passedFresh, leftThen: "nothing"},

		// With claims on, a worker that tried it has claimed it, and the ledger still has
		// the claim.
		"on: no entry, young":                 {claims: on, want: passedFresh, left: "claimed"},
		"on: no entry, nearly too old":        {claims: on, age: ledgerKept - 1, want: passedFresh, left: "claimed"},
		"on: no entry, too old":               {claims: on, age: ledgerKept, want: isPutBack, left: "claimed", then: passedLost, leftThen: "doubt"},
		"on: no entry, of this consumer, old": {claims: on, age: ledgerKept, first: true, want: passedFresh, left: "claimed"},
		"on: no entry, and it comes again":    {claims: on, delivered: 2, want: isPutBack, left: "claimed", then: passedLost, leftThen: "doubt"},
		"on: claimed":                         {claims: on, state: ledger.Claimed, delivery: 5, before: true, want: isPutBack, left: "claimed", then: passedLost, leftThen: "doubt"},
		"on: lost a worker before":            {claims: on, state: ledger.LostWorker, delivery: 5, before: true, want: isPutBack, left: "doubt", then: passedLost, leftThen: "doubt"},
		"on: retried":                         {claims: on, state: ledger.Retrying, delivery: 5, before: true, want: passedFresh, left: "claimed"},
		"on: in doubt":                        {claims: on, state: ledger.InDoubt, delivery: 5, before: true, want: passedDoubt, left: "claimed"},
		"on: sent":                            {claims: on, state: ledger.Sent, delivery: 5, before: true, want: isDone, left: "sent"},
		"on: not read here, and not claimed":  {claims: on, wrong: true, unreadable: true, want: isPutBack, left: "nothing", then: passedDoubt, leftThen: "nothing"},
		"on: not read here, and claimed":      {claims: on, wrong: true, unreadable: true, state: ledger.Claimed, delivery: 5, before: true, want: isPutBack, left: "claimed", then: passedDoubt, leftThen: "claimed"},
	} {
		t.Run(name, func(t *testing.T) {
			const held = 7 * time.Second
			b := new(ledgertest.Bucket)
			m := given{delivered: c.delivered, storedAt: noon.Add(-cmp.Or(c.age, time.Second))}
			s, lost := doubting(b, c.claims)
			later := false
			handle := func(held time.Duration) (d *delivery, v verdict, what string) {
				d = m.open(t, nowhere())
				if c.wrong {
					d.wrong, d.unreadable = errors.New("wrong"), c.unreadable
				}
				if c.state != "" && !later {
					consumer := noon
					if c.before {
						consumer = noon.Add(-time.Hour)
					}
					b.Set(recordOf(d.msg).Key, ledger.Entry{State: c.state, Delivery: c.delivery, Consumer: consumer.UnixNano(), Owner: "other", Place: d.place})
				}
				s.suspects = someSuspects{are: func(p ledger.Place) bool { return !c.first && p == d.place }, held: held}
				v, ok := s.handle(t.Context(), d)
				return d, v, became(d, v, ok)
			}
			_, _, got := handle(0)
			check.Equal(t, "if nobody can hold it, it becomes", got, cmp.Or(c.then, c.want))
			check.Equal(t, "and the ledger says so", state(t, b, m.open(t, nowhere())), cmp.Or(c.leftThen, c.left))

			b.Delete(recordOf(m.message(t, nowhere())).Key)
			lost.n = 0
			d, v, got := handle(held)
			check.Equal(t, "while another worker may hold it, it became", got, c.want)
			check.Equal(t, "and the ledger says", state(t, b, d), c.left)
			if c.then == "" {
				return
			}
			check.Equal(t, "delay", v.delay, held)
			contains(t, "detail", v.detail, "its consumer was made again")
			check.Equal(t, "lost workers of the message", d.doubts, 0)
			check.Equal(t, "lost workers in the metrics", lost.n, 0)
			if c.state != "" {
				check.Equal(t, "the entry's owner", entryOf(t, b, d).Owner, "other")
			}
			m.delivered, later = d.msg.Delivered+1, true
			d, _, got = handle(0)
			check.Equal(t, "once that is over, it became", got, c.then)
			check.Equal(t, "and the ledger says then", state(t, b, d), c.leftThen)
			wantLost := map[string]int{passedLost: 1}[c.then]
			check.Equal(t, "lost workers of the message then", d.doubts, wantLost)
			check.Equal(t, "lost workers in the metrics then", lost.n, wantLost)
		})
	}
}

// TestDoubtOfASuspectWithAnotherPlace: another consumer may have handed out this message;
// the entry belongs to a much older publish.
func TestDoubtOfASuspectWithAnotherPlace(t *testing.T) {
	for name, c := range map[string]struct {
		claims bool
		age    time.Duration
		want   string
	}{
		"off":         {false, time.Second, passedLost},
		"on":          {true, time.Second, passedFresh},
		"on, too old": {true, ledgerKept, passedLost},
	} {
		b := new(ledgertest.Bucket)
		d := given{msgID: "repeated", storedAt: noon.Add(-c.age)}.open(t, nowhere())
		other := ledger.Place{Sequence: 5, StoredAt: d.place.StoredAt - int64(time.Hour)}
		b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Retrying, Delivery: 1, Consumer: noon.UnixNano(), Place: other})
		s, _ := doubting(b, c.claims)
		s.suspects = someSuspects{are: func(p ledger.Place) bool { return p == d.place }}
		v, ok := s.handle(t.Context(), d)
		check.Equal(t, "claims "+name+": it became", became(d, v, ok), c.want)
	}
}

func TestDoubtPoisonIsNotWritten(t *testing.T) {
	b := new(ledgertest.Bucket)
	d := given{delivered: 4}.open(t, &fakeConn{trace: new(trace)})
	revision := b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.LostWorker, Delivery: 3, Consumer: noon.UnixNano(), Place: d.place, Doubts: 2})
	s, _ := doubting(b, false)
	v, _ := s.handle(t.Context(), d)
	check.Equal(t, "reason", v.reason, messages.ReasonPoison)
	if _, now := b.Value(recordOf(d.msg).Key); now != revision {
		t.Error("the entry was written before the dead letter was stored")
	}
	check.Equal(t, "in doubt", d.inDoubt, true)
}
