package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// guarding is a breaker that pauses 20 s for the account and 5 s for the health, and the
// changes that it reports.
func guarding() (*breaker, *trace) {
	tr := new(trace)
	return newBreaker(breakerOptions{
		pauses:  config.Worker{AccountPause: 20 * time.Second, HealthPause: 5 * time.Second},
		limiter: newRateLimiter(0), log: zerolog.Nop(), changed: func(open bool) { tr.add("open %v", open) },
		templates: func(notClosed int) { tr.add("templates %d", notClosed) },
	}), tr
}

// lets reports whether a request for a fresh message may be made.
func (b *breaker) lets() bool { _, ok := b.may(request{}); return ok }

// opensIn returns after how long a request may be made.
func (b *breaker) opensIn() time.Duration { in, _ := b.may(request{}); return in }

// requests makes n requests that end with that error; nil is success.
func requests(t *testing.T, b *breaker, n int, e *sender.Error) {
	t.Helper()
	for range n {
		done, ok := b.admit(t.Context(), request{})
		if !ok {
			t.Fatal("the request was not admitted")
		}
		done(e)
	}
}

func TestBreakerByClass(t *testing.T) {
	for _, c := range []struct {
		class sender.Class
		// first: one such error opens the breaker. half: half of twenty requests open it.
		first, half bool
		pause       time.Duration
	}{
		{sender.Unknown, false, true, 5 * time.Second},
		{sender.Permanent, false, false, 0},
		{sender.RecipientLimited, false, false, 0},
		{sender.Throttled, false, true, 5 * time.Second},
		{sender.Unavailable, false, true, 5 * time.Second},
		{sender.Misconfigured, true, true, 20 * time.Second},
		{sender.AccountDown, true, true, 20 * time.Second},
	} {
		t.Run(c.class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, tr := guarding()
				e := &sender.Error{Class: c.class}
				requests(t, b, 1, e)
				check.Equal(t, "lets requests pass after the first error", b.lets(), !c.first)
				check.Equal(t, "closed after the first error", b.closed(), !c.first)
				if !c.first {
					requests(t, b, 9, nil)
					requests(t, b, 9, e)
					check.Equal(t, "lets requests pass after 10 of 19 failed", b.lets(), true)
					requests(t, b, 1, nil) // the window's twentieth
					if b.lets() {          // the rate is checked only after a failure
						requests(t, b, 1, e)
					}
					check.Equal(t, "lets requests pass after more than half of twenty failed", b.lets(), !c.half)
				}
				check.Equal(t, "opens in", b.opensIn(), c.pause)
				if c.pause == 0 {
					check.Equal(t, "changes", tr.String(), "")
					return
				}
				check.Equal(t, "changes", tr.empty(), "open true")
				if _, ok := b.admit(t.Context(), request{}); ok {
					t.Error("a request was admitted while the breaker is open")
				}
				check.Equal(t, "tries", b.warmup.trying, 0)
				after(c.pause - time.Second)
				check.Equal(t, "opens in, a second before", b.opensIn(), time.Second)
				after(time.Second + 1)
				check.Equal(t, "lets one try after the pause", b.lets(), true)
				check.Equal(t, "closed after the pause", b.closed(), false)
				check.Equal(t, "opens in, after the pause", b.opensIn(), 0)
				done, ok := b.admit(t.Context(), request{})
				check.Equal(t, "one is admitted", ok, true)
				if _, second := b.admit(t.Context(), request{}); second {
					t.Error("a second request was admitted while the first one tries")
				}
				done(nil)
				check.Equal(t, "closed after the try", b.closed(), true)
				contains(t, "changes", tr.String(), "open false")
			})
		})
	}
}

// TestBreakerTryFails: if the probe fails, the breaker opens again.
func TestBreakerTryFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		requests(t, b, 1, &sender.Error{Class: sender.AccountDown})
		after(20*time.Second + 1)
		requests(t, b, 1, &sender.Error{Class: sender.AccountDown})
		check.Equal(t, "lets requests pass", b.lets(), false)
		check.Equal(t, "opens in", b.opensIn(), 20*time.Second)
	})
}

// TestBreakerHealthIsARate: a few failures do not open the breaker, nor do failures of
// long ago.
func TestBreakerHealthIsARate(t *testing.T) {
	for name, c := range map[string]struct {
		good, bad int
		pause     time.Duration // between the bad ones and the good ones
		open      bool
	}{
		"nineteen of nineteen":            {bad: healthLeast - 1},
		"twenty of twenty":                {bad: healthLeast, open: true},
		"nine of twenty":                  {good: 11, bad: 9},
		"ten of twenty":                   {good: 10, bad: 10, open: true},
		"ten of twenty, the bad long ago": {good: 10, bad: 10, pause: healthWindow + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := guarding()
				e := &sender.Error{Class: sender.Unavailable}
				// The last one fails, since the rate is checked only after a failure.
				requests(t, b, c.bad-1, e)
				after(c.pause)
				requests(t, b, c.good, nil)
				requests(t, b, 1, e)
				check.Equal(t, "open", !b.lets(), c.open)
			})
		})
	}
}

// TestBreakerOfARequestNotMade: such a request says nothing about the connector.
func TestBreakerOfARequestNotMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, tr := guarding()
		requests(t, b, 100, errNotMade)
		check.Equal(t, "lets requests pass", b.lets(), true)
		check.Equal(t, "changes", tr.String(), "")
		check.Equal(t, "known to work", b.warmup.passed.Load(), false)
		check.Equal(t, "tries", b.warmup.trying, 0)
		check.Equal(t, "requests that its rate counts", b.limiter.calls.Load(), 0)
		requests(t, b, 1, nil)
		check.Equal(t, "known to work after a request", b.warmup.passed.Load(), true)
		check.Equal(t, "requests that its rate counts then", b.limiter.calls.Load(), 1)
	})
}

// TestBreakerAmongRequestsNotMade: such requests count neither as a success nor as a
// failure.
func TestBreakerAmongRequestsNotMade(t *testing.T) {
	for name, c := range map[string]struct {
		notMade, good, bad int
		open               bool
	}{
		"half of twenty, among many that were not made": {notMade: 40, good: 10, bad: 10, open: true},
		"twenty, and as many that were not made":        {notMade: 21, bad: 20, open: true},
		"too few were made":                             {notMade: 10, bad: 19},
		"less than half of those that were made":        {notMade: 10, good: 11, bad: 10},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := guarding()
				requests(t, b, c.notMade, errNotMade)
				requests(t, b, c.good, nil)
				requests(t, b, c.bad, &sender.Error{Class: sender.Unavailable})
				check.Equal(t, "open", !b.lets(), c.open)
			})
		})
	}
}

// TestBreakerWarmsUpAgain: after an error that an operator has to fix, only a few requests
// are made at first.
func TestBreakerWarmsUpAgain(t *testing.T) {
	for class, again := range map[sender.Class]bool{sender.AccountDown: true, sender.Misconfigured: true, sender.Unavailable: false, sender.Permanent: false} {
		synctest.Test(t, func(t *testing.T) {
			b, _ := guarding()
			requests(t, b, 1, nil)
			requests(t, b, 1, &sender.Error{Class: class})
			check.Equal(t, class.String()+": it has to show that it works", !b.warmup.passed.Load(), again)
		})
	}
}

// TestBreakerBothOpen: the longer pause of the two counts.
func TestBreakerBothOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		var done []func(*sender.Error)
		requests(t, b, 1, nil)
		for range 25 {
			d, ok := b.admit(t.Context(), request{})
			if !ok {
				t.Fatal("the request was not admitted")
			}
			done = append(done, d)
		}
		for _, d := range done[1:] {
			d(&sender.Error{Class: sender.Unavailable})
		}
		check.Equal(t, "opens in, by its health", b.opensIn(), 5*time.Second)
		done[0](&sender.Error{Class: sender.AccountDown})
		check.Equal(t, "opens in, by both", b.opensIn(), 20*time.Second)
		after(6 * time.Second)
		check.Equal(t, "opens in, by its account", b.opensIn(), 14*time.Second)
		check.Equal(t, "lets requests pass", b.lets(), false)
		if _, ok := b.admit(t.Context(), request{}); ok {
			t.Error("a request was admitted although the account is suspended")
		}
		check.Equal(t, "tries", b.warmup.trying, 0)
	})
}

// TestBreakerSaysWhy: the log says why the breaker opened.
func TestBreakerSaysWhy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		b := newBreaker(breakerOptions{pauses: config.Worker{AccountPause: time.Second, HealthPause: time.Second}, limiter: newRateLimiter(0), log: zerolog.New(log), changed: func(bool) {}, templates: func(int) {}})
		noMoney := &sender.Error{Class: sender.AccountDown, Code: "isv.AMOUNT_NOT_ENOUGH", Detail: "no money"}
		requests(t, b, 1, noMoney)
		contains(t, "log", log.String(), `"class":"account-down","code":"isv.AMOUNT_NOT_ENOUGH","detail":"no money"`)
		contains(t, "log", log.String(), "circuit breaker opened; one request will try the connector again")
		contains(t, "log", log.String(), "its account or its configuration is at fault")
		after(time.Second + 1)
		requests(t, b, 1, noMoney)
		after(time.Second + 1)
		requests(t, b, 1, nil)
		contains(t, "log", log.String(), `"lasted":"2s","message":"circuit breaker closed; the connector works again"`)
		log.Reset()
		for !b.open() {
			requests(t, b, 1, errAway)
		}
		contains(t, "log", log.String(), `"class":"unavailable","code":"away"`)
		contains(t, "log", log.String(), "too many requests failed")
	})
}

// TestBreakerSaysItOnceAMinute: a failed probe is no news. How long the breaker was open counts
// from the first time.
func TestBreakerSaysItOnceAMinute(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for name, e := range map[string]*sender.Error{"opened; one": errNoMoney, "of a template opened": errWrongTemplate} {
			log := new(strings.Builder)
			b := newBreaker(breakerOptions{
				pauses: config.Worker{AccountPause: 20*time.Second - 1, HealthPause: time.Second}, limiter: newRateLimiter(0),
				log: zerolog.New(log).Level(zerolog.InfoLevel), changed: func(bool) {}, templates: func(int) {},
			})
			try := func(e *sender.Error) {
				t.Helper()
				done, ok := b.admit(t.Context(), request{template: "Register"})
				if !ok {
					t.Fatal("the request was not admitted")
				}
				done(e)
			}
			for i, want := range []int{1, 1, 1, 2, 2} {
				try(e)
				check.Equal(t, fmt.Sprintf("lines %q after try %d", name, i), strings.Count(log.String(), "circuit breaker "+name), want)
				after(20 * time.Second)
			}
			contains(t, "log", log.String(), `"for":"19.999999999s"`)
			try(nil)
			contains(t, "log", log.String(), `"lasted":"1m40s","message":"circuit breaker `)
			try(e)
			check.Equal(t, "lines when it opens within the minute after it closed", strings.Count(log.String(), "circuit breaker "+name), 3)
		}
	})
}

// TestBreakerAtTheEnd: a request that waits to try the connector gives up when the worker
// stops.
func TestBreakerAtTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		for range maxTrying {
			if _, ok := b.admit(t.Context(), request{}); !ok {
				t.Fatal("the request was not admitted")
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, ok := b.admit(ctx, request{})
		check.Equal(t, "admitted", ok, false)
		check.Equal(t, "waited", time.Since(began), time.Second)
	})
}

func TestClassOf(t *testing.T) {
	for _, c := range sender.Classes() {
		e := &sender.Error{Class: c}
		check.Equal(t, "wrapped", classOf(fmt.Errorf("send: %w", e)), c)
		check.Equal(t, c.String()+": the operator's fault", operatorsFault(e), c == sender.Misconfigured || c == sender.AccountDown)
	}
	check.Equal(t, "of another error", classOf(context.Canceled), sender.Unknown)
	check.Equal(t, "no error is the operator's fault", operatorsFault(nil), false)
}
