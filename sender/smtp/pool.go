package smtp

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// limits bound a pool.
type limits struct {
	connections, messages int
	idle                  time.Duration
}

// pool keeps sessions for the next message. Those in use belong to whoever took
// them; those that rest are closed by their timers, or by close.
type pool struct {
	dialer *dialer
	limits limits
	slots  chan struct{} // one value a session in use

	mu     sync.Mutex
	idle   []*session // the last one is the one used last
	closed bool
	timers sync.WaitGroup
}

func newPool(d *dialer, l limits) *pool {
	return &pool{dialer: d, limits: l, slots: make(chan struct{}, l.connections)}
}

// take returns a session that answers: one that has rested, or a new one. It
// waits where too many are in use. give must be called with it.
func (p *pool) take(ctx context.Context) (*session, *sender.Error) {
	if !enter(ctx, p.slots) {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, &sender.Error{Class: sender.Unavailable, Code: codeCanceled, Detail: "it was called off before there was a connection"}
		}
		return nil, &sender.Error{Class: sender.Throttled, Code: codeBusy, Detail: "all connections to the server were busy (maxConnections)"}
	}
	s, err := p.get(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return s, nil
}

// enter puts a value into ch, and waits for that while ctx lasts. Where there is
// room it does not look at ctx.
func enter(ctx context.Context, ch chan<- struct{}) bool {
	select {
	case ch <- struct{}{}:
		return true
	default:
	}
	select {
	case ch <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (p *pool) get(ctx context.Context) (*session, *sender.Error) {
	if s := p.pop(); s != nil {
		if s.alive(ctx) {
			return s, nil
		}
		s.close() // nothing was said on it that could have been accepted
	}
	return p.dialer.open(ctx)
}

// pop returns the session that was used last; nil where none rests.
func (p *pool) pop() *session {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := len(p.idle)
	if n == 0 {
		return nil
	}
	s := p.idle[n-1]
	p.idle[n-1] = nil
	p.idle = p.idle[:n-1]
	p.disarm(s)
	return s
}

// disarm stops a session's timer. One that has run out finds nothing to close.
func (p *pool) disarm(s *session) {
	if s.idle.Stop() {
		p.timers.Done()
	}
}

// maxRSET bounds the question whether a session still lives, so that time is
// left for another.
const maxRSET = 2 * time.Second

// alive resets a session that has rested, and tells whether it can be used.
func (s *session) alive(ctx context.Context) bool {
	silence := s.wire.silence
	end, _ := ctx.Deadline() // the connector's time-out, at the latest
	s.wire.silence = min(maxRSET, max(time.Until(end)/4, time.Millisecond))
	stop := context.AfterFunc(ctx, s.wire.cut)
	err := s.say(s.client.Reset)
	s.broken = s.broken || !stop() || err != nil || s.client.Text.R.Buffered() > 0
	s.wire.silence = silence
	return !s.broken
}

// give takes a session back, to rest or to be closed.
func (p *pool) give(s *session) {
	defer func() { <-p.slots }()
	if s.broken || s.sent >= p.limits.messages || s.client.Text.R.Buffered() > 0 || !p.rest(s) {
		s.close()
	}
}

// rest is false once the pool is closed.
func (p *pool) rest(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.timers.Add(1)
	s.idle = time.AfterFunc(p.limits.idle, func() {
		defer p.timers.Done()
		if p.remove(s) {
			s.close()
		}
	})
	p.idle = append(p.idle, s)
	return true
}

// remove is false where the session is no longer at rest.
func (p *pool) remove(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for i, other := range p.idle {
		if other == s {
			p.idle = append(p.idle[:i], p.idle[i+1:]...)
			return true
		}
	}
	return false
}

// close closes the sessions that rest, and every other one when it is given
// back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	resting := p.idle
	p.idle = nil
	for _, s := range resting {
		p.disarm(s)
	}
	p.mu.Unlock()
	for _, s := range resting {
		s.close()
	}
	p.timers.Wait()
}
