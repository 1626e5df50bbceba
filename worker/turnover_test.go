package worker

import (
	"testing"
	"time"
)

// TestTurnoverIsForgotten: a rate of a moment ago says how many slots come free, one of
// long ago nothing.
func TestTurnoverIsForgotten(t *testing.T) {
	now := time.Now()
	var o turnover
	if n := o.soon(now); n != 0 {
		t.Errorf("%d before anything came free", n)
	}
	for range 50 {
		now = now.Add(time.Millisecond)
		o.freed(4, now) // 4000 a second
	}
	if n := o.soon(now); n < 7 || n > 9 {
		t.Errorf("%d in %v at 4000 a second", n, aheadTime)
	}
	if n := o.soon(now.Add(time.Second)); n != 0 {
		t.Errorf("%d a second later", n)
	}
}
