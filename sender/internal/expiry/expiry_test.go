package expiry_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/sender/internal/expiry"
)

func TestOver(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for name, c := range map[string]struct {
		notAfter, now time.Time
		want          bool
	}{
		"no bound": {time.Time{}, at, false},
		"before":   {at, at.Add(-1), false},
		"at it":    {at, at, true},
		"after":    {at, at.Add(1), true},
	} {
		if got := expiry.Over(c.notAfter, c.now); got != c.want {
			t.Errorf("%s: over %v, want %v", name, got, c.want)
		}
	}
}

// TestEnded: the first end of a context counts.
func TestEnded(t *testing.T) {
	for name, c := range map[string]struct {
		notAfter, timeout, cancel time.Duration // 0 for none
		want                      bool
	}{
		"notAfter alone":         {notAfter: time.Second, want: true},
		"notAfter first":         {notAfter: time.Second, timeout: 2 * time.Second, cancel: 3 * time.Second, want: true},
		"over before it began":   {notAfter: -time.Second, timeout: time.Second, want: true},
		"the time-out first":     {notAfter: 2 * time.Second, timeout: time.Second},
		"called off first":       {notAfter: 2 * time.Second, timeout: 3 * time.Second, cancel: time.Second},
		"no bound, the time-out": {timeout: time.Second},
		"no bound, called off":   {cancel: time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.cancel > 0 {
					time.AfterFunc(c.cancel, cancel)
				}
				if c.timeout > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.timeout)
					defer cancel()
				}
				notAfter := time.Time{}
				if c.notAfter != 0 {
					notAfter = time.Now().Add(c.notAfter)
				}
				ctx, cancel = expiry.Bound(ctx, notAfter)
				defer cancel()
				if c.notAfter >= 0 && expiry.Ended(ctx) {
					t.Error("Ended is true before notAfter")
				}
				<-ctx.Done()
				if got := expiry.Ended(ctx); got != c.want {
					t.Errorf("ended by notAfter: %v, want %v (%v)", got, c.want, context.Cause(ctx))
				}
			})
		})
	}
}

// TestEndedByTheDeadlineAlone: a dialer watches only the deadline, and can be ahead of
// the context's timer.
func TestEndedByTheDeadlineAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := expiry.Bound(t.Context(), time.Now().Add(time.Second))
		defer cancel()
		end, _ := ctx.Deadline()
		if d := time.Until(end); d != time.Second {
			t.Fatalf("the deadline is %s ahead, want 1s", d)
		}
		due := time.NewTimer(time.Second)
		<-due.C // at the deadline, whoever is woken first
		if !expiry.Ended(ctx) {
			t.Error("Ended is false at the deadline")
		}
	})
}
