package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"golang.org/x/time/rate"

	"github.com/codeferry/codeferry/sender"
)

var throttled = &sender.Error{Class: sender.Throttled}

// from returns an expiry check for a code that expires at a time.
func from(expiry time.Time) func(time.Time) bool {
	return func(now time.Time) bool { return !now.Before(expiry) }
}

// waits waits for a turn for a code that expires in an hour.
func waits(t *testing.T, r *rateLimiter) time.Duration {
	t.Helper()
	began := time.Now()
	waited, err := r.wait(t.Context(), began, from(began.Add(time.Hour)))
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	check.Equal(t, "it says that it waited", waited, took > 0)
	return took
}

func TestRateLimiterWithoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(0)
		check.Equal(t, "free", r.free(), true)
		for range 1000 {
			check.Equal(t, "waited", waits(t, r), 0)
		}
	})
}

// TestRateLimiterKeepsItsRate: the turns of a tenth of a second may come at once.
func TestRateLimiterKeepsItsRate(t *testing.T) {
	for _, c := range []struct {
		perSecond float64
		burst     int
		between   time.Duration
	}{{0.1, 1, 10 * time.Second}, {1, 1, time.Second}, {19, 1, time.Second / 19}, {20, 2, 50 * time.Millisecond}, {100, 10, 10 * time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			r := newRateLimiter(c.perSecond)
			check.Equal(t, "free", r.free(), false)
			for range c.burst {
				check.Equal(t, "waited within the burst", waits(t, r), 0)
			}
			for range 3 {
				if got := waits(t, r); got < c.between-time.Microsecond || got > c.between+time.Microsecond {
					t.Errorf("a rateLimit of %v: waited %v, want %v", c.perSecond, got, c.between)
				}
			}
		})
	}
}

// TestRateLimiterDoesNotWaitInVain: a turn that would come too late is left to other
// messages.
func TestRateLimiterDoesNotWaitInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(1)
		waits(t, r)
		began := time.Now()
		for _, good := range []time.Duration{0, time.Millisecond, time.Second} {
			waited, err := r.wait(t.Context(), began, from(began.Add(good)))
			check.Equal(t, "waited", waited, false)
			if err == nil {
				t.Fatalf("got no error, although the turn comes in 1s and the code expires in %v", good)
			}
			check.Equal(t, "class", err.Class, sender.Throttled)
			check.Equal(t, "code", err.Code, "RateLimit")
			check.Equal(t, "detail", err.Detail, "the connector's rateLimit has no room for 1s, and the code expires earlier")
		}
		check.Equal(t, "it took", time.Since(began), 0)
		check.Equal(t, "the next one waits", waits(t, r), time.Second) // the turn was given back
	})
}

// TestRateLimiterAtTheEnd: a turn is given back if its message stops waiting.
func TestRateLimiterAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(1)
		waits(t, r)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		waited, err := r.wait(ctx, time.Now(), from(time.Now().Add(time.Hour)))
		check.Equal(t, "it says that it waited", waited, true)
		if err != nil {
			t.Errorf("got the error %v", err)
		}
		check.Equal(t, "the next one waits", waits(t, r), time.Second)
	})
}

// TestRateLimiterByAnotherClock: codes can expire by a clock other than the machine's.
func TestRateLimiterByAnotherClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(1)
		for i, want := range []bool{false, true} {
			now := time.Now().Add(time.Hour)
			waited, err := r.wait(t.Context(), now, from(now.Add(time.Minute)))
			if err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "turn "+string(rune('1'+i))+": waited", waited, want)
		}
	})
}

// TestRateLimiterLearns: it sets half of the rate at which the provider throttled, and
// then raises the rate again.
func TestRateLimiterLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(100)
		limit := func() float64 { return float64(r.limiter.Limit()) }
		for range 79 { // 80 a second
			r.answered(nil)
		}
		after(time.Second)
		r.answered(throttled)
		check.Equal(t, "after it throttled", limit(), 40)
		for range 10 {
			r.answered(throttled)
		}
		check.Equal(t, "after more at once", limit(), 40)
		after(rateStep - 1)
		r.answered(nil)
		check.Equal(t, "before a step has passed", limit(), 40)
		after(1)
		r.answered(nil)
		check.Equal(t, "after a step", limit(), 50)
		var climbed []float64
		for range 5 {
			after(rateStep)
			r.answered(nil)
			climbed = append(climbed, limit())
		}
		same(t, "after more steps", climbed, []float64{62.5, 78.125, 97.65625, 100, 100})
		check.Equal(t, "it is as configured again", r.lowered.Load(), false)
	})
}

// TestRateLimiterLearnsWithoutALimit: the limit ends once the rate is well above the one
// at which the provider throttled.
func TestRateLimiterLearnsWithoutALimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(0)
		for range 15 {
			r.answered(nil)
		}
		after(time.Second)
		r.answered(throttled) // at 16 a second
		check.Equal(t, "after it throttled", r.limiter.Limit(), rate.Limit(8))
		check.Equal(t, "free", r.free(), false)
		steps := 0
		for !r.free() && steps < 100 {
			after(rateStep)
			r.answered(&sender.Error{Class: sender.Unavailable}) // this is an answer too
			steps++
		}
		check.Equal(t, "steps until it is free again", steps, 10) // 8 * 1.25^10 is more than 4 * 16
		check.Equal(t, "waited then", waits(t, r), 0)
	})
}

// TestRateLimiterLeast: a provider that throttles everything is still asked once a
// second.
func TestRateLimiterLeast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRateLimiter(100)
		for range 10 {
			after(time.Second)
			r.answered(throttled)
		}
		check.Equal(t, "a second", r.limiter.Limit(), rate.Limit(rateLeast))
	})
}

// TestRateLimiterOnlyThrottlingSlows: other errors say nothing about the rate.
func TestRateLimiterOnlyThrottlingSlows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, class := range sender.Classes() {
			r := newRateLimiter(100)
			after(time.Second)
			r.answered(&sender.Error{Class: class})
			check.Equal(t, class.String()+": slower", r.lowered.Load(), class == sender.Throttled)
		}
	})
}
