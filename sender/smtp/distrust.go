package smtp

import (
	"context"
	"errors"
	"net/textproto"

	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// distrust closes the idle sessions. A kept session has died without a sign, and a
// network that forgets one connection forgets the others too. It sends no QUIT, since the
// server may not be reachable.
func (p *pool) distrust() {
	for _, s := range p.empty() {
		s.wire.cut()
	}
}

// empty removes all idle sessions from the pool.
func (p *pool) empty() []*session {
	p.mu.Lock()
	defer p.mu.Unlock()
	resting := p.idle
	p.idle = nil
	for _, s := range resting {
		p.disarm(s)
	}
	return resting
}

// lost reports whether a kept session broke in the way of a connection that the network
// has lost: by silence or a cut, and not by a reply.
func (s *session) lost(ctx context.Context, at stage, broke error) bool {
	var reply *textproto.Error
	if broke == nil || !s.rested || !s.broken || errors.As(broke, &reply) || errors.Is(broke, expiry.ErrExpired) {
		return false
	}
	code, _ := cause(ctx, at, broke)
	return code == codeTimeout || code == codeCut
}
