package worker

import (
	"context"
	"sync"
	"time"
)

// bulkhead stops one connector or one app in trouble from taking all slots of a channel. A
// connector or an app may hold three quarters of the slots that the others leave free: one
// that hangs leaves a quarter, two that hang leave a sixteenth. The last free slot goes
// only to a connector and an app that hold none.
//
// If the channel has one connector or one app, it may hold all slots: there are no others
// to protect.
type bulkhead struct {
	slots int
	// byConnector and byApp are true if there is more than one connector, or app.
	byConnector, byApp bool

	mu sync.Mutex
	// total is how many places are taken; held is by whom.
	total int
	held  map[string]*holder
	// left is closed when a place comes free; nil while nobody waits for that.
	left chan struct{}
}

// holder is a connector or an app that holds places.
type holder struct {
	places int
	// busySince is when it took the first of its places.
	busySince time.Time
	// waiting is how many messages wait for a place.
	waiting int
	// turnover is how fast it frees its places.
	turnover turnover
}

// placeWait is how long a message waits in its slot for a place. A connector or an app
// that frees places faster is not in trouble; it only has a burst.
const placeWait = 250 * time.Millisecond

func newBulkhead(slots, connectors, apps int) *bulkhead {
	return &bulkhead{slots: slots, byConnector: connectors > 1, byApp: apps > 1, held: make(map[string]*holder)}
}

// enter takes a place for an app's message at a connector. If none is free, it waits for
// placeWait, but only if one is likely to come free. If ok, the caller has to call leave.
func (b *bulkhead) enter(ctx context.Context, app, connector string) (leave func(), ok bool) {
	if !b.byConnector && !b.byApp {
		return func() {}, true
	}
	var who []*holder
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.byConnector {
		who = append(who, b.holder("connector "+connector))
	}
	if b.byApp {
		who = append(who, b.holder("app "+app))
	}
	if !b.room(who) && (!b.likely(who) || !b.wait(ctx, who)) {
		return nil, false
	}
	b.total++
	for _, h := range who {
		h.places++
		if h.places == 1 {
			h.busySince = time.Now()
		}
	}
	return func() { b.leave(who) }, true
}

func (b *bulkhead) holder(name string) *holder {
	h, ok := b.held[name]
	if !ok {
		h = new(holder)
		b.held[name] = h
	}
	return h
}

// room reports whether each of them may take one more place.
func (b *bulkhead) room(who []*holder) bool {
	free := b.slots - b.total
	for _, h := range who {
		if h.places >= 3*free || free == 1 && h.places > 0 {
			return false
		}
	}
	return true
}

// likely reports whether a place will soon come free: the holders have freed places fast,
// or took theirs only a moment ago.
func (b *bulkhead) likely(who []*holder) bool {
	now := time.Now()
	for _, h := range who {
		if h.turnover.within(placeWait, now) <= h.waiting && (h.places == 0 || now.Sub(h.busySince) >= placeWait) {
			return false
		}
	}
	return true
}

// wait waits for room. b.mu is held when it begins and when it ends.
func (b *bulkhead) wait(ctx context.Context, who []*holder) bool {
	for _, h := range who {
		h.waiting++
	}
	defer func() {
		for _, h := range who {
			h.waiting--
		}
	}()
	timer := time.NewTimer(placeWait)
	defer timer.Stop()
	for !b.room(who) {
		if b.left == nil {
			b.left = make(chan struct{})
		}
		left := b.left
		b.mu.Unlock()
		over := false
		select {
		case <-left:
		case <-timer.C:
			over = true
		case <-ctx.Done():
			over = true
		}
		b.mu.Lock()
		if over {
			return b.room(who)
		}
	}
	return true
}

func (b *bulkhead) leave(who []*holder) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	now := time.Now()
	for _, h := range who {
		h.places--
		h.turnover.freed(1, now)
	}
	if b.left != nil {
		close(b.left)
		b.left = nil
	}
}
