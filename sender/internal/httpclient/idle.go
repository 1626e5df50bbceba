package httpclient

import (
	"slices"
	"sync"
	"time"
)

// idle keeps any number of idle connections. It closes those that were not used for a
// while, or are too old.
type idle struct {
	timeout, maxAge time.Duration
	now             func() time.Time

	mu sync.Mutex
	// conns are in the order in which they became idle. The last one is the best to use.
	conns map[origin][]*conn
	// closing fires when the next connection must close; nil if there was none the last
	// time.
	closing *time.Timer
}

func newIdle(opts Options) *idle {
	return &idle{timeout: opts.IdleTimeout, maxAge: opts.MaxAge, now: opts.Now, conns: make(map[origin][]*conn)}
}

// put keeps a connection, unless it is too old.
func (i *idle) put(to origin, k *conn) {
	now := i.now()
	rest := min(i.timeout, i.maxAge-now.Sub(k.born))
	if rest <= 0 {
		_ = k.Close() // its answer was read
		return
	}
	k.until = now.Add(rest)
	i.mu.Lock()
	defer i.mu.Unlock()
	i.conns[to] = append(i.conns[to], k)
	if i.closing == nil {
		i.closing = time.AfterFunc(rest, i.closeOld)
	}
}

// take returns a usable connection; nil if there is none.
func (i *idle) take(to origin) *conn {
	for {
		k := i.last(to)
		if k == nil || i.now().Before(k.until) && k.silent() {
			return k
		}
		k.abort() // the server has closed it, or it is too old
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

// drop closes all connections kept to an origin.
func (i *idle) drop(to origin) {
	i.mu.Lock()
	conns := i.conns[to]
	delete(i.conns, to) // the timer finds nothing to close
	i.mu.Unlock()
	for _, k := range conns {
		k.abort()
	}
}

// closeOld closes the connections whose time is over. The timer calls it again for the
// rest.
func (i *idle) closeOld() {
	for _, k := range i.old(i.now()) {
		_ = k.Close() // it is idle
	}
}

// old removes the connections whose time is over, and sets the timer for the next one.
func (i *idle) old(now time.Time) (old []*conn) {
	i.mu.Lock()
	defer i.mu.Unlock()
	next := time.Time{}
	for to, conns := range i.conns {
		i.conns[to] = slices.DeleteFunc(conns, func(k *conn) bool {
			over := !now.Before(k.until)
			if over {
				old = append(old, k)
			} else if next.IsZero() || k.until.Before(next) {
				next = k.until
			}
			return over
		})
		if len(i.conns[to]) == 0 {
			delete(i.conns, to)
		}
	}
	if next.IsZero() {
		i.closing = nil
	} else {
		i.closing.Reset(next.Sub(now))
	}
	return old
}
