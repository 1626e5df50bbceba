package exchange

import (
	"slices"
	"sync"
	"time"
)

// idle keeps the connections that nothing goes over, however many, and closes those
// that nobody has used for a while.
type idle struct {
	timeout time.Duration

	mu sync.Mutex
	// conns are in the order in which they went idle: the last one is the best to use,
	// the first ones the first to close.
	conns map[origin][]*conn
	// closing comes when the next one is old; nil while there was none the last time.
	closing *time.Timer
}

func newIdle(timeout time.Duration) *idle {
	return &idle{timeout: timeout, conns: make(map[origin][]*conn)}
}

// put keeps a connection.
func (i *idle) put(to origin, k *conn) {
	if i.timeout < 0 {
		_ = k.Close() // its answer is there
		return
	}
	k.since = time.Now()
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns[to] = append(i.conns[to], k)
	if i.closing == nil {
		i.closing = time.AfterFunc(i.timeout, i.closeOld)
	}
}

// take returns a connection that can be used; nil where there is none.
func (i *idle) take(to origin) *conn {
	for {
		k := i.last(to)
		if k == nil || k.silent() {
			return k
		}
		k.abort() // the other side has closed it
	}
}

func (i *idle) last(to origin) *conn {
	i.mu.Lock()
	defer i.mu.Unlock()
	conns := i.conns[to]
	if len(conns) == 0 {
		return nil
	}
	k := conns[len(conns)-1]
	conns[len(conns)-1] = nil
	i.conns[to] = conns[:len(conns)-1]
	return k
}

// closeOld closes what has been idle for the timeout, and comes again for the rest.
func (i *idle) closeOld() {
	for _, k := range i.old(time.Now()) {
		_ = k.Close() // nothing goes over it
	}
}

// old takes out those that have been idle for the timeout, and sets the timer for the
// next one.
func (i *idle) old(now time.Time) (old []*conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	next := time.Time{}
	for to, conns := range i.conns {
		n := 0
		for n < len(conns) && now.Sub(conns[n].since) >= i.timeout {
			n++
		}
		old = append(old, conns[:n]...)
		if n == len(conns) {
			delete(i.conns, to)
			continue
		}
		i.conns[to] = slices.Clone(conns[n:]) // without hold of those that go
		if since := conns[n].since; next.IsZero() || since.Before(next) {
			next = since
		}
	}
	if next.IsZero() {
		i.closing = nil
	} else {
		i.closing.Reset(i.timeout - now.Sub(next))
	}
	return old
}
