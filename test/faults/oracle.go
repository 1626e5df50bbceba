package faults

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
)

// clockSlack is the longest time between a worker's last check of the clock and the provider's
// clock for the same request, on a busy machine. Times in which the machine stood still come in
// addition.
const clockSlack = time.Second

// record is a message, and everything that is known about it.
type record struct {
	*published
	// accepted holds the times at which the provider accepted it, attempts its requests.
	accepted []time.Time
	attempts []attempt
	// dead says that it has a dead letter, doubted that it was reported as in doubt. resent
	// says that an outcome says that it was sent again after a doubt.
	dead, doubted, resent bool
	// namesakes are the other messages with the same id.
	namesakes []*record
}

// oracle compares what the provider accepted with what was published.
type oracle struct {
	plan  Plan
	began time.Time
	skews []time.Duration
	diary *diary
	// stalls are the times in which the machine stood still.
	stalls *stalls
	// stream is the incarnation that existed at the end, and first its first sequence if a
	// stream was deleted before; otherwise it is 0.
	stream    int
	first     uint64
	records   []*record
	bySubject map[string][]*record
	// strange are accepted messages that nobody published.
	strange []string
	// givenUp are the messages that the stream still has, and no longer hands out.
	givenUp map[uint64]bool
	// unsettled says that some messages were not settled at the end.
	unsettled bool
	// losses are what the workers' logs say about lost outcomes.
	losses *losses
}

// report lets the workers finish, and judges the plan.
func (r *run) report(ctx context.Context) (*Report, error) {
	if err := r.madeAgain(ctx); err != nil {
		return nil, err
	}
	if r.plan.Broker != Embedded { // the embedded server ends with the worker
		r.stopWorkers()
	}
	s, err := r.stories(ctx)
	if err != nil {
		return nil, err
	}
	givenUp, err := r.givenUp(ctx)
	if err != nil {
		return nil, err
	}
	first, err := r.firstSequence(ctx)
	if err != nil {
		return nil, err
	}
	r.stopWorkers()
	ended := time.Now()
	o := &oracle{
		plan: r.plan, began: r.began, skews: r.plan.skews(), diary: &r.diary, stalls: &r.stalls,
		stream: r.streams.last(), first: first, bySubject: make(map[string][]*record),
		givenUp: givenUp, unsettled: r.unsettled != nil, losses: &r.losses,
	}
	o.gather(r.published, r.provider.inbox(), r.provider.made(), s)
	report := o.judge()
	report.Injected, report.Unsettled = r.provider.faults(), r.unsettled
	report.Published, report.Settled, report.Ended = r.calmed.Sub(r.began), r.settled.Sub(r.began), ended.Sub(r.began)
	return report, nil
}

// gather collects everything that belongs to each message.
func (o *oracle) gather(all []*published, inbox []fakealiyun.Message, attempts []attempt, s stories) {
	byTrace, byID := make(map[trace]*record), make(map[string][]*record)
	for _, m := range all {
		rec := &record{published: m}
		o.records = append(o.records, rec)
		byTrace[m.trace()] = rec
		byID[m.ID] = append(byID[m.ID], rec)
		o.bySubject[m.subject.String()] = append(o.bySubject[m.subject.String()], rec)
	}
	for _, m := range inbox {
		t := traceOf(m.To, m.TemplateParam, m.HTMLBody+m.TextBody)
		if rec := byTrace[t]; rec != nil {
			rec.accepted = append(rec.accepted, m.At)
		} else {
			o.strange = append(o.strange, fmt.Sprintf("code %q to %s, accepted %s", t.code, t.to, since(o.began, m.At)))
		}
	}
	for _, a := range attempts {
		if rec := byTrace[a.trace]; rec != nil {
			rec.attempts = append(rec.attempts, a)
		}
	}
	// A dead letter has the time at which the message was made, which is different for each.
	for _, d := range s.dead {
		for _, rec := range o.bySubject[d.Subject] {
			rec.dead = rec.dead || d.CreatedAt != nil && d.CreatedAt.Equal(rec.CreatedAt)
		}
	}
	o.outcomes(s.doubts, func(rec *record) { rec.doubted = true })
	o.outcomes(s.resent, func(rec *record) { rec.resent = true })
	for _, rec := range o.records {
		slices.SortFunc(rec.accepted, time.Time.Compare)
		rec.namesakes = byID[rec.ID]
	}
}

// outcomes calls f with the message of each outcome.
func (o *oracle) outcomes(all []messages.Outcome, f func(*record)) {
	for _, d := range all {
		subject := messages.Subject{App: d.App, Channel: d.Channel, Type: d.Type, Key: d.Key}
		for _, rec := range o.bySubject[subject.String()] {
			if d.ID == rec.ID && !d.StoredAt.Before(rec.begun.Add(-clockSlack)) && !d.StoredAt.After(rec.ended.Add(clockSlack)) {
				f(rec)
			}
		}
	}
}

// judge says which promises were kept.
func (o *oracle) judge() *Report {
	rep := &Report{Plan: o.plan, Faults: o.diary.count(), Strange: o.strange}
	for _, m := range o.records {
		o.judgeFate(rep, m)
		o.judgeCopies(rep, m)
		o.judgeAttempts(rep, m)
	}
	o.judgeWaits(rep)
	return rep
}

// judgeFate judges the end of a message.
func (o *oracle) judgeFate(rep *Report, m *record) {
	if m.err != nil {
		rep.Refused = append(rep.Refused, fmt.Errorf("%s: %w", m.ID, m.err))
		return
	}
	rep.Acked++
	if m.borrowed {
		rep.Borrowed++
	}
	switch {
	case len(m.accepted) > 0:
		rep.Delivered++
	case m.dead:
		rep.Dead++
	case slices.ContainsFunc(o.bySubject[m.subject.String()], func(other *record) bool { return other.newer(m) }):
		rep.Superseded++
	case m.place.incarnation != o.stream, m.place.sequence < o.first:
		rep.Gone++
	case m.place.sure && o.givenUp[m.place.sequence]:
		rep.GivenUp++
	case o.unsettled:
		rep.Stuck = append(rep.Stuck, o.tell(rep, m, m.lastSeen().Add(2*ackWait)))
	default:
		rep.Lost = append(rep.Lost, o.tell(rep, m, m.lastSeen().Add(2*ackWait)))
	}
}

// judgeCopies judges whether a message was sent more than once, acknowledged or not.
func (o *oracle) judgeCopies(rep *Report, m *record) {
	if len(m.accepted) < 2 {
		return
	}
	text := o.tell(rep, m, m.accepted[len(m.accepted)-1])
	if m.subject.Channel == messages.SMS {
		rep.TwiceSMS = append(rep.TwiceSMS, text)
		return
	}
	rep.TwiceMail = append(rep.TwiceMail, text)
	// If NATS is away for too long, the doubt's own outcome is lost. Then the log says so, and
	// the outcome of the second send still tells it.
	if !m.doubted && !(m.resent && o.losses.said(m.ID)) {
		rep.Unreported = append(rep.Unreported, text)
	}
}

// judgeAttempts judges whether a message was sent or tried when it must not be.
func (o *oracle) judgeAttempts(rep *Report, m *record) {
	late, skewed := false, false
	for _, a := range m.attempts {
		slack := o.slack(m.ExpiresAt, a.at)
		if after := a.at.Sub(m.ExpiresAt); !m.ExpiresAt.IsZero() && after >= slack {
			// A clock that is behind excuses the time by which it is behind. A clock that is ahead
			// excuses nothing: by it, the code expired even earlier.
			if after >= slack+max(0, -o.skews[a.worker]) {
				late = true
			} else {
				skewed = true
			}
		}
	}
	switch {
	case late:
		rep.Late = append(rep.Late, fmt.Sprintf("expired %s: %s", since(o.began, m.ExpiresAt), o.tell(rep, m, m.lastSeen())))
	case skewed:
		rep.Skewed++
	}
	for _, other := range o.bySubject[m.subject.String()] {
		if other.newer(m) && len(other.accepted) > 0 && slices.ContainsFunc(m.attempts, func(a attempt) bool {
			newer := other.accepted[0]
			return newer.Add(o.slack(newer, a.at)).Before(a.at)
		}) {
			rep.AfterNewer = append(rep.AfterNewer, fmt.Sprintf("%s; the newer code %s was accepted %s",
				o.tell(rep, m, m.lastSeen()), other.trace().code, since(o.began, other.accepted[0])))
			break
		}
	}
}

// slack is by how much a request may seem to come after something, because a worker has looked
// at the clock before, and the provider reads the request later.
func (o *oracle) slack(something, request time.Time) time.Duration {
	return clockSlack + o.stalls.within(something, request)
}

// newer reports whether m is a newer code than other for the same subject.
func (m *record) newer(other *record) bool {
	if m == other || m.err != nil || other.err != nil {
		return false
	}
	if !m.place.sure || !other.place.sure || m.place.incarnation != other.place.incarnation {
		return m.begun.After(other.ended)
	}
	return m.place.sequence > other.place.sequence
}

// lastSeen is the time of the message's last request, or else the time at which it was stored.
func (m *record) lastSeen() time.Time {
	if n := len(m.attempts); n > 0 {
		return m.attempts[n-1].at
	}
	return m.ended
}

// tell describes a message, and the faults until a time.
func (o *oracle) tell(rep *Report, m *record, until time.Time) string {
	rep.Broken = append(rep.Broken, m.ID)
	var b strings.Builder
	fmt.Fprintf(&b, "%s (code %s on %s", m.ID, m.trace().code, m.subject)
	for _, other := range m.namesakes {
		if other != m {
			fmt.Fprintf(&b, ", the id is also that of code %s", other.trace().code)
		}
	}
	fmt.Fprintf(&b, "), published %s, ", since(o.began, m.begun))
	switch {
	case m.err != nil:
		b.WriteString("not acknowledged")
	case m.place.sure:
		fmt.Fprintf(&b, "message %d of stream %d", m.place.sequence, m.place.incarnation)
	default:
		b.WriteString("stored while the stream was deleted")
	}
	fmt.Fprintf(&b, "; accepted %d times", len(m.accepted))
	for _, at := range m.accepted {
		fmt.Fprintf(&b, " %s", since(o.began, at))
	}
	b.WriteString("; requests:")
	for _, a := range m.attempts {
		fmt.Fprintf(&b, " %s by worker %d", since(o.began, a.at), a.worker)
		if a.fault != "" {
			fmt.Fprintf(&b, " (%s)", a.fault)
		}
	}
	if len(m.attempts) == 0 {
		b.WriteString(" none")
	}
	fmt.Fprintf(&b, "; meanwhile: %s", o.diary.during(o.began, m.begun, until))
	return b.String()
}
