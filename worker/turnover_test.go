package worker

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// TestTurnoverIsForgotten: a recent rate says how many slots come free; an old one says
// nothing.
func TestTurnoverIsForgotten(t *testing.T) {
	now := time.Now()
	var o turnover
	check.Equal(t, "expected before any slot came free", o.within(aheadTime, now), 0)
	for range 50 {
		now = now.Add(time.Millisecond)
		o.freed(4, now) // 4000 a second
	}
	if n := o.within(aheadTime, now); n < 7 || n > 9 {
		t.Errorf("at 4000 a second %d come free in %v", n, aheadTime)
	}
	check.Equal(t, "expected a second later", o.within(aheadTime, now.Add(time.Second)), 0)
}
