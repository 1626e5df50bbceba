package faults

import (
	"context"
	"sync"
)

// place is the place at which a message was stored.
type place struct {
	// incarnation counts the streams: a stream that is deleted and made again is a new one.
	incarnation int
	// sequence is the message's sequence in that stream. It is valid only if sure is set:
	// while the stream is being deleted, it may belong to the next one.
	sequence uint64
	sure     bool
}

// incarnations knows which stream a publish reaches.
type incarnations struct {
	mu       sync.Mutex
	number   int
	deleting bool
	visits   map[*visit]struct{}
}

// visit is a publish in progress.
type visit struct {
	number int
	sure   bool
	giveUp context.CancelFunc
}

// enter begins a publish. Its context ends when the stream that it may have reached is deleted.
// leave ends the publish and returns its place.
func (n *incarnations) enter(ctx context.Context) (visiting context.Context, leave func() place) {
	ctx, giveUp := context.WithCancel(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	v := &visit{n.number, !n.deleting, giveUp}
	if n.visits == nil {
		n.visits = make(map[*visit]struct{})
	}
	n.visits[v] = struct{}{}
	return ctx, func() place {
		giveUp()
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.visits, v)
		return place{incarnation: v.number, sure: v.sure}
	}
}

// willBeDeleted must be called before a delete: from now on a publish may reach this stream or
// the next.
func (n *incarnations) willBeDeleted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deleting = true
	for v := range n.visits {
		v.sure = false
	}
}

// deleted must be called after a delete: publishes in progress are given up, and later ones
// reach the next stream.
func (n *incarnations) deleted() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.deleting = false
	n.number++
	for v := range n.visits {
		v.giveUp()
	}
}

// last is the incarnation of the stream that exists at the end.
func (n *incarnations) last() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.number
}
