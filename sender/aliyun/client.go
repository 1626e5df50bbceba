// Package aliyun is what the Aliyun connectors share: a client for Aliyun's
// RPC-style APIs, the regions' endpoints and the catalogue of error codes.
//
// The SDK says which actions there are and reads the answers; the requests are signed
// here, as the SDK signs them, and travel by package exchange. The SDK's own Client is not used:
// it is not safe to share, takes no context, retries what may have been accepted,
// puts bodies into URLs, panics on some answers, and costs several times what the
// rest of a message does.
package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// DefaultTimeout bounds a request from its first byte out to its last byte in.
const DefaultTimeout = 10 * time.Second

// Client calls one endpoint with the keys of one source. It may be used by many
// goroutines at once.
type Client struct {
	scheme, host string
	region       string
	timeout      time.Duration
	keys         *keyring
	// exchange is an exchange.Client's Do. fmt does not look behind a function, as it does
	// behind a pointer while connections come and go.
	exchange func(context.Context, *exchange.Request) (*exchange.Answer, error)
}

// NewClient returns a client for the account's Endpoint. Its error names what is
// wrong with it.
func NewClient(a Account) (*Client, error) {
	c, err := newClient(a.Endpoint, a.RegionID, a.Timeout, exchange.Options{})
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
func newClient(endpoint, region string, timeout time.Duration, o exchange.Options) (*Client, error) {
	scheme, host, err := ParseEndpoint(endpoint)
	if err != nil {
		return nil, err
	}
	if timeout <= 0 {
		timeout = DefaultTimeout
	}
	return &Client{scheme: scheme, host: host, region: region, timeout: timeout, exchange: exchange.New(o).Do}, nil
}

// ParseEndpoint takes an endpoint apart: a host with an optional port, or a URL
// that is one. A bare host means HTTPS.
func ParseEndpoint(endpoint string) (scheme, host string, err error) {
	u, err := exchange.ParseEndpoint(endpoint, "a host such as dm.aliyuncs.com, or http://127.0.0.1:9090 for a stand-in")
	if err != nil {
		return "", "", err
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
	deadline := time.Now().Add(c.timeout)
	// A message that has not got its keys must not leave so late that its answer is
	// missed.
	k, failed := c.keys.get(ctx, c.timeout/2)
	if failed != nil {
		return failed
	}
	err := c.call(ctx, deadline, a, params, resp, k)
	if err == nil {
		return nil // a nil *sender.Error is not a nil error
	}
	if refusesKeys(err.Code) {
		c.keys.drop(k)
	}
	return err
}

// call makes one request, signed with k, or not signed where that is nil. See Do.
func (c *Client) call(ctx context.Context, deadline time.Time, a Action, params Params, resp responses.AcsResponse, k *keys) (failed *sender.Error) {
	defer func() {
		if r := recover(); r != nil {
			// What the SDK can't read may be the answer to a message that was accepted.
			failed = &sender.Error{Class: sender.Unknown, Code: "SDK.Panic", Detail: "the Aliyun SDK failed on the provider's answer"}
		}
	}()
	s := signer{now: time.Now()}
	if k != nil {
		s.keys, s.nonce = k, newNonce()
	}
	out := s.sign(a, c.region, params)
	answer, err := c.exchange(ctx, &exchange.Request{
		Method: http.MethodPost,
		URL:    &url.URL{Scheme: c.scheme, Host: c.host, Path: "/", RawQuery: out.query},
		Header: header,
		Body:   out.body, Deadline: deadline,
	})
	if err != nil {
		return exchange.Failure(err, noAnswer)
	}
	if answer.Status < 200 || answer.Status > 299 {
		return answerError(answer, params)
	}
	if err := responses.Unmarshal(resp, answer.Response(), "JSON"); err != nil { //nolint:bodyclose // it lies in memory
		return &sender.Error{Class: sender.Unknown, Code: "SDK.JsonUnmarshalError", Detail: "the provider's answer is not the JSON that it should be"}
	}
	return nil
}

// header is every request's; it names who asks.
var header = http.Header{"Content-Type": {requests.Form}, "User-Agent": {"codeferry"}}

// noAnswer has the SDK's words where it has some.
var noAnswer = exchange.Codes{Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout"}

// answerError reads an answer with a status other than 2xx.
func answerError(from *exchange.Answer, params Params) *sender.Error {
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
			Class: sender.Unknown, Code: fmt.Sprintf("HTTP.%d", from.Status),
			Detail: "the provider's answer has no code of its own",
		}
		if from.Status == http.StatusTooManyRequests {
			e.Class = sender.Throttled // a gateway's; it has not passed the request on
		}
	} else {
		message, _ := answer.Message.(string)
		requestID, _ := answer.RequestID.(string)
		e = NewError(code, message, requestID, from.Status, params)
	}
	e.RetryAfter = max(e.RetryAfter, exchange.RetryAfter(from.Header, time.Now()))
	return e
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
