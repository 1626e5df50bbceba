// Package httpclient makes HTTP exchanges and knows how far each one came. If a request
// may have reached the provider, a failure is doubt; if not, the message can be tried
// again.
//
// It speaks HTTP/1.1 over its own connections, and reads answers with net/http's
// ReadResponse. net/http's Transport wakes two goroutines for each request, which takes
// CPU (docs/performance.md says how much). The Transport still makes the requests through
// a proxy, all requests of a Client with Options.NetHTTP, and all requests on systems
// that can't tell whether anything has come over a connection (Windows). Both paths
// behave the same, and share one table of tests.
package httpclient

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/codeferry/codeferry/sender/internal/expiry"
	"github.com/codeferry/codeferry/sender/internal/tcp"
)

// Options say how a Client makes its exchanges. The zero value is valid.
type Options struct {
	// MaxAnswer bounds an answer's body, in bytes; its header has at most 32 KiB. Default:
	// 256 KiB. Real bodies have a few hundred bytes, and a list 10 KiB.
	MaxAnswer int64
	// ConnectTimeout bounds connecting, and separately the TLS handshake. Default: 5s.
	ConnectTimeout time.Duration
	// IdleTimeout is how long an idle connection is kept. Default: 30s. A negative value
	// keeps none.
	IdleTimeout time.Duration
	// MaxAge is how long a new connection takes requests. The next connection resolves the
	// host's name again. A request in flight is not cut off. Default: 5m.
	MaxAge time.Duration
	// NetHTTP makes all requests by net/http. Default: false, which uses it only for
	// requests through a proxy.
	NetHTTP bool
	// TLS is for https. Default: at least version 1.2, and the system's authorities.
	// Sessions are resumed without early data: nothing of a request leaves before the end
	// of the handshake.
	TLS *tls.Config
	// Proxy selects a request's proxy, as in http.Transport. Default:
	// http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// Now is the clock that decides whether a request is too late, or a connection too
	// old. Default: time.Now.
	Now func() time.Time
}

func (o Options) withDefaults() Options {
	if o.MaxAnswer <= 0 {
		o.MaxAnswer = 256 << 10
	}
	if o.ConnectTimeout <= 0 {
		o.ConnectTimeout = 5 * time.Second
	}
	if o.IdleTimeout == 0 {
		o.IdleTimeout = 30 * time.Second
	}
	if o.MaxAge <= 0 {
		o.MaxAge = 5 * time.Minute
	}
	if o.TLS == nil {
		o.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	o.TLS = o.TLS.Clone()
	if len(o.TLS.NextProtos) == 0 {
		o.TLS.NextProtos = []string{"http/1.1"} // a server that speaks only HTTP/2 refuses in the handshake
	}
	if o.TLS.ClientSessionCache == nil {
		o.TLS.ClientSessionCache = tls.NewLRUClientSessionCache(0) // of crypto/tls's default size
	}
	if o.Proxy == nil {
		o.Proxy = http.ProxyFromEnvironment
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// Client makes exchanges. Each one has a connection for itself, which is kept for the
// next exchange. A Client follows no redirect, which could send a code to another server,
// and repeats no request that may have left. Many goroutines can use it at once.
type Client struct {
	opts       Options
	dialer     *net.Dialer
	idle       *idle
	transports *transports
}

// New returns a client. It needs no closing: an unused connection closes after
// IdleTimeout.
func New(opts Options) *Client {
	opts = opts.withDefaults()
	dialer := &net.Dialer{Timeout: opts.ConnectTimeout, KeepAliveConfig: tcp.KeepAlive, Control: tcp.Control}
	return &Client{opts: opts, dialer: dialer, idle: newIdle(opts), transports: newTransports(opts, dialer)}
}

// Error is the error of an exchange without an answer.
type Error struct {
	// Left is true if the request may have reached the server, and the server may have
	// acted on it.
	Left bool
	// Err is what happened.
	Err error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Do makes an exchange. It blocks until the answer has come, the request's deadline is
// over or ctx ends; without a deadline it can wait for ever. Its error is an *Error. It
// wraps expiry.ErrExpired if the request's NotAfter came before the request could leave.
//
// An answer with any status is not an error. An answer that broke after its header is not
// one either.
//
// If no answer comes over a kept connection, in time or at all, the network may have
// forgotten it and the others. Do then closes all connections kept to the same origin, so
// the next exchange dials.
func (c *Client) Do(ctx context.Context, r *Request) (*Answer, error) {
	if err := ctx.Err(); err != nil {
		return nil, &Error{Err: err}
	}
	if !r.Deadline.IsZero() && !time.Now().Before(r.Deadline) {
		return nil, &Error{Err: context.DeadlineExceeded}
	}
	if expiry.Over(r.NotAfter, c.opts.Now()) {
		return nil, &Error{Err: expiry.ErrExpired}
	}
	proxy, err := c.opts.Proxy(&http.Request{URL: r.URL})
	if err != nil {
		return nil, &Error{Err: err}
	}
	to, err := r.check()
	if err != nil {
		return nil, &Error{Err: err}
	}
	if proxy != nil || c.opts.NetHTTP || !tcp.CanListen {
		return c.doNetHTTP(ctx, to, proxy, r)
	}
	return c.doDirect(ctx, to, r)
}

func (c *Client) doDirect(ctx context.Context, to origin, r *Request) (*Answer, error) {
	out, _ := outs.Get().(*out)
	defer outs.Put(out)
	out.write(to, r)
	for {
		k := c.idle.take(to)
		kept := k != nil
		if !kept {
			var err error
			if k, err = c.dial(ctx, to, r); err != nil {
				return nil, &Error{Err: err}
			}
		}
		if expiry.Over(r.NotAfter, c.opts.Now()) {
			c.idle.put(to, k) // nothing of the request was written to it
			return nil, &Error{Err: expiry.ErrExpired}
		}
		answer, left, err := k.exchange(ctx, r.Deadline, out)
		if err == nil && answer.Broken != nil {
			answer.Broken = cmp.Or(ctx.Err(), answer.Broken) // ctx broke the connection
		}
		switch {
		case err == nil && k.reusable:
			c.idle.put(to, k)
			return answer, nil
		case err == nil:
			k.abort()
			return answer, nil
		case ctx.Err() != nil:
			err = ctx.Err() // ctx broke the connection
		case kept && !left && !errors.Is(err, os.ErrDeadlineExceeded):
			k.abort() // the server had closed it
			continue
		}
		k.abort()
		if kept && lost(err) {
			c.idle.drop(to)
		}
		return nil, &Error{Left: left, Err: err}
	}
}
