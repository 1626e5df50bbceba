package httpclient

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// transports makes exchanges by net/http. Each origin has its own transport, so its
// connections can be closed alone. net/http has no maximum age of a connection, so the
// transport is replaced at MaxAge: none of its connections is older.
type transports struct {
	opts   Options
	dialer *net.Dialer

	mu       sync.Mutex
	byOrigin map[origin]transport
}

type transport struct {
	*http.Transport
	// born is when it was made.
	born time.Time
}

func newTransports(opts Options, dialer *net.Dialer) *transports {
	return &transports{opts: opts, dialer: dialer, byOrigin: make(map[origin]transport)}
}

func (t *transports) of(to origin) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.opts.Now()
	have, ok := t.byOrigin[to]
	if ok && now.Sub(have.born) < t.opts.MaxAge {
		return have.Transport
	}
	if ok {
		have.CloseIdleConnections() // connections in use close after their answer
	}
	made := transport{newTransport(t.opts, t.dialer), now}
	t.byOrigin[to] = made
	return made.Transport
}

func newTransport(opts Options, dialer *net.Dialer) *http.Transport {
	return &http.Transport{
		Proxy:                  opts.Proxy,
		OnProxyConnectResponse: RefusedByProxy,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        opts.TLS.Clone(),
		TLSHandshakeTimeout:    opts.ConnectTimeout,
		DisableKeepAlives:      opts.IdleTimeout < 0,
		DisableCompression:     true,
		MaxResponseHeaderBytes: maxHeader,
		// One connection for each slot is kept, for any number of slots.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     max(0, opts.IdleTimeout),
	}
}

// newRequest makes net/http's request from a checked one. It has the same header as a
// request of our own path.
func newRequest(ctx context.Context, r *Request) *http.Request {
	u := &url.URL{Scheme: r.URL.Scheme, Host: r.URL.Host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
	if !strings.HasPrefix(u.Path, "/") {
		u.Path, u.RawPath = "/"+u.Path, "/"+u.RawPath // net/http ignores a RawPath that does not fit Path
	}
	header := http.Header{"User-Agent": nil} // nil makes net/http send none
	maps.Insert(header, r.fields())
	req := (&http.Request{
		Method: r.Method, URL: u, Host: u.Host, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(r.Body)),
		// With GetBody, net/http can repeat a request of which nothing was written.
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(r.Body)), nil },
	}).WithContext(ctx)
	if len(r.Body) > 0 {
		req.Body, _ = req.GetBody() // it returns no error
	}
	return req
}

func (c *Client) doNetHTTP(ctx context.Context, to origin, proxy *url.URL, r *Request) (*Answer, error) {
	ctx, cancel := until(ctx, r.Deadline)
	defer cancel()
	h, going, free := handOver(ctx, r.NotAfter, c.opts.Now)
	defer free()
	transport := c.transports.of(to)
	answer, err := transport.RoundTrip(newRequest(going, r))
	expired := errors.Is(context.Cause(going), expiry.ErrExpired)
	if err == nil {
		if err = possible(answer); err != nil || expired {
			_ = answer.Body.Close() // nothing is expected of it
		}
	}
	if err != nil && !expired && h.overKept() && lost(cmp.Or(ctx.Err(), err)) {
		transport.CloseIdleConnections()
	}
	var other error
	if err != nil && !h.overKept() {
		other = quotedProtocol(err)
	}
	switch {
	case expired: // an answer to a request that did not leave
		return nil, &Error{Err: expiry.ErrExpired}
	case other != nil: // what was written was no request to it
		return nil, &Error{Err: other}
	case err != nil && ctx.Err() != nil:
		return nil, &Error{Left: h.left(), Err: ctx.Err()}
	case err != nil && h.left():
		return nil, &Error{Left: true, Err: unquoted(err)}
	case err != nil:
		return nil, &Error{Err: handshakeError(throughProxy(err, proxy, to.scheme))}
	case answer.StatusCode == http.StatusProxyAuthRequired && proxy != nil:
		_ = answer.Body.Close() // it is the proxy's (RFC 9110, 15.5.8), which has passed nothing on
		return nil, &Error{Err: &ProxyError{Host: proxy.Host, Variable: proxyVariable(to.scheme), Status: answer.StatusCode}}
	}
	var body []byte
	var broken error
	if answer.StatusCode != http.StatusSwitchingProtocols { // whose body is the connection
		body, broken = io.ReadAll(&limited{from: answer.Body, most: c.opts.MaxAnswer})
	}
	_ = answer.Body.Close() // what is needed of it has been read
	// At the end of ctx net/http closes the connection, which can look like the end of a
	// body that has no other.
	if toItsEnd := answer.ContentLength < 0 && len(answer.TransferEncoding) == 0; broken != nil || toItsEnd {
		broken = cmp.Or(ctx.Err(), unquoted(broken))
	}
	return &Answer{answer.StatusCode, answer.Header, body, broken}, nil
}
