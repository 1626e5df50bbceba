package worker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"github.com/codeferry/codeferry/sender"
)

// rateLimiter limits how fast a connector is called: to its rateLimit, and to less for a
// while after the provider has throttled it.
type rateLimiter struct {
	base    rate.Limit
	limiter *rate.Limiter
	lowered atomic.Bool

	// calls counts requests. It gives the rate at which the provider throttled.
	calls atomic.Int64

	mu        sync.Mutex
	seenAt    time.Time
	seenCalls int64
	changedAt time.Time
	// ceiling is the rate at which the provider throttled. Without a rateLimit, the limit
	// ends once the rate is rateFree times as high.
	ceiling rate.Limit
}

const (
	// rateStep is the shortest time between two changes of the rate.
	rateStep = time.Second
	// rateDown and rateUp are the factors of a change.
	rateDown = 0.5
	rateUp   = 1.25
	// rateFree is how many times the ceiling the rate has to reach before the limit ends.
	rateFree = 4
	// rateLeast is the lowest rate, in requests a second.
	rateLeast = 1
)

func newRateLimiter(perSecond float64) *rateLimiter {
	base, burst := rate.Inf, 1
	if perSecond > 0 {
		base, burst = rate.Limit(perSecond), max(1, int(perSecond/10))
	}
	return &rateLimiter{base: base, limiter: rate.NewLimiter(base, burst), seenAt: time.Now()}
}

// free reports whether there is no limit at the moment.
func (r *rateLimiter) free() bool { return r.base == rate.Inf && !r.lowered.Load() }

// wait waits for the next turn, and reports whether it had to wait. ctx ends the wait. If
// the code would expire before its turn, it does not wait and returns an error.
func (r *rateLimiter) wait(ctx context.Context, at time.Time, expired func(time.Time) bool) (waited bool, err *sender.Error) {
	if r.free() {
		return false, nil
	}
	turn := r.limiter.ReserveN(at, 1)
	wait := turn.DelayFrom(at)
	if expired(at.Add(wait)) {
		turn.CancelAt(at)
		return false, &sender.Error{
			Class: sender.Throttled, Code: "RateLimit",
			Detail: fmt.Sprintf("the connector's rateLimit has no room for %s, and the code expires earlier", wait.Round(time.Millisecond)),
		}
	}
	if wait <= 0 {
		return false, nil
	}
	sleep(ctx, wait)
	if ctx.Err() != nil {
		turn.Cancel()
	}
	return true, nil
}

// answered adapts the rate to a provider's answer; nil is success. An answer about less
// than the connector counts as a request, but does not change the rate.
func (r *rateLimiter) answered(e *sender.Error) {
	r.calls.Add(1)
	throttled := e != nil && e.Class == sender.Throttled
	if !throttled && !r.lowered.Load() || e != nil && !ofConnectors(e) {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.changedAt) < rateStep {
		return
	}
	calls := r.calls.Load()
	went := rate.Limit(float64(calls-r.seenCalls) / max(now.Sub(r.seenAt).Seconds(), 0.1))
	r.seenAt, r.seenCalls, r.changedAt = now, calls, now
	if throttled {
		r.ceiling = min(went, r.limiter.Limit())
		r.lowered.Store(true)
		r.limiter.SetLimit(max(rateLeast, r.ceiling*rateDown))
		return
	}
	next := r.limiter.Limit() * rateUp
	if next >= r.base || r.base == rate.Inf && next >= rateFree*r.ceiling {
		next = r.base
		r.lowered.Store(false)
	}
	r.limiter.SetLimit(next)
}
