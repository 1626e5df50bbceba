package worker

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// TestWarmupLetsEveryoneThroughOnceItIsPassed: many requests wait while the first ones
// end, and none of them may stay waiting.
func TestWarmupLetsEveryoneThroughOnceItIsPassed(t *testing.T) {
	for range 200 {
		var tr warmup
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				if !tr.begin(ctx) {
					t.Error("a request still waits")
					return
				}
				tr.end(true)
			})
		}
		wg.Wait()
		cancel()
	}
}

func TestWarmupKeepsRequestsFew(t *testing.T) {
	var tr warmup
	for range maxTrying {
		if !tr.begin(t.Context()) {
			t.Fatal("a request was refused")
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if tr.begin(ctx) {
		t.Error("one request too many was admitted")
	}
	tr.end(false)
	if !tr.begin(t.Context()) {
		t.Error("a place that came free was not taken")
	}
	tr.end(true)
	for range 100 {
		if !tr.begin(t.Context()) {
			t.Fatal("a request was refused after the connector had shown that it works")
		}
	}
	tr.reset()
	for range maxTrying {
		tr.begin(t.Context())
	}
	if tr.begin(ctx) {
		t.Error("after the reset one request too many was admitted")
	}
}

// TestWarmupEndWakes: a request that waits takes the place of one that has failed.
func TestWarmupEndWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := new(warmup)
		for range maxTrying {
			w.begin(t.Context())
		}
		begun := make(chan bool, 3)
		for range 3 {
			go func() { begun <- w.begin(t.Context()) }()
		}
		synctest.Wait()
		check.Equal(t, "begun while all try", len(begun), 0)
		w.end(false)
		synctest.Wait()
		check.Equal(t, "begun after one has failed", len(begun), 1)
		w.end(true)
		synctest.Wait()
		check.Equal(t, "begun after one has passed", len(begun), 3)
	})
}
