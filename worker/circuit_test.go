package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/sender"
)

var (
	errAway     = &sender.Error{Class: sender.Unavailable, Code: "away"}
	errNoAnswer = &sender.Error{Class: sender.Unknown, Code: "no answer"}
	errNoMoney  = &sender.Error{Class: sender.AccountDown, Code: "no money"}
)

// halfOpen is the health or the account breaker of a connector whose pause has just ended.
func halfOpen(t *testing.T, which string) *circuit {
	t.Helper()
	b, _ := guarding()
	c, fail, n := b.health, errAway, healthLeast
	if which == "account" {
		c, fail, n = b.account, errNoMoney, 1
	}
	for range n {
		done, ok := c.admit(false)
		if !ok {
			t.Fatal("the request was not admitted")
		}
		done(fail)
	}
	check.Equal(t, "open", c.open(), true)
	in, ok := c.may(false)
	check.Equal(t, "may pass while it is open", ok, false)
	after(in + 1)
	return c
}

// probing begins a probe that has to be admitted.
func probing(t *testing.T, what string, c *circuit, tried bool) (done func(error)) {
	t.Helper()
	done, ok := c.admit(tried)
	if !ok {
		t.Fatalf("%s: the probe was not admitted", what)
	}
	return done
}

// waits checks that no probe is admitted now, and how long it takes until one is.
func waitsFor(t *testing.T, what string, c *circuit, tried bool, want time.Duration) {
	t.Helper()
	in, ok := c.may(tried)
	check.Equal(t, what+": may pass", ok, want == 0)
	check.Equal(t, what+": in", in, want)
	if want == 0 {
		return
	}
	if _, ok := c.admit(tried); ok {
		t.Errorf("%s: the probe was admitted", what)
	}
}

// TestCircuitProbeHangs: a probe without an answer does not stop the others, and its answer
// still counts.
func TestCircuitProbeHangs(t *testing.T) {
	for _, which := range []string{"health", "account"} {
		for name, end := range map[string]func(t *testing.T, c *circuit, done []func(error)){
			"the last one is answered": func(t *testing.T, c *circuit, done []func(error)) {
				done[3](nil)
				check.Equal(t, "state", c.cb.State(), gobreaker.StateClosed)
				done[0](errNoMoney) // of an earlier half-open state
				check.Equal(t, "state after a late failure", c.cb.State(), gobreaker.StateClosed)
			},
			"the first one is answered": func(t *testing.T, c *circuit, done []func(error)) {
				done[0](nil)
				check.Equal(t, "state", c.cb.State(), gobreaker.StateClosed)
			},
			"the first one fails": func(t *testing.T, c *circuit, done []func(error)) {
				if which == "health" {
					done[0](errAway)
				} else {
					done[0](errNoMoney)
				}
				check.Equal(t, "state", c.cb.State(), gobreaker.StateOpen)
				done[3](nil) // this does not shorten the pause
				check.Equal(t, "state after a late success", c.cb.State(), gobreaker.StateOpen)
			},
			"one is not made, and one comes in its place": func(t *testing.T, c *circuit, done []func(error)) {
				done[1](errNotMade)
				waitsFor(t, "the next", c, false, 0)
				probing(t, "the next", c, false)
				waitsFor(t, "the one after", c, false, probePatience)
			},
			"it opens again, and they are forgotten": func(t *testing.T, c *circuit, done []func(error)) {
				if which == "health" {
					done[2](errAway)
				} else {
					done[2](errNoMoney)
				}
				in, _ := c.may(false)
				after(in + 1)
				next := probing(t, "the next", c, false)
				done[0](errNoAnswer) // of an earlier half-open state
				done[1](errNotMade)
				waitsFor(t, "the one after", c, false, probePatience)
				after(probePatience)
				probing(t, "the one after", c, false)
				next(nil)
				check.Equal(t, "state", c.cb.State(), gobreaker.StateClosed)
			},
		} {
			t.Run(which+": "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					c := halfOpen(t, which)
					var done []func(error)
					for i := range mostProbes {
						done = append(done, probing(t, "a probe", c, false))
						if i == mostProbes-1 {
							break
						}
						waitsFor(t, "the next", c, false, probePatience)
						after(probePatience - 1)
						waitsFor(t, "the next, a moment before", c, false, 1)
						after(1)
						waitsFor(t, "the next, then", c, false, 0)
					}
					after(time.Minute)
					waitsFor(t, "one more than tries at once", c, false, probePatience)
					end(t, c, done)
				})
			})
		}
	}
}

// TestCircuitProbeIsLost: if the answer of a probe never came, another one begins soon,
// once.
func TestCircuitProbeIsLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := halfOpen(t, "health")
		probing(t, "the first", c, false)(errNoAnswer)
		check.Equal(t, "state", c.cb.State(), gobreaker.StateHalfOpen)
		waitsFor(t, "the next", c, false, lostPause)
		after(lostPause)
		probing(t, "the second", c, false)(errNoAnswer)
		check.Equal(t, "state after two", c.cb.State(), gobreaker.StateOpen)
		waitsFor(t, "the next", c, false, 5*time.Second)
		after(5*time.Second + 1)
		probing(t, "the first, next time", c, false)(errNoAnswer)
		check.Equal(t, "state, next time", c.cb.State(), gobreaker.StateHalfOpen)
		after(lostPause)
		probing(t, "the second, next time", c, false)(nil)
		check.Equal(t, "state after a success", c.cb.State(), gobreaker.StateClosed)
	})
}

// TestCircuitProbeSaysNothing: after an answer that says nothing about the account the next
// probe begins a moment later; after a request that was not made, at once.
func TestCircuitProbeSaysNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := halfOpen(t, "account")
		for range 5 {
			probing(t, "a probe", c, false)(errAway)
			waitsFor(t, "the next", c, false, lostPause)
			after(lostPause)
			probing(t, "one that is not made", c, false)(errNotMade)
			probing(t, "one in doubt", c, false)(errNoAnswer)
			waitsFor(t, "the next", c, false, lostPause)
			after(lostPause)
		}
		probing(t, "one that fails", c, false)(errNoMoney)
		check.Equal(t, "state", c.cb.State(), gobreaker.StateOpen)
	})
}

// TestCircuitPrefersWhatHasNotFailed: for a while only a message that has not failed may
// be the probe. After that one that has failed may.
func TestCircuitPrefersWhatHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := halfOpen(t, "health")
		waitsFor(t, "one that failed before", c, true, freshFirst-1) // halfOpen waits for one more
		waitsFor(t, "a fresh one", c, false, 0)
		after(freshFirst - 1)
		waitsFor(t, "one that failed before, then", c, true, 0)
		done := probing(t, "one that failed before", c, true)
		waitsFor(t, "another one", c, true, probePatience)
		done(nil)
		check.Equal(t, "state", c.cb.State(), gobreaker.StateClosed)
		waitsFor(t, "one that failed before, when it is closed", c, true, 0)
	})
}

// TestCircuitAskedLate: if no request came for long after the pause, the first that comes
// is the probe.
func TestCircuitAskedLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := halfOpen(t, "account")
		after(freshFirst)
		probing(t, "one that failed before", c, true)(nil)
		check.Equal(t, "state", c.cb.State(), gobreaker.StateClosed)
	})
}

// TestCircuitOpensMeanwhile: gobreaker decides, even if the breaker was closed a moment
// before.
func TestCircuitOpensMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		requests(t, b, 1, errNoMoney)
		b.account.notClosed.Store(false)
		if _, ok := b.account.admit(false); ok {
			t.Error("a request was admitted while the breaker is open")
		}
	})
}
