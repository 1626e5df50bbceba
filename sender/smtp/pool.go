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

// pool keeps sessions for the next messages. A session in use belongs to the goroutine
// that took it. Idle sessions are closed by their timers, or by close.
type pool struct {
	dialer *dialer
	limits limits
	slots  chan struct{} // one value for each session in use

	mu     sync.Mutex
	idle   []*session // the last one was used last
	closed bool
	timers sync.WaitGroup
}

func newPool(d *dialer, l limits) *pool {
	return &pool{dialer: d, limits: l, slots: make(chan struct{}, l.connections)}
}

// take returns a session that answers: an idle one, or a new one. It waits if too many
// are in use. The caller must return it with give.
func (p *pool) take(ctx context.Context) (*session, *sender.Error) {
	if !enter(ctx, p.slots) {
		if errors.Is(ctx.Err(), context.Canceled) {
			return nil, &sender.Error{Class: sender.Unavailable, Scope: sender.ScopeMessage, Code: codeCanceled, Detail: "the send was canceled before there was a connection"}
		}
		return nil, &sender.Error{Class: sender.Throttled, Scope: sender.ScopeConnector, Code: codeBusy, Detail: "all connections to the server were busy (maxConnections)"}
	}
	s, err := p.get(ctx)
	if err != nil {
		<-p.slots
		return nil, err
	}
	return s, nil
}

// enter puts a value into ch, and waits for room until ctx ends. If there is room, it
// ignores ctx.
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
		s.close() // nothing was sent on it that could have been accepted
		if ctx.Err() == nil {
			p.distrust()
		}
	}
	return p.dialer.open(ctx)
}

// renew replaces an ended session by a new one, in the same slot. The caller must call
// give, even after an error.
func (p *pool) renew(ctx context.Context, s *session) *sender.Error {
	s.close()
	fresh, err := p.dialer.open(ctx)
	if err == nil {
		*s = *fresh
	}
	return err
}

// pop returns the session that was used last; nil if none is idle.
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

// disarm stops a session's timer. A timer that has already fired finds nothing to close.
func (p *pool) disarm(s *session) {
	if s.idle.Stop() {
		p.timers.Done()
	}
}

// maxRSET bounds the check that a session is alive, so time is left for a new one.
const maxRSET = 2 * time.Second

// alive resets an idle session, and reports whether it can be used.
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

// give takes a session back. It keeps or closes it.
func (p *pool) give(s *session) {
	defer func() { <-p.slots }()
	if s.broken || s.sent >= p.limits.messages || s.client.Text.R.Buffered() > 0 || !p.rest(s) {
		s.close()
	}
}

// rest keeps a session. It returns false if the pool is closed.
func (p *pool) rest(s *session) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	p.timers.Add(1)
	s.rested = true
	s.idle = time.AfterFunc(p.limits.idle, func() {
		defer p.timers.Done()
		if p.remove(s) {
			s.close()
		}
	})
	p.idle = append(p.idle, s)
	return true
}

// remove takes an idle session out of the pool. It returns false if the session is no
// longer idle.
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

// close closes the idle sessions, and every other session when it is given back.
func (p *pool) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	for _, s := range p.empty() {
		s.close()
	}
	p.timers.Wait()
}
