package worker

import (
	"context"
	"sync/atomic"
	"time"
)

// share is how many of its channel's slots a connector may hold while another
// one could serve: three of four. One that hangs to its time-out can't take the
// whole channel with it.
type share struct {
	places chan struct{}
	// left is when a place was last left (Unix, in nanoseconds).
	left atomic.Int64
}

// slow is how long a full connector may keep its places before the next one is
// tried instead. A burst that it is working off takes less.
const slow = time.Second

func newShare(slots int) *share {
	return &share{places: make(chan struct{}, slots-max(1, slots/4))}
}

// enter takes a place, and waits a moment for one; false where there is none to
// be had. leave has to be called after it.
func (s *share) enter(ctx context.Context) bool {
	select {
	case s.places <- struct{}{}:
		return true
	default:
	}
	if cap(s.places) == 0 {
		return false // a channel of one slot has nothing to share
	}
	wait := slow - time.Since(time.Unix(0, s.left.Load()))
	if wait <= 0 {
		return false // nobody has left for long: they hang
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case s.places <- struct{}{}:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	return false
}

func (s *share) leave() {
	s.left.Store(time.Now().UnixNano())
	<-s.places
}
