package exchange

import (
	"context"
	"crypto/tls"
	"time"
)

// dial connects to an origin.
func (c *Client) dial(ctx context.Context, to origin, deadline time.Time) (*conn, error) {
	ctx, cancel := until(ctx, deadline)
	defer cancel()
	address, host := to.address()
	raw, err := c.dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if to.scheme != "https" {
		return newConn(raw, raw, c.opts.MaxAnswer)
	}
	config := c.opts.TLS.Clone()
	if config.ServerName == "" {
		config.ServerName = host
	}
	secured := tls.Client(raw, config)
	shaking, cancel := context.WithTimeout(ctx, c.opts.ConnectTimeout)
	defer cancel()
	if err := secured.HandshakeContext(shaking); err != nil {
		_ = raw.Close() // nothing has gone over it
		return nil, err
	}
	return newConn(secured, raw, c.opts.MaxAnswer)
}

// until gives a context a deadline, where there is one.
func until(ctx context.Context, deadline time.Time) (context.Context, context.CancelFunc) {
	if deadline.IsZero() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, deadline)
}
