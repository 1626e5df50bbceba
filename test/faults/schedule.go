package faults

import "time"

// moment is the time of one fault.
type moment struct {
	// at is the time since the publishing began.
	at time.Duration
	// which chooses one of the possible targets.
	which int
	// lasts is its duration.
	lasts time.Duration
}

// holds reports whether the fault is on at a time.
func (m moment) holds(at time.Duration) bool { return at >= m.at && at < m.at+m.lasts }

// length is how long the publishing takes.
func (p Plan) length() time.Duration {
	return time.Duration(p.Messages) * time.Second / time.Duration(p.Rate)
}

// section is a part of the publishing.
type section struct{ from, to time.Duration }

// near is the section with the faults that should affect nobody else.
func (p Plan) near() section {
	s := section{p.Quiet + p.Lead, p.length()}
	if p.Near > 0 {
		s.to = s.from + p.Near
	}
	return s
}

// far is the section with the faults that affect everybody.
func (p Plan) far() section { return section{p.Quiet + p.Lead + p.Near, p.length()} }

// spread spreads a kind's faults over a section, in order. Each lasts for least, and for up to
// more in addition.
func (p Plan) spread(k Kind, over section, least, more time.Duration) []moment {
	return p.spreadN(k, p.Times[k], over, least, more)
}

func (p Plan) spreadN(k Kind, n int, over section, least, more time.Duration) []moment {
	r := p.random(string(k))
	all := make([]moment, n)
	for i := range all {
		step := (over.to - over.from) / time.Duration(n+1)
		all[i] = moment{
			at:    over.from + time.Duration(i)*step + step/2 + time.Duration(r.Int64N(int64(step))),
			which: r.IntN(1 << 16),
			lasts: least + time.Duration(r.Int64N(int64(more))),
		}
	}
	return all
}

// The schedules of the kinds of faults.

// soon is for faults that are over at once, or that the plan ends within a second.
func soon(k Kind) func(Plan) []moment {
	return func(p Plan) []moment { return p.spread(k, p.far(), time.Millisecond, time.Second) }
}

// withAftermath is for faults that are over at once, but whose consequences are watched for a
// while.
func withAftermath(k Kind) func(Plan) []moment {
	return func(p Plan) []moment { return p.spread(k, p.far(), time.Second, time.Second) }
}

// longerThanAckWait is the least time for which a worker is stopped or cut off.
const longerThanAckWait = ackWait + 300*time.Millisecond

// forAckWait is for faults that last longer than a worker may hold a message.
func forAckWait(k Kind) func(Plan) []moment {
	return func(p Plan) []moment { return p.spread(k, p.far(), longerThanAckWait, time.Second/2) }
}

// awhile is for faults that affect only some: each lasts for a large part of the section.
func awhile(k Kind) func(Plan) []moment {
	return func(p Plan) []moment {
		near := p.near()
		step := (near.to - near.from) / time.Duration(p.Times[k]+1)
		return p.spread(k, near, step/2, step/4)
	}
}

// streamDeletes come in pairs, in the first third of the faults: for messages that are
// published after the last one, all promises hold, and most faults are still to come.
func streamDeletes(p Plan) []moment {
	far := p.far()
	far.to = far.from + (far.to-far.from)/3
	all := p.spreadN(StreamDelete, (p.Times[StreamDelete]+1)/2, far, time.Millisecond, time.Second/4)
	r := p.random("pairs of " + string(StreamDelete))
	pairs := make([]moment, 0, 2*len(all))
	for _, m := range all {
		second := m
		second.at += m.lasts + time.Duration(r.Int64N(int64(3*time.Second/4)))
		pairs = append(pairs, m, second)
	}
	return pairs[:p.Times[StreamDelete]]
}

// slows returns when the provider of app slow is slow: in the lead, and at its times.
func slows(p Plan) []moment {
	all := p.spread(SlowApp, p.near(), p.Latency, p.Latency)
	if p.Lead > 0 {
		all = append([]moment{{at: p.Quiet, lasts: p.Lead}}, all...)
	}
	return all
}

// longFaults last for a time that is a large part of the plan.
func (p Plan) longFaults(k Kind, lasts time.Duration) []moment {
	far := p.far()
	far.to = max(far.from+time.Second, far.to-lasts)
	return p.spread(k, far, lasts, time.Second)
}

// providerFaults go on for the whole of the section.
func providerFaults(p Plan) []moment {
	if p.ProviderFaults == 0 {
		return nil
	}
	far := p.far()
	return []moment{{at: far.from, lasts: far.to - far.from}}
}
