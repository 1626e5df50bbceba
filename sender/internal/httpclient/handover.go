package httpclient

import (
	"context"
	"net"
	"net/http/httptrace"
	"sync"
	"time"

	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// handover is the point at which net/http lets a request leave. Everything before it ends
// at the request's NotAfter; nothing after it does.
type handover struct {
	notAfter time.Time
	now      func() time.Time
	// early ends the exchange while nothing has left.
	early context.Context //nolint:containedctx // it lives as long as the exchange
	stop  context.CancelCauseFunc

	mu sync.Mutex
	// detach stops early from ending the exchange. It returns false if early has already
	// ended.
	detach func() bool
	conn   net.Conn
	// kept is true if conn has carried an exchange before.
	kept bool
	gone bool
}

// handOver returns the context with which net/http makes a request. The caller must call
// free after the exchange.
func handOver(ctx context.Context, notAfter time.Time, now func() time.Time) (h *handover, going context.Context, free func()) {
	early, cancel := expiry.Bound(ctx, notAfter)
	going, stop := context.WithCancelCause(ctx)
	h = &handover{notAfter: notAfter, now: now, early: early, stop: stop}
	h.attach()
	going = httptrace.WithClientTrace(going, &httptrace.ClientTrace{
		// net/http takes a second connection only if nothing was written to the first one,
		// a kept connection that the server had closed.
		GetConn:      func(string) { h.attach() },
		GotConn:      func(i httptrace.GotConnInfo) { h.got(i) },
		WroteHeaders: h.leave,
	})
	return h, going, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.detach()
		stop(nil)
		cancel()
	}
}

// attach begins the wait for a connection.
func (h *handover) attach() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.detach != nil {
		h.detach()
	}
	h.detach = context.AfterFunc(h.early, func() { h.stop(context.Cause(h.early)) })
	h.gone, h.kept = false, false
}

func (h *handover) got(i httptrace.GotConnInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conn, h.kept = i.Conn, i.Reused
}

// overKept reports whether the exchange used a kept connection.
func (h *handover) overKept() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.kept
}

// leave is called when the header, or at least its end, is in net/http's buffer: no
// complete header has left yet. It lets the request leave, or stops all further writing.
func (h *handover) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case !h.detach():
		h.stop(context.Cause(h.early)) // the AfterFunc may not have called it yet
	case expiry.Over(h.notAfter, h.now()):
		h.stop(expiry.ErrExpired)
	default:
		h.gone = true
		return
	}
	_ = h.conn.SetWriteDeadline(past) // it fails only if the connection is closed
}

// left reports whether the request may have reached the server.
func (h *handover) left() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.gone
}
