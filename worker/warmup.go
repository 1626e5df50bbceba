package worker

import (
	"context"
	"sync"
	"sync/atomic"
)

// warmup allows only a few requests at once until one has shown that the connector works.
// So a worker that starts with a full stream needs only a few requests to find out that an
// account is suspended, not one for each slot.
type warmup struct {
	passed atomic.Bool

	mu      sync.Mutex
	trying  int
	changed chan struct{}
}

// maxTrying is the most requests that try a connector at once.
const maxTrying = 4

// begin waits for a turn; false if ctx ends first.
func (w *warmup) begin(ctx context.Context) bool {
	for !w.passed.Load() {
		w.mu.Lock()
		if w.passed.Load() { // it passed while this request waited for the lock
			w.mu.Unlock()
			return true
		}
		if w.trying < maxTrying {
			w.trying++
			w.mu.Unlock()
			return true
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// end takes the result of a request that began.
func (w *warmup) end(passed bool) {
	if w.passed.Load() {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.trying = max(0, w.trying-1)
	if passed {
		w.passed.Store(true)
		w.trying = 0
	}
	if w.changed != nil {
		close(w.changed)
		w.changed = nil
	}
}

// reset requires the connector to show again that it works.
func (w *warmup) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.passed.Store(false)
}
