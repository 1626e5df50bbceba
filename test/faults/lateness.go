package faults

import (
	"fmt"
	"slices"
	"time"
)

// This file judges how long codes take.
//
// A good code is one that no fault of the plan should affect: its recipient, domain, template,
// account and app are fine. The report shows the times of good codes during each fault beside
// their times without any fault. That ratio depends on the machine, so no plan fails because
// of it.
//
// A plan fails if a good code certainly waited because of somebody else's trouble. Such a code
// was published during the trouble, and no fault that affects all went on from some time before
// until it was sent. It waited at least as long as the product's shortest pause, a second and a
// bit, while its channel worked: some codes that were published well after it, with other
// connectors, were sent before it and did not wait. Or it waited as long as one request of app
// slow takes, or as long as a circuit breaker stays open. Times in which the machine stood
// still do not count.
const (
	// leastPause is more than the product's shortest pause in a trouble: the second that a
	// message waits if it finds no slot.
	leastPause = 1500 * time.Millisecond
	// overtakers is the number of codes that have to overtake a code.
	overtakers = 3
	// warmUp says which part of the quiet time (one in warmUp) does not count, because
	// workers and servers still make connections.
	warmUp = 5
	// recovery is the time after a fault that affects all in which no wait is judged.
	recovery = 5 * time.Second
)

// wait is the wait of a good code.
type wait struct {
	*record
	// until is when it was sent or expired; took is the time from when the stream had it
	// until then.
	until time.Time
	took  time.Duration
}

// good reports whether no fault of the plan should affect a message.
func (o *oracle) good(m *record) bool {
	for _, f := range faults {
		if f.troubles != nil && f.troubles(m.published) && len(o.diary.of(f.kind)) > 0 {
			return false
		}
	}
	return true
}

// waits returns the known waits of good codes, in the order of their publishes. An expired
// code has waited, unless a worker's clock is ahead: by that clock it can expire without a
// wait.
func (o *oracle) waits() (all []wait) {
	ahead := slices.Max(o.skews) > 0
	for _, m := range o.records {
		w := wait{record: m}
		switch {
		case m.err != nil || !o.good(m):
			continue
		case len(m.accepted) > 0:
			w.until = m.accepted[0]
		case m.dead && !m.ExpiresAt.IsZero() && !ahead:
			w.until = m.ExpiresAt
		default:
			continue
		}
		w.took = max(0, w.until.Sub(m.ended))
		all = append(all, w)
	}
	return all
}

// judgeWaits reports how long the good codes took during each kind of fault, and which of them
// waited because of it.
func (o *oracle) judgeWaits(rep *Report) {
	all := o.waits()
	warm, end := o.began.Add(o.plan.Quiet/warmUp), o.began.Add(o.plan.Quiet)
	quiet := newWait("", during(all, &event{from: warm, to: end}))
	if o.plan.Quiet > 0 {
		rep.Waits = append(rep.Waits, quiet)
	}
	for _, f := range faults {
		events := o.diary.of(f.kind)
		if len(events) == 0 {
			continue
		}
		var meanwhile []wait
		for _, e := range events {
			these := during(all, &e)
			meanwhile = append(meanwhile, these...)
			for _, w := range these {
				if why := o.waitedFor(f, w, all); why != "" {
					rep.Kept = append(rep.Kept, fmt.Sprintf("%v %s: %s", w.took.Round(time.Millisecond), why, o.tell(rep, w.record, w.until)))
				}
			}
		}
		w := newWait(f.kind, meanwhile)
		w.Quiet = quiet.P99
		rep.Waits = append(rep.Waits, w)
	}
}

// during returns the waits of codes that were published during an event.
func during(all []wait, e *event) (these []wait) {
	for _, w := range all {
		if !w.ended.Before(e.from) && (e.to.IsZero() || w.ended.Before(e.to)) {
			these = append(these, w)
		}
	}
	return these
}

// waitedFor says how a good code certainly waited because of a fault; "" if it did not.
func (o *oracle) waitedFor(f fault, w wait, all []wait) string {
	took := w.took - o.stalls.within(w.ended, w.until)
	switch {
	case o.everybodys(f.kind, w.ended.Add(-recovery), w.until):
		return ""
	case f.troubles == nil:
		if f.recovers > 0 && took >= f.recovers {
			return fmt.Sprintf("during %s, after which codes have to flow within %v", f.kind, f.recovers)
		}
		return ""
	case took >= o.plan.Latency:
		return "during " + string(f.kind)
	case took >= leastPause && o.overtaken(w, all):
		return "during " + string(f.kind) + ", while its channel moved"
	}
	return ""
}

// everybodys reports whether a fault that affects all, of any other kind, went on in a span of
// time.
func (o *oracle) everybodys(beside Kind, from, to time.Time) bool {
	for _, f := range faults {
		if f.troubles == nil && f.kind != beside && slices.ContainsFunc(o.diary.of(f.kind), func(e event) bool {
			return e.from.Before(to) && (e.to.IsZero() || e.to.After(from))
		}) {
			return true
		}
	}
	return false
}

// overtaken reports whether codes with other connectors of the same channel overtook a code
// without a wait.
func (o *oracle) overtaken(w wait, all []wait) bool {
	n := 0
	for _, other := range all {
		if other.subject.Channel == w.subject.Channel && other.subject.App != w.subject.App &&
			other.ended.After(w.ended.Add(leastPause/4)) && other.until.Before(w.until) && other.took < leastPause/4 {
			n++
		}
	}
	return n >= overtakers
}
