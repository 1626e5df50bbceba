package worker

import (
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/codeferry/codeferry/sender"
)

// pace is how fast a connector may be called: its rateLimit, and less for a
// while after the provider has throttled it.
type pace struct {
	base    rate.Limit
	limiter *rate.Limiter
	lowered atomic.Bool

	// calls counts requests, for what was going through when it was too much.
	calls atomic.Int64

	mu        sync.Mutex
	seenAt    time.Time
	seenCalls int64
	changedAt time.Time
	// ceiling is what was going through when it was too much; well above it there
	// is nothing left to climb back to where there is no rateLimit.
	ceiling rate.Limit
}

const (
	// paceStep is how long a pace is kept before it changes again.
	paceStep = time.Second
	// paceDown and paceUp are what it is changed by.
	paceDown = 0.5
	paceUp   = 1.25
	// paceFree is how far above what was too much a pace has to be again for the
	// limit to be lifted.
	paceFree = 4
	// paceLeast is the slowest pace.
	paceLeast = 1
)

func newPace(perSecond float64) *pace {
	base, burst := rate.Inf, 1
	if perSecond > 0 {
		base, burst = rate.Limit(perSecond), max(1, int(perSecond/10))
	}
	return &pace{base: base, limiter: rate.NewLimiter(base, burst), seenAt: time.Now()}
}

// free tells that there is no limit to wait for.
func (p *pace) free() bool { return p.base == rate.Inf && !p.lowered.Load() }

// answered learns from a provider's answer.
func (p *pace) answered(e *sender.Error) {
	p.calls.Add(1)
	throttled := e != nil && e.Class == sender.Throttled
	if !throttled && !p.lowered.Load() {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.changedAt) < paceStep {
		return
	}
	calls := p.calls.Load()
	went := rate.Limit(float64(calls-p.seenCalls) / max(now.Sub(p.seenAt).Seconds(), 0.1))
	p.seenAt, p.seenCalls = now, calls
	if throttled {
		p.changedAt = now
		p.ceiling = min(went, p.limiter.Limit())
		p.lowered.Store(true)
		p.limiter.SetLimit(max(paceLeast, p.ceiling*paceDown))
		return
	}
	p.changedAt = now
	next := p.limiter.Limit() * paceUp
	if next >= p.base || p.base == rate.Inf && next >= paceFree*p.ceiling {
		next = p.base
		p.lowered.Store(false)
	}
	p.limiter.SetLimit(next)
}
