// Package aliyun is what the Aliyun connectors share: a client for Aliyun's
// RPC-style APIs, the regions' endpoints and the catalogue of error codes.
//
// The SDK defines the requests, signs them and reads the answers; the requests
// travel over net/http. The SDK's own Client is not used: it is not safe to
// share, takes no context, retries what may have been accepted, puts bodies
// into URLs and panics on some answers.
package aliyun

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
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
	// do is an http.Client's; fmt does not look behind a function, as it does behind
	// a pointer while connections come and go.
	do func(*http.Request) (*http.Response, error)
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
	client := &http.Client{
		Transport: transport,
		// A redirect would carry a code to where nobody asked for it.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Client{scheme: scheme, host: host, region: region, timeout: timeout, do: client.Do}, nil
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

// Do signs req, sends it once and reads the answer into resp. The parameters
// in form travel in the body: the SDK would put them into the URL, and so into
// access logs, when they stood in the request's fields. Do blocks until the
// answer is there, the client's time-out is over or ctx ends. Where keys have to
// be asked for first, that takes at most half of the time-out.
//
// Its error is an *sender.Error. An answer with a 2xx status is no error here,
// whatever its Code: that is the caller's to judge.
func (c *Client) Do(ctx context.Context, req requests.AcsRequest, form map[string]string, resp responses.AcsResponse) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	signer, failed := c.signer(ctx)
	if failed != nil {
		return failed
	}
	err := c.call(ctx, req, form, resp, signer)
	if err != nil && refusesKeys(sender.AsError(err).Code) {
		c.keys.drop(signer)
	}
	return err
}

// signer returns the keys to sign with. A message that has not got them must not
// leave so late that its answer is missed.
func (c *Client) signer(ctx context.Context) (*keys, *sender.Error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout/2)
	defer cancel()
	return c.keys.get(ctx)
}

// call makes one request, signed by signer, or not signed where that is nil. See
// Do.
func (c *Client) call(ctx context.Context, req requests.AcsRequest, form map[string]string, resp responses.AcsResponse, signer *keys) (err error) {
	defer func() {
		if r := recover(); r != nil {
			// What the SDK can't read may be the answer to a message that was accepted.
			err = &sender.Error{Class: sender.Unknown, Code: "SDK.Panic", Detail: "the Aliyun SDK failed on the provider's answer"}
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	wrote := new(atomic.Bool)
	hreq, err := c.request(ctx, req, form, signer, wrote)
	if err != nil {
		return &sender.Error{Class: sender.Misconfigured, Code: "SDK.Sign", Detail: "the request could not be signed: " + err.Error()}
	}
	hresp, err := c.do(hreq)
	if err != nil {
		return transportError(err, wrote.Load())
	}
	defer func() { _ = hresp.Body.Close() }()
	if hresp.StatusCode < 200 || hresp.StatusCode > 299 {
		return answerError(hresp, form)
	}
	hresp.Body = http.MaxBytesReader(nil, hresp.Body, maxAnswer)
	if err := responses.Unmarshal(resp, hresp, "JSON"); err != nil {
		return &sender.Error{Class: sender.Unknown, Code: "SDK.JsonUnmarshalError", Detail: "the provider's answer is not the JSON that it should be"}
	}
	return nil
}

// request signs req by the SDK and makes an HTTP request of it. wrote tells
// later whether a header of it may have left.
func (c *Client) request(ctx context.Context, req requests.AcsRequest, form map[string]string, signer *keys, wrote *atomic.Bool) (*http.Request, error) {
	maps.Copy(req.GetFormParams(), form)
	req.SetScheme(c.scheme)
	req.SetDomain(c.host)
	if signer == nil {
		anonymous(req)
	} else if err := auth.Sign(req, nil, c.region, signer); err != nil {
		return nil, err
	}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { wrote.Store(true) }})
	hreq, err := http.NewRequestWithContext(ctx, http.MethodPost, req.BuildUrl(), req.GetBodyReader())
	if err != nil {
		return nil, errors.New("the endpoint makes no URL")
	}
	for k, v := range req.GetHeaders() {
		hreq.Header.Set(k, v)
	}
	return hreq, nil
}

// anonymous gives a request what the SDK's signer gives it beside a signature.
func anonymous(req requests.AcsRequest) {
	maps.Copy(req.GetQueryParams(), map[string]string{
		"Version":   req.GetVersion(),
		"Action":    req.GetActionName(),
		"Format":    req.GetAcceptFormat(),
		"Timestamp": time.Now().UTC().Format("2006-01-02T15:04:05Z"),
	})
	req.GetHeaders()["Content-Type"] = requests.Form
}

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
func answerError(hresp *http.Response, form map[string]string) *sender.Error {
	var answer struct {
		Code, Message any
		RequestID     any `json:"RequestId"`
	}
	body, err := io.ReadAll(io.LimitReader(hresp.Body, maxAnswer))
	if err == nil {
		err = json.Unmarshal(body, &answer)
	}
	code, _ := answer.Code.(string)
	var e *sender.Error
	if err != nil || code == "" {
		e = &sender.Error{
			Class: sender.Unknown, Code: fmt.Sprintf("HTTP.%d", hresp.StatusCode),
			Detail: "the provider's answer has no code of its own",
		}
		if hresp.StatusCode == http.StatusTooManyRequests {
			e.Class = sender.Throttled // a gateway's; it has not passed the request on
		}
	} else {
		message, _ := answer.Message.(string)
		requestID, _ := answer.RequestID.(string)
		e = NewError(code, message, requestID, hresp.StatusCode, form)
	}
	e.RetryAfter = max(e.RetryAfter, retryAfter(hresp.Header, time.Now()))
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
// it keeps what says nothing of the recipient and the text in form, the
// parameters that were sent.
func NewError(code, message, requestID string, status int, form map[string]string) *sender.Error {
	e := &sender.Error{Class: Classify(code, status), Code: code, Detail: clean(message, form), RequestID: requestID}
	switch {
	case code == "":
		e.Code, e.Detail = "SDK.NoCode", "the provider's answer has no code"
	case e.Class == sender.RecipientLimited:
		e.RetryAfter = LimitWindow(code, message)
	}
	return e
}
