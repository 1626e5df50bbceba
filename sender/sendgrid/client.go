package sendgrid

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/codeferry/codeferry/sender"
)

const (
	connectTimeout = 5 * time.Second
	// maxAnswer and maxHeader bound what is read of an answer; real ones have a few
	// hundred bytes, and the scopes of a key with full access a few thousand.
	maxAnswer = 1 << 20
	maxHeader = 64 << 10
)

// client calls one endpoint with one key. The library's own client is not used:
// all of a process share it, it has no time-out, follows redirects, and reads
// answers without an end.
type client struct {
	endpoint *url.URL
	key      sender.Secret
	timeout  time.Duration
	http     *http.Client
}

func newClient(endpoint *url.URL, key sender.Secret, timeout time.Duration) *client {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &client{endpoint: endpoint, key: key, timeout: timeout, http: &http.Client{
		Transport: newTransport(),
		// A redirect would carry the key and a code to where nobody asked for it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:    connectTimeout,
		MaxResponseHeaderBytes: maxHeader,
		// A connection a slot is kept, however many slots there are.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     30 * time.Second,
	}
}

// do makes one request. It blocks until the answer is there, the client's time-out
// is over or ctx ends. An answer of any status is no error here. No error, now or
// made of the answer, holds anything of what is private.
func (c *client) do(ctx context.Context, method, path string, body []byte, p private) (*answer, *sender.Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	wrote := new(atomic.Bool) // whether a whole header may have left
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})

	req, err := http.NewRequestWithContext(ctx, method, c.endpoint.JoinPath(path).String(), bytes.NewReader(body))
	if err != nil {
		return nil, &sender.Error{Class: sender.Misconfigured, Code: "endpoint", Detail: "the endpoint makes no URL"}
	}
	req.Header.Set("Authorization", "Bearer "+c.key.Reveal())
	req.Header.Set("Accept", "application/json")
	req.Header.Set("User-Agent", "codeferry")
	if len(body) > 0 {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, transportError(err, wrote.Load(), p)
	}
	defer func() { _ = resp.Body.Close() }()
	a := &answer{status: resp.StatusCode, header: resp.Header, private: p}
	a.body, a.broken = io.ReadAll(http.MaxBytesReader(nil, resp.Body, maxAnswer))
	return a, nil
}

// transportError classes a request that got no answer. One whose header had not
// been written can't have been accepted.
func transportError(err error, wrote bool, p private) *sender.Error {
	var netErr net.Error
	timeout := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
	switch {
	case wrote && timeout:
		return &sender.Error{Class: sender.Unknown, Code: "read-timeout", Detail: "no answer came in time"}
	case wrote:
		return &sender.Error{Class: sender.Unknown, Code: "read-error", Detail: "the connection broke before the answer: " + cause(err, p)}
	case timeout:
		return &sender.Error{Class: sender.Unavailable, Code: "connect-timeout", Detail: "the provider can't be reached in time: " + cause(err, p)}
	}
	return &sender.Error{Class: sender.Unavailable, Code: "connect-error", Detail: "the provider can't be reached: " + cause(err, p)}
}

// cause leaves the method and the URL of a *url.Error away. An answer that is no
// HTTP is quoted in it.
func cause(err error, p private) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return p.clean(err.Error())
}
