package httpclient

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// dial connects to an origin. It gives up at the request's NotAfter.
func (c *Client) dial(ctx context.Context, to origin, r *Request) (*conn, error) {
	ctx, cancel := until(ctx, r.Deadline)
	defer cancel()
	ctx, free := expiry.Bound(ctx, r.NotAfter)
	defer free()
	k, err := c.connect(ctx, to)
	if err != nil && expiry.Ended(ctx) {
		err = expiry.ErrExpired
	}
	return k, err
}

func (c *Client) connect(ctx context.Context, to origin) (*conn, error) {
	address, host := to.address()
	raw, err := c.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if to.scheme != "https" {
		return newConn(raw, raw, c.opts)
	}
	config := c.opts.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	secured := tls.Client(raw, config)
	shaking, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	if err := secured.HandshakeContext(shaking); err != nil {
		_ = raw.Close() // nothing was written to it
		return nil, handshakeError(err)
	}
	return newConn(secured, raw, c.opts)
}

// until returns ctx with a deadline, if there is one.
func until(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	if deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}
