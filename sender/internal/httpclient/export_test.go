package httpclient

import (
	"context"
	"sync/atomic"
	"syscall"
)

// countDials counts the connections that a client dials. It has dialled none yet.
func countDials(c *Client) *atomic.Int32 {
	n := new(atomic.Int32)
	c.dialer.ControlContext = func(_ context.Context, network, address string, raw syscall.RawConn) error {
		n.Add(1)
		return c.dialer.Control(network, address, raw)
	}
	return n
}

// closeIdle closes what net/http keeps.
func (t *transports) closeIdle() {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, transport := range t.byOrigin {
		transport.CloseIdleConnections()
	}
}
