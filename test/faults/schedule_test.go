package faults

import (
	"slices"
	"testing"
	"time"
)

// plans are the plans whose decisions the tests check.
func plans() map[string]Plan {
	all := make(map[string]Plan)
	for seed := range uint64(20) {
		for _, b := range []Broker{R1, Embedded, R3} {
			for name, plan := range map[string]func(Broker, uint64) Plan{
				"short": Short, "long": Long, "short neighbors": ShortNeighbors, "long neighbors": LongNeighbors,
			} {
				p := plan(b, seed)
				all[name+" "+p.String()] = p
			}
		}
	}
	return all
}

func TestTheSameSeedDecidesTheSame(t *testing.T) {
	for name, p := range plans() {
		q := p
		for _, f := range faults {
			if !slices.Equal(f.moments(p), f.moments(q)) {
				t.Errorf("%s: two schedules of %s", name, f.kind)
			}
		}
		if !slices.Equal(p.skews(), q.skews()) {
			t.Errorf("%s: two skews", name)
		}
	}
}

// TestSchedule: each kind of fault comes as often as the plan says, in order, in its part
// of the publishing, and for long enough.
func TestSchedule(t *testing.T) {
	least := map[Kind]time.Duration{WorkerStop: ackWait, WorkerCut: ackWait, NodeStop: 31 * time.Second}
	for name, p := range plans() {
		for _, f := range faults {
			moments, n, over := f.moments(p), p.Times[f.kind], p.far()
			if f.troubles != nil {
				over = p.near()
			}
			if f.kind == SlowApp {
				least[SlowApp] = p.Latency
				if p.Lead > 0 {
					n, over.from = n+1, p.Quiet
				}
			}
			if f.kind == StreamDelete { // for more than half of the section, all promises hold
				over.to = (over.from + over.to) / 2
			}
			if f.kind == ProviderFault && p.ProviderFaults > 0 {
				n = 1
			}
			if len(moments) != n {
				t.Errorf("%s: %d %s, want %d", name, len(moments), f.kind, n)
			}
			if !slices.IsSortedFunc(moments, func(a, b moment) int { return int(a.at - b.at) }) {
				t.Errorf("%s: %s are not in order", name, f.kind)
			}
			for _, m := range moments {
				if m.at < over.from || m.at > over.to || m.lasts < least[f.kind] {
					t.Errorf("%s: %s at %v for %v, want from %v to %v for at least %v", name, f.kind, m.at, m.lasts, over.from, over.to, least[f.kind])
				}
			}
		}
	}
}

func TestSkews(t *testing.T) {
	ahead, behind := 0, 0
	for name, p := range plans() {
		skews := p.skews()
		if len(skews) != p.Workers || skews[0] != 0 {
			t.Errorf("%s: skews %v for %d workers; the first has the right time", name, skews, p.Workers)
		}
		if p.Workers > 1 && skews[1].Abs() != p.Skew || p.Workers > 2 && skews[2] != -skews[1] {
			t.Errorf("%s: skews %v, want %v either way", name, skews, p.Skew)
		}
		if p.Workers == 2 && skews[1] > 0 {
			ahead++
		} else if p.Workers == 2 {
			behind++
		}
	}
	if ahead == 0 || behind == 0 {
		t.Errorf("of two workers one is ahead %d times, and behind %d times", ahead, behind)
	}
}
