// Package aliyun is what the Aliyun connectors share: a client for Aliyun's
// RPC-style APIs, the regions' endpoints and the catalogue of error codes.
//
// The SDK says which actions there are and reads the answers; the requests are signed
// here, as the SDK signs them, and travel over net/http. The SDK's own Client is not used:
// it is not safe to share, takes no context, retries what may have been accepted,
// puts bodies into URLs, panics on some answers, and costs several times what the
// rest of a message does.
package aliyun

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/codeferry/codeferry/sender"
)

// Time-outs of a request.
const (
	// DefaultTimeout bounds a request from its first byte out to its last byte in.
	DefaultTimeout = 10 * time.Second
	connectTimeout = 5 * time.Second
)

// maxAnswer bounds what is read of an answer; real ones have a few hundred bytes.
const maxAnswer = 1 << 20

// Client calls one endpoint with the keys of one source. It may be used by many
// goroutines at once.
type Client struct {
	scheme, host string
	region       string
	timeout      time.Duration
	keys         *keyring
	// send is an http.Transport's: it follows no redirect, which would carry a code to
	// where nobody asked for it. fmt does not look behind a function, as it does behind
	// a pointer while connections come and go.
	send func(*http.Request) (*http.Response, error)
}

// NewClient returns a client for the account's Endpoint. Its error names what is
// wrong with it.
func NewClient(a Account) (*Client, error) {
	c, err := newClient(a.Endpoint, a.RegionID, a.Timeout, newTransport())
	if err != nil {
		return nil, fmt.Errorf("endpoint %w", err)
	}
	from, err := sourceOf(a)
	if err != nil {
		return nil, err
	}
	c.keys = newKeyring(from)
	return c, nil
}

// newClient returns a client that has no keys.
func newClient(endpoint, region string, timeout time.Duration, transport *http.Transport) (*Client, error) {
	scheme, host, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{scheme: scheme, host: host, region: region, timeout: timeout, send: transport.RoundTrip}, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout:   connectTimeout,
		ExpectContinueTimeout: time.Second,
		// A connection a slot is kept, however many slots there are.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     30 * time.Second,
	}
}

// ParseEndpoint takes an endpoint apart: a host with an optional port, or a URL
// that is one. A bare host means HTTPS.
func ParseEndpoint(endpoint string) (scheme, host string, err error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "https" && u.Scheme != "http" {
		return "", "", errors.New("is no endpoint; it takes a host such as dm.aliyuncs.com, or http://127.0.0.1:9090 for a stand-in")
	}
	return u.Scheme, u.Host, nil
}

// Do signs a request, sends it once and reads the answer into resp. Do
// blocks until the answer is there, the client's time-out is over or ctx ends. Where
// keys have to be asked for first, that takes at most half of the time-out.
//
// Its error is an *sender.Error. An answer with a 2xx status is no error here,
// whatever its Code: that is the caller's to judge.
func (c *Client) Do(ctx context.Context, a Action, params Params, resp responses.AcsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	// A message that has not got its keys must not leave so late that its answer is
	// missed.
	k, failed := c.keys.get(ctx, c.timeout/2)
	if failed != nil {
		return failed
	}
	err := c.call(ctx, a, params, resp, k)
	if err == nil {
		return nil // a nil *sender.Error is not a nil error
	}
	if refusesKeys(err.Code) {
		c.keys.drop(k)
	}
	return err
}

// call makes one request, signed with k, or not signed where that is nil. See Do.
func (c *Client) call(ctx context.Context, a Action, params Params, resp responses.AcsResponse, k *keys) (failed *sender.Error) {
	defer func() {
		if r := recover(); r != nil {
			// What the SDK can't read may be the answer to a message that was accepted.
			failed = &sender.Error{Class: sender.Unknown, Code: "SDK.Panic", Detail: "the Aliyun SDK failed on the provider's answer"}
		}
	}()
	s := signer{now: time.Now()}
	if k != nil {
		s.keys, s.nonce = k.reveal(), newNonce()
	}
	out := s.sign(a, c.region, params)
	req := &http.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: c.scheme, Host: c.host, Path: "/", RawQuery: out.query},
		Host:   c.host,
		Header: http.Header{"Content-Type": {requests.Form}, "User-Agent": {userAgent}},
		Proto:  "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		ContentLength: int64(len(out.body)),
	}
	// net/http sends what it knows to lie in memory in one piece with the header.
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(out.body)), nil }
	req.Body, _ = req.GetBody()
	left := new(atomic.Bool)
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { left.Store(true) }})
	answer, err := c.send(req.WithContext(ctx))
	if err != nil {
		return transportError(err, left.Load())
	}
	defer func() { _ = answer.Body.Close() }()
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return answerError(answer, params)
	}
	answer.Body = http.MaxBytesReader(nil, answer.Body, maxAnswer)
	if err := responses.Unmarshal(resp, answer, "JSON"); err != nil {
		return &sender.Error{Class: sender.Unknown, Code: "SDK.JsonUnmarshalError", Detail: "the provider's answer is not the JSON that it should be"}
	}
	return nil
}

// userAgent names who asks.
const userAgent = "codeferry"

// transportError classes a request that got no answer. One whose headers had
// not been written can't have been accepted.
func transportError(err error, wrote bool) *sender.Error {
	e := &sender.Error{Class: sender.Unavailable, Code: "SDK.ConnectError", Detail: "the provider can't be reached: " + cause(err)}
	var netErr net.Error
	timeout := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
	switch {
	case wrote && timeout:
		return &sender.Error{Class: sender.Unknown, Code: "SDK.ReadTimeout", Detail: "no answer came in time"}
	case wrote:
		return &sender.Error{Class: sender.Unknown, Code: "SDK.ReadError", Detail: "the connection broke before the answer: " + cause(err)}
	case timeout:
		e.Code = "SDK.ConnectTimeout"
	}
	return e
}

// cause leaves the URL of a *url.Error away: its query holds the signature.
func cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// answerError reads an answer with a status other than 2xx.
func answerError(resp *http.Response, params Params) *sender.Error {
	var answer struct {
		Code, Message any
		RequestID     any `json:"RequestId"`
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(text, &answer)
	}
	code, _ := answer.Code.(string)
	var e *sender.Error
	if err != nil || code == "" {
		e = &sender.Error{
			Class: sender.Unknown, Code: fmt.Sprintf("HTTP.%d", resp.StatusCode),
			Detail: "the provider's answer has no code of its own",
		}
		if resp.StatusCode == http.StatusTooManyRequests {
			e.Class = sender.Throttled // a gateway's; it has not passed the request on
		}
	} else {
		message, _ := answer.Message.(string)
		requestID, _ := answer.RequestID.(string)
		e = NewError(code, message, requestID, resp.StatusCode, params)
	}
	e.RetryAfter = max(e.RetryAfter, retryAfter(resp.Header, time.Now()))
	return e
}

// maxRetryAfter bounds what a Retry-After may ask for.
const maxRetryAfter = time.Hour

// retryAfter reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3).
func retryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	d := time.Duration(0)
	if seconds, err := strconv.ParseUint(v, 10, 16); err == nil {
		d = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), maxRetryAfter)
}

// NewError classes an answer by its code. An empty code is doubt. Of the message
// it keeps what says nothing of the recipient and the text in params, what was sent.
func NewError(code, message, requestID string, status int, params Params) *sender.Error {
	e := &sender.Error{Class: Classify(code, status), Code: code, Detail: clean(message, params), RequestID: requestID}
	switch {
	case code == "":
		e.Code, e.Detail = "SDK.NoCode", "the provider's answer has no code"
	case e.Class == sender.RecipientLimited:
		e.RetryAfter = LimitWindow(code, message)
	}
	return e
}
