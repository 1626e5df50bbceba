package check

import (
	"testing"
	"time"
)

// Patience limits every wait of a test for something that has to happen. No test may need a
// part of it: it only ends a test that would wait for ever, also on a machine that is busy.
const Patience = time.Minute

// Eventually waits until so returns true, for a condition that has no signal. what names the
// condition in the message if it does not come within Patience.
func Eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(Patience)
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("after %v it is still not true that %s", Patience, what)
		}
	}
}
