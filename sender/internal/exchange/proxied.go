package exchange

import (
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync/atomic"
)

// newTransport returns what makes the exchanges that go through a proxy.
func newTransport(opts Options, dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		Proxy:                  opts.Proxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        opts.TLS.Clone(),
		TLSHandshakeTimeout:    opts.ConnectTimeout,
		DisableKeepAlives:      opts.IdleTimeout < 0,
		DisableCompression:     true,
		MaxResponseHeaderBytes: opts.MaxAnswer,
		// A connection a slot is kept, however many slots there are.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     max(0, opts.IdleTimeout),
	}
}

func (c *Client) doProxied(ctx context.Context, r *Request) (*Answer, error) {
	ctx, cancel := until(ctx, r.Deadline)
	defer cancel()
	var left atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		// net/http takes a second connection only where nothing was written to the
		// first, a kept one that the other side had closed.
		GetConn:      func(string) { left.Store(false) },
		WroteHeaders: func() { left.Store(true) },
	})
	req := (&http.Request{
		Method: r.Method, URL: r.URL, Host: r.URL.Host, Header: r.Header.Clone(),
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.Body)),
		// With it net/http can begin a request anew of which nothing was written.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil },
	}).WithContext(ctx)
	if len(r.Body) > 0 {
		req.Body, _ = req.GetBody() // it has no error to give
	}
	answer, err := c.proxied.RoundTrip(req)
	if err == nil {
		if err = possible(answer); err != nil {
			_ = answer.Body.Close() // nothing is expected of it
		}
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, &Error{Left: left.Load(), Err: ctx.Err()}
	case err != nil && left.Load():
		return nil, &Error{Left: true, Err: unquoted(err)}
	case err != nil:
		return nil, &Error{Err: err}
	}
	body, broken := io.ReadAll(&limited{from: answer.Body, most: c.opts.MaxAnswer})
	_ = answer.Body.Close() // what is needed of it has been read
	return &Answer{answer.StatusCode, answer.Header, body, broken}, nil
}
