package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// forgetter takes claims out of the ledger whose messages are settled, so that
// the ledger stays as small as what is on its way. It waits a while: a server that
// crashes may hand out again what was acknowledged just before.
type forgetter struct {
	stream jetstream.Stream // the ledger's

	mu    sync.Mutex
	queue []claimed
}

type claimed struct {
	revision uint64
	at       time.Time
}

const (
	// forgetAfter is how long a claim outlives its message.
	forgetAfter = 15 * time.Second
	// forgetEvery is how often is looked.
	forgetEvery = time.Second
	// maxForget bounds the queue; what does not fit is forgotten by the ledger's
	// own TTL.
	maxForget = 200_000
)

// settled takes note of a claim whose message is gone.
func (f *forgetter) settled(revision uint64) {
	if revision == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) < maxForget {
		f.queue = append(f.queue, claimed{revision, time.Now()})
	}
}

// due returns the claims that are old enough, and takes them out of the queue.
func (f *forgetter) due() []claimed {
	f.mu.Lock()
	defer f.mu.Unlock()
	old := time.Now().Add(-forgetAfter)
	n := 0
	for n < len(f.queue) && f.queue[n].at.Before(old) {
		n++
	}
	due := f.queue[:n]
	f.queue = f.queue[n:]
	return due
}

// run forgets until ctx ends. What can't be deleted stays for the TTL.
func (f *forgetter) run(ctx context.Context) {
	for ctx.Err() == nil {
		for _, c := range f.due() {
			if ctx.Err() != nil {
				return
			}
			err := f.stream.DeleteMsg(ctx, c.revision)
			var gone *jetstream.APIError
			if err != nil && !errors.As(err, &gone) { // one that is gone has a successor
				break // the server is away: the rest of them goes by the TTL
			}
		}
		sleep(ctx, forgetEvery)
	}
}
