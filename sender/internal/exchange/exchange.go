// Package exchange makes HTTP exchanges and knows how far each came: whether a request
// may have reached the provider decides between another attempt and doubt.
//
// It speaks HTTP/1.1 over connections of its own, reading answers by net/http's
// ReadResponse. net/http's Transport wakes two goroutines for each request, which
// costs a worker as much again as all else that it does for a message. It is still
// what goes through a proxy.
package exchange

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
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

// Request is what goes out. Its header's Host and Content-Length are made of the rest.
type Request struct {
	Method string
	URL    *url.URL
	Header http.Header
	Body   []byte
	// Deadline is when the exchange has to be over, beside the context's; zero for none.
	// It costs less than a context of its own.
	Deadline time.Time
}

// Answer is what came back, of whatever status.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
	// Broken is why Body is not whole.
	Broken error
}

// Response gives the answer to what takes net/http's. It needs no closing; its body
// fails at its end where it is not whole.
func (a *Answer) Response() *http.Response {
	return &http.Response{
		Status: strconv.Itoa(a.Status) + " " + http.StatusText(a.Status), StatusCode: a.Status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: a.Header, Body: newHeld(a.Body, a.Broken), ContentLength: -1,
	}
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

// origin is where a request goes (RFC 6454).
type origin struct{ scheme, host string }

// originOf returns a URL's. Its error says what can't be one.
func originOf(u *url.URL) (origin, error) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return origin{}, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	}
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || host == "" || !httpguts.ValidHostHeader(host) {
		return origin{}, fmt.Errorf("host %q can't be one", u.Host)
	}
	return origin{u.Scheme, host}, nil
}

// address is what is dialled.
func (o origin) address() (address, host string) {
	u := url.URL{Host: o.host}
	port := u.Port()
	if port == "" {
		port = "443"
		if o.scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port), u.Hostname()
}

// named is the host as a request's header has it: a zone means something on this
// machine alone (RFC 6874).
func (o origin) named() string {
	zone := strings.IndexByte(o.host, '%')
	if end := strings.LastIndexByte(o.host, ']'); zone >= 0 && zone < end {
		return o.host[:zone] + o.host[end:]
	}
	return o.host
}

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

// write makes the request's bytes. Its error says what can't stand in a request.
func (o *out) write(to origin, r *Request) error {
	path := r.URL.EscapedPath()
	switch {
	case r.Method == http.MethodHead:
		return errors.New("HEAD is not made here: its answer's length is that of no body")
	case !httpguts.ValidHeaderFieldName(r.Method) || strings.ContainsFunc(path, control) || strings.ContainsFunc(r.URL.RawQuery, control):
		return errors.New("the method or the URL has characters that it can't have")
	}
	b := append(append(o.bytes[:0], r.Method...), ' ')
	if !strings.HasPrefix(path, "/") {
		b = append(b, '/') // as a URL's String has it
	}
	b = append(b, path...)
	if r.URL.RawQuery != "" {
		b = append(append(b, '?'), r.URL.RawQuery...)
	}
	b = append(append(b, " HTTP/1.1\r\nHost: "...), to.named()...)
	for name, values := range r.Header {
		if added[textproto.CanonicalMIMEHeaderKey(name)] {
			continue
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("header %q has characters that it can't have", name) // its value may be a key
			}
			b = append(append(append(append(b, "\r\n"...), name...), ": "...), v...)
		}
	}
	if len(r.Body) > 0 || r.Method != http.MethodGet {
		b = strconv.AppendInt(append(b, "\r\nContent-Length: "...), int64(len(r.Body)), 10)
	}
	b = append(b, "\r\n\r\n"...)
	o.header = len(b)
	b = append(b, r.Body...)
	o.bytes = b
	return nil
}

// added are the header fields that the rest of a request says.
var added = map[string]bool{"Host": true, "Content-Length": true, "Transfer-Encoding": true, "Trailer": true}

func control(r rune) bool { return r <= ' ' || r == 0x7f }
