package worker

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// TestWantedWhileHalfOpen: one message at a time is wanted while it may try a connector.
// Requests that hang do not count.
func TestWantedWhileHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect("a", new(fakeSender))
		p := &pool{slots: 16, routed: []*connector{a}}
		wants := func(what string, working, want int) {
			t.Helper()
			p.free.Store(int64(p.slots - working))
			check.Equal(t, what, p.wanted(), want)
		}
		var old []func()
		for range maxTrying {
			done, ok := a.breaker.admit(t.Context(), request{})
			check.Equal(t, "admitted", ok, true)
			old = append(old, func() { done(errNoMoney) })
		}
		old[0]()
		wants("while it is open", 3, 0)
		check.Equal(t, "all are open", p.allOpen(), true)
		after(20*time.Second + 1)
		check.Equal(t, "all are open after the pause", p.allOpen(), false)
		wants("beside three that hang since before", 3, 1)
		wants("one is on its way", 4, 0)
		wants("two are", 5, -1)
		done, ok := a.breaker.admit(t.Context(), request{})
		check.Equal(t, "admitted", ok, true)
		wants("it tries", 4, 0)
		after(probePatience)
		wants("it hangs", 4, 1)
		done(nil)
		wants("it works", 3, 13)
	})
}

// TestWantedWhileOneIsHalfOpen: the one of two connectors that may be tried decides.
func TestWantedWhileOneIsHalfOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := connect("a", new(fakeSender)), connect("b", new(fakeSender))
		p := &pool{slots: 16, routed: []*connector{a, b}}
		p.free.Store(16)
		trip(t, a)
		check.Equal(t, "while the other is closed", p.wanted(), 16)
		after(10 * time.Second)
		trip(t, b)
		check.Equal(t, "both open", p.wanted(), 0)
		after(10*time.Second + 1)
		check.Equal(t, "one half-open", p.wanted(), 1)
		a.breaker.admit(t.Context(), request{})
		p.free.Store(15)
		check.Equal(t, "one is being tried", p.wanted(), 0)
		after(10 * time.Second)
		check.Equal(t, "the other is half-open, too", p.wanted(), 1)
	})
}
