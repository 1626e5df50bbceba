// Package exchange makes HTTP exchanges and knows how far each came: whether a request
// may have reached the provider decides between another attempt and doubt.
//
// It speaks HTTP/1.1 over connections of its own, reading answers by net/http's
// ReadResponse. net/http's Transport wakes two goroutines for each request, which costs
// as much again as the rest of the exchange. It is still what goes through a proxy.
package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Options say how a Client makes its exchanges. The zero value is good.
type Options struct {
	// MaxAnswer bounds what is read of an answer, its header included, in bytes.
	// Default 1 MiB; real ones have a few hundred bytes.
	MaxAnswer int64
	// ConnectTimeout bounds the connecting, and once more the TLS handshake. Default 5s.
	ConnectTimeout time.Duration
	// IdleTimeout is how long a connection is kept that nothing goes over. Default 30s;
	// less than zero keeps none.
	IdleTimeout time.Duration
	// TLS is for https. Default: version 1.2 at least, and the system's authorities.
	TLS *tls.Config
	// Proxy chooses a request's proxy, as http.Transport's does. Default
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
}

func (o Options) withDefaults() Options {
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 1 << 20
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 30 * time.Second
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	return o
}

// Client makes exchanges, each over a connection of its own that is kept for the next.
// It follows no redirect, which would carry a code to where nobody asked for it, and
// repeats nothing that may have left. It may be used by many goroutines at once.
type Client struct {
	opts    Options
	dialer  *net.Dialer
	idle    *idle
	proxied *http.Transport
}

// New returns a client. It holds nothing that has to be closed: a connection that
// nobody uses closes after IdleTimeout.
func New(opts Options) *Client {
	opts = opts.withDefaults()
	dialer := &net.Dialer{Timeout: opts.ConnectTimeout, KeepAlive: 30 * time.Second}
	return &Client{opts: opts, dialer: dialer, idle: newIdle(opts.IdleTimeout), proxied: newTransport(opts, dialer)}
}

// Error is an exchange that brought no answer.
type Error struct {
	// Left tells that the request may have reached the other side.
	Left bool
	// Err is what happened.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Do makes an exchange. It blocks until the answer is there, the request's deadline is
// over or ctx ends; without any deadline it may wait for an answer for ever. Its error
// is an *Error.
//
// An answer of any status is no error, nor is one that broke after its header.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Err: err}
	}
	if !r.Deadline.IsZero() && !time.Now().Before(r.Deadline) {
		return nil, &Error{Err: context.DeadlineExceeded}
	}
	proxy, err := c.opts.Proxy(&http.Request{URL: r.URL})
	if err != nil {
		return nil, &Error{Err: err}
	}
	if proxy != nil || !canListen {
		return c.doProxied(ctx, r)
	}
	return c.doDirect(ctx, r)
}

func (c *Client) doDirect(ctx context.Context, r *Request) (*Answer, error) {
	to, err := originOf(r.URL)
	if err != nil {
		return nil, &Error{Err: err}
	}
	out, _ := outs.Get().(*out)
	defer outs.Put(out)
	if err := out.write(to, r); err != nil {
		return nil, &Error{Err: err}
	}
	for {
		k := c.idle.take(to)
		kept := k != nil
		if !kept {
			if k, err = c.dial(ctx, to, r.Deadline); err != nil {
				return nil, &Error{Err: err}
			}
		}
		answer, left, err := k.exchange(ctx, r.Deadline, out)
		switch {
		case err == nil && k.reusable:
			c.idle.put(to, k)
			return answer, nil
		case err == nil:
			k.abort()
			return answer, nil
		case ctx.Err() != nil:
			err = ctx.Err() // it is what broke the connection
		case kept && !left && !errors.Is(err, os.ErrDeadlineExceeded):
			k.abort() // the other side had closed it
			continue
		}
		k.abort()
		return nil, &Error{Left: left, Err: err}
	}
}
