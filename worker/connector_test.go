package worker

import (
	"context"
	"sync"
	"testing"
	"time"
)

// TestTrialLetsEveryoneThroughOnceItIsPassed has many wait while the first ones
// end: none of them may be left waiting.
func TestTrialLetsEveryoneThroughOnceItIsPassed(t *testing.T) {
	for range 200 {
		var tr trial
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if !tr.begin(ctx) {
					t.Error("left waiting")
					return
				}
				tr.end(true)
			})
		}
		wg.Wait()
		cancel()
	}
}

func TestTrialKeepsRequestsFew(t *testing.T) {
	var tr trial
	for range maxTrying {
		if !tr.begin(t.Context()) {
			t.Fatal("refused")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tr.begin(ctx) {
		t.Error("one too many")
	}
	tr.end(false)
	if !tr.begin(t.Context()) {
		t.Error("a place that was left is not taken")
	}
	tr.end(true)
	for range 100 {
		if !tr.begin(t.Context()) {
			t.Fatal("refused after it was passed")
		}
	}
	tr.reset()
	for range maxTrying {
		tr.begin(t.Context())
	}
	if tr.begin(ctx) {
		t.Error("one too many after the reset")
	}
}
