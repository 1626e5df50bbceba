// Package aliyun holds what the Aliyun connectors share: a client for Aliyun's RPC-style
// APIs, the regions' endpoints and the catalogue of error codes.
//
// The SDK names the actions and reads the answers. This package signs the requests, as
// the SDK does, and sends them by package httpclient. It does not use the SDK's own
// Client, which is not safe to share, takes no context, retries requests that may have
// been accepted, puts bodies into URLs, panics on some answers, and costs several times
// as much as the rest of a message.
package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
	"github.com/codeferry/codeferry/sender/redact"
)

// DefaultTimeout bounds a request from its first byte out to its last byte in.
const DefaultTimeout = 10 * time.Second

// Client calls one endpoint with the keys of one source. Many goroutines can use it at
// once.
type Client struct {
	scheme, host string
	region       string
	timeout      time.Duration
	keys         *keyring
	// do is the Do of an httpclient.Client. fmt prints what a pointer leads to, which
	// would race with changes of the connections; it does not look into a function.
	do func(context.Context, *httpclient.Request) (*httpclient.Answer, error)
}

// NewClient returns a client for the account's Endpoint. Its error names what is
// wrong with it.
func NewClient(a Account) (*Client, error) {
	c, err := newClient(a.Endpoint, a.RegionID, a.Timeout, httpclient.Options{NetHTTP: a.NetHTTP})
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

// newClient returns a client without keys.
func newClient(endpoint, region string, timeout time.Duration, o httpclient.Options) (*Client, error) {
	scheme, host, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{scheme: scheme, host: host, region: region, timeout: timeout, do: httpclient.New(o).Do}, nil
}

// ParseEndpoint splits an endpoint into scheme and host. An endpoint is a host with an
// optional port, or a URL of scheme and host alone. A bare host means HTTPS.
func ParseEndpoint(endpoint string) (scheme, host string, err error) {
	u, err := httpclient.ParseEndpoint(endpoint, "a host such as dm.aliyuncs.com, or http://127.0.0.1:9090 for a fake")
	if err != nil {
		return "", "", err
	}
	return u.Scheme, u.Host, nil
}

// Do signs a request, sends it once and reads the answer into resp. It blocks until the
// answer has come, the client's time-out is over or ctx ends. If it must fetch keys
// first, it spends at most half of the time-out on them.
//
// Its error is a *sender.Error. An answer with a 2xx status is not an error here,
// whatever its Code: the caller judges the Code.
func (c *Client) Do(ctx context.Context, a Action, params Params, resp responses.AcsResponse) error {
	return c.DoBefore(ctx, time.Time{}, a, params, resp)
}

// DoBefore is Do for a request that must leave before notAfter. If it can't, it is not
// sent, and the error has sender.CodeExpired. Zero means no bound.
func (c *Client) DoBefore(ctx context.Context, notAfter time.Time, a Action, params Params, resp responses.AcsResponse) error {
	when := bounds{deadline: time.Now().Add(c.timeout), notAfter: notAfter}
	// A message must not wait so long for keys that no time is left for its answer.
	k, failed := c.keys.get(ctx, c.timeout/2, notAfter)
	if failed != nil {
		return failed
	}
	err := c.call(ctx, when, a, params, resp, k)
	if err == nil {
		return nil // a nil *sender.Error is not a nil error
	}
	if refusesKeys(err.Code) {
		c.keys.drop(k)
	}
	return err
}

// bounds are the Deadline and NotAfter of an httpclient.Request.
type bounds struct{ deadline, notAfter time.Time }

// call makes one request. It signs the request with k; if k is nil, the request stays
// unsigned. See Do.
func (c *Client) call(ctx context.Context, when bounds, a Action, params Params, resp responses.AcsResponse, k *keys) (failed *sender.Error) {
	defer func() {
		if r := recover(); r != nil {
			// An answer that the SDK can't read may be that to an accepted message.
			failed = &sender.Error{Class: sender.Unknown, Code: "SDK.Panic", Detail: "the Aliyun SDK failed on the provider's answer"}
		}
	}()
	s := signer{now: time.Now()}
	if k != nil {
		s.keys, s.nonce = k, newNonce()
	}
	out := s.sign(a, c.region, params)
	answer, err := c.do(ctx, &httpclient.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: c.scheme, Host: c.host, Path: "/", RawQuery: out.query},
		Header: a.header,
		Body:   out.body, Deadline: when.deadline, NotAfter: when.notAfter,
	})
	if err != nil {
		return httpclient.Failure(err, noAnswer)
	}
	if answer.Status < 200 || answer.Status > 299 {
		return answerError(answer, params)
	}
	if failed := answer.Failure(noAnswer); failed != nil {
		return failed
	}
	if err := responses.Unmarshal(resp, answer.Response(), "JSON"); err != nil { //nolint:bodyclose // its body is in memory
		return &sender.Error{Class: sender.Unknown, Code: "SDK.JsonUnmarshalError", Detail: "the provider's answer is not the JSON that was expected"}
	}
	return nil
}

// noAnswer uses the SDK's codes, if the SDK has one.
var noAnswer = httpclient.Codes{Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout"}

// answerError reads an answer with a status other than 2xx.
func answerError(from *httpclient.Answer, params Params) *sender.Error {
	var answer struct {
		Code, Message any
		RequestID     any `json:"RequestId"`
	}
	err := from.Broken
	if err == nil {
		err = json.Unmarshal(from.Body, &answer)
	}
	code, _ := answer.Code.(string)
	var e *sender.Error
	if err != nil || code == "" {
		e = &sender.Error{
			Class: sender.Unknown, Scope: sender.ScopeConnector, Code: fmt.Sprintf("HTTP.%d", from.Status),
			Detail: "the provider's answer has no code of its own",
		}
		if from.Status == http.StatusTooManyRequests {
			e.Class = sender.Throttled // a gateway refused it, and has not passed the request on
		}
	} else {
		message, _ := answer.Message.(string)
		requestID, _ := answer.RequestID.(string)
		e = NewError(code, message, requestID, from.Status, params)
	}
	now := time.Now()
	explainClock(e, from.Header, now)
	e.RetryAfter = max(e.RetryAfter, httpclient.RetryAfter(from.Header, now))
	return e
}

// codeOK is the only Code of the SMS products that means success. The HTTP status is 200
// either way.
const codeOK = "OK"

// CodeError returns the error of an SMS product's answer with an HTTP status of 200, and nil
// if its Code means success. See NewError.
func CodeError(code, message, requestID string, params Params) error {
	if code == codeOK {
		return nil
	}
	return NewError(code, message, requestID, http.StatusOK, params)
}

// NewError classes an answer by its code. An empty code is doubt. The error holds message
// without the recipient and without what params, the parameters sent, hold.
func NewError(code, message, requestID string, status int, params Params) *sender.Error {
	m := classify(code, status)
	r := redactor(params)
	e := &sender.Error{Class: m.class, Scope: m.scope, Code: code, Detail: r.Line(withoutSigned(message)), RequestID: requestID}
	if r.Shows(code) {
		e.Code = r.Line(code)
	}
	if r.Shows(requestID) {
		e.RequestID = redact.Marker
	}
	switch {
	case refusesKeys(code):
		e.Advice = refusedKeysAdvice
	case code == "":
		e.Code, e.Detail = "SDK.NoCode", "the provider's answer has no code"
	case e.Class == sender.RecipientLimited:
		e.RetryAfter = LimitWindow(code, e.Detail) // a user's name can look like that of a window
	}
	return e
}
