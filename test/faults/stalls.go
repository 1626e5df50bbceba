package faults

import (
	"context"
	"sync"
	"time"
)

// stalls are the times in which this machine ran no process, so that a wait is nobody's fault.
type stalls struct {
	mu    sync.Mutex
	spans []span
}

type span struct{ from, to time.Time }

const (
	// stallTick is the interval between checks of the clock. If a check is late by stallLeast,
	// that is a stall.
	stallTick, stallLeast = 10 * time.Millisecond, 40 * time.Millisecond
)

// watch checks the clock until ctx ends.
func (s *stalls) watch(ctx context.Context) {
	tick := time.NewTicker(stallTick)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
			now := time.Now()
			if now.Sub(last) >= stallTick+stallLeast {
				s.mu.Lock()
				s.spans = append(s.spans, span{last, now})
				s.mu.Unlock()
			}
			last = now
		case <-ctx.Done():
			return
		}
	}
}

// within returns how long the machine stood still in a span of time.
func (s *stalls) within(from, to time.Time) (total time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, x := range s.spans {
		start, end := x.from, x.to
		if start.Before(from) {
			start = from
		}
		if end.After(to) {
			end = to
		}
		total += max(0, end.Sub(start))
	}
	return total
}
