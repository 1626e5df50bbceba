package worker

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
	"github.com/codeferry/codeferry/worker/internal/ledger/ledgertest"
)

// TestRelease: the ledger's entry survives one more delivery, although no slot has begun
// with the message.
func TestRelease(t *testing.T) {
	const off, on = false, true
	for name, c := range map[string]struct {
		claims    bool
		delivered uint64
		suspect   bool
		state     ledger.State // of the entry; empty if there is none
		delivery  uint64
		away      bool
		want      ledger.State // what is written; empty for nothing
	}{
		"off: first delivery":              {off, 1, false, "", 0, false, ledger.Released},
		"off: first delivery, no ledger":   {off, 1, false, "", 0, true, ledger.Released},
		"off: of an earlier consumer":      {off, 1, true, "", 0, false, ""},
		"off: no word":                     {off, 2, false, "", 0, false, ""},
		"off: retried":                     {off, 2, false, ledger.Retrying, 1, false, ledger.Retrying},
		"off: deferred":                    {off, 2, false, ledger.Released, 1, false, ledger.Released},
		"off: in doubt":                    {off, 2, false, ledger.InDoubt, 1, false, ledger.InDoubt},
		"off: panicked":                    {off, 2, false, ledger.Panicked, 1, false, ledger.Panicked},
		"off: a worker was lost":           {off, 2, false, ledger.LostWorker, 1, false, ""},
		"off: sent":                        {off, 2, false, ledger.Sent, 1, false, ""},
		"off: retried, and then no word":   {off, 3, false, ledger.Retrying, 1, false, ""},
		"off: the ledger is away":          {off, 2, false, ledger.Retrying, 1, true, ""},
		"on: first delivery":               {on, 1, false, "", 0, false, ledger.Released},
		"on: of an earlier consumer":       {on, 1, true, "", 0, false, ""},
		"on: no word":                      {on, 2, false, "", 0, false, ""},
		"on: a server that forgot":         {on, 1, false, ledger.Claimed, 1, false, ""},
		"on: claimed":                      {on, 2, false, ledger.Claimed, 1, false, ""},
		"on: retried":                      {on, 2, false, ledger.Retrying, 1, false, ledger.Retrying},
		"on: retried, a delivery got lost": {on, 5, false, ledger.Retrying, 1, false, ledger.Retrying},
		"on: in doubt":                     {on, 2, false, ledger.InDoubt, 1, false, ledger.InDoubt},
		"on: the ledger is away":           {on, 1, false, "", 0, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(ledgertest.Bucket)
			d := &delivery{msg: given{delivered: c.delivered}.message(t, nowhere())}
			d.place = placeOf(d.msg)
			kept := ledger.Entry{
				State: c.state, Delivery: c.delivery, Place: d.place, Doubts: 1, Suspects: []string{"b"},
				DoubtFor: 3 * time.Second, DoubtGrace: time.Minute, Consumer: noon.UnixNano(), History: attempts(2, sender.Unavailable), Trace: "the span before",
			}
			if c.state != "" {
				b.Set(recordOf(d.msg).Key, kept)
			}
			b.Before = func(ledgertest.Step, string) error {
				if c.away {
					return errors.New("away")
				}
				return nil
			}
			v := releaser{ledger: newLedger(b, "me"), claims: c.claims, suspects: someSuspects{are: func(ledger.Place) bool { return c.suspect }}}.verdict(t.Context(), d)
			check.Equal(t, "action", v.action, actRelease)
			check.Equal(t, "why", v.why, ledger.WhyNotBegun)
			check.Equal(t, "state to be written", v.state, c.want)
			if c.want == "" || c.state == "" {
				return
			}
			e := d.entry(v.state)
			check.Equal(t, "lost workers that are written", e.Doubts, 1)
			check.Equal(t, "attempts that are written", len(e.History), 2)
			same(t, "suspects that are written", e.Suspects, []string{"b"})
			check.Equal(t, "how long it is in doubt, that is written", e.DoubtFor, 3*time.Second)
			check.Equal(t, "how long is asked, that is written", e.DoubtGrace, time.Minute)
			check.Equal(t, "the span that the next delivery links to", e.Trace, "the span before")
		})
	}
}

// TestReleaseOfAnotherPlace: the entry of an equal publish stays for the next delivery.
func TestReleaseOfAnotherPlace(t *testing.T) {
	b := new(ledgertest.Bucket)
	d := &delivery{msg: given{msgID: "repeated", delivered: 2}.message(t, nowhere())}
	d.place = placeOf(d.msg)
	b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Retrying, Delivery: 1, Consumer: noon.UnixNano(), Place: ledger.Place{Sequence: 5}})
	v := releaser{ledger: newLedger(b, "me"), claims: true, suspects: someSuspects{}}.verdict(t.Context(), d)
	check.Equal(t, "state to be written", v.state, ledger.State(""))
}

// TestReleaseOfAnEarlierConsumer: an entry of an earlier consumer stays for the next
// delivery, although the numbers fit.
func TestReleaseOfAnEarlierConsumer(t *testing.T) {
	for _, claims := range []bool{false, true} {
		b := new(ledgertest.Bucket)
		d := &delivery{msg: given{delivered: 2}.message(t, nowhere())}
		d.place = placeOf(d.msg)
		b.Set(recordOf(d.msg).Key, ledger.Entry{State: ledger.Retrying, Delivery: 1, Consumer: noon.Add(-time.Hour).UnixNano(), Place: d.place})
		s := someSuspects{are: func(ledger.Place) bool { return true }}
		v := releaser{ledger: newLedger(b, "me"), claims: claims, suspects: s}.verdict(t.Context(), d)
		want := ledger.State("")
		if claims { // then the count is not relied on
			want = ledger.Retrying
		}
		check.Equal(t, fmt.Sprintf("claims %v: state to be written", claims), v.state, want)
	}
}

// TestReleaseKeepsADoubt: release, settle and the next delivery together.
func TestReleaseKeepsADoubt(t *testing.T) {
	for _, before := range []ledger.State{ledger.Retrying, ledger.InDoubt, ledger.Panicked} {
		synctest.Test(t, func(t *testing.T) {
			r := newSettling(t)
			m := given{delivered: 2, storedAt: time.Now(), arrived: time.Now()}
			d := &delivery{msg: m.message(t, r.wire)}
			d.opened = minimal(d.msg, "sms")
			r.bucket.Set(recordOf(d.msg).Key, ledger.Entry{State: before, Delivery: 1, Consumer: noon.UnixNano(), Place: d.place, Doubts: 1, Suspects: []string{"b"}})
			r.settle(t.Context(), d, releaser{ledger: newLedger(r.bucket, "me"), suspects: someSuspects{}}.verdict(t.Context(), d), func() {})
			check.Equal(t, "steps", r.String(), "write "+string(before)+", nak 0s")

			m.delivered = 3
			next := m.open(t, r.wire)
			s, _ := doubting(r.bucket, false)
			s.handle(t.Context(), next)
			check.Equal(t, string(before)+": in doubt at the next delivery", next.inDoubt, before != ledger.Retrying)
			check.Equal(t, string(before)+": lost workers at the next delivery", next.doubts, 1)
			same(t, string(before)+": suspects at the next delivery", next.suspects, []string{"b"})
		})
	}
}
