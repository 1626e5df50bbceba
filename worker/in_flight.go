package worker

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// inFlight holds the messages that belong to this worker: in a slot, waiting for one, or
// settled but not confirmed. Every message is added and removed, so the messages are split
// into parts to keep lock contention low.
type inFlight struct {
	parts [8]struct {
		mu       sync.Mutex
		messages map[*jetpull.Message]struct{}
	}
}

func newInFlight() *inFlight {
	f := new(inFlight)
	for i := range f.parts {
		f.parts[i].messages = make(map[*jetpull.Message]struct{})
	}
	return f
}

func (f *inFlight) add(m *jetpull.Message) {
	p := &f.parts[m.Sequence%uint64(len(f.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	p.messages[m] = struct{}{}
}

func (f *inFlight) remove(m *jetpull.Message) {
	p := &f.parts[m.Sequence%uint64(len(f.parts))]
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.messages, m)
}

func (f *inFlight) all() (all []*jetpull.Message) {
	for i := range f.parts {
		p := &f.parts[i]
		p.mu.Lock()
		all = slices.AppendSeq(all, maps.Keys(p.messages))
		p.mu.Unlock()
	}
	return all
}

func (f *inFlight) count() (n int) {
	for i := range f.parts {
		p := &f.parts[i]
		p.mu.Lock()
		n += len(p.messages)
		p.mu.Unlock()
	}
	return n
}

// heartbeat marks the messages that take long as in progress, so that the server does not
// hand them to another worker meanwhile. It begins when AckWait is known, and runs until
// ctx ends.
func (f *inFlight) heartbeat(ctx context.Context, acker beater, known <-chan struct{}, ackWait func() time.Duration) {
	select {
	case <-known:
	case <-ctx.Done():
	}
	for {
		wait := ackWait()
		sleep(ctx, wait/3)
		if ctx.Err() != nil {
			return
		}
		for _, m := range f.all() {
			if time.Since(m.Arrived) > wait/6 {
				acker.InProgress(m, wait)
			}
		}
	}
}

// beater tells the server that a message is in progress.
type beater interface {
	InProgress(m *jetpull.Message, ackWait time.Duration)
}
