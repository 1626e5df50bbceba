package ses

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// defaultTimeout bounds a request.
const defaultTimeout = 10 * time.Second

// client calls SES in one region with one pair of keys. Many goroutines can use it at
// once.
type client struct {
	ses     *sesv2.Client
	http    *httpclient.Client
	timeout time.Duration
}

// newClient returns a client. Its error says what is wrong with the endpoint.
func newClient(c *Config) (*client, error) {
	keys := aws.Credentials{
		AccessKeyID:     c.AccessKeyID.Reveal(),
		SecretAccessKey: c.AccessKeySecret.Reveal(),
		SessionToken:    c.SessionToken.Reveal(),
	}
	o := sesv2.Options{
		Region: c.Region,
		// A function, so that printing a client shows no key.
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return keys, nil }),
		Retryer:     aws.NopRetryer{}, // only the worker decides what is tried again
	}
	if c.Endpoint != "" {
		base, err := parseEndpoint(c.Endpoint)
		if err != nil {
			return nil, err
		}
		o.BaseEndpoint = aws.String(base.String())
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &client{ses: sesv2.New(o), http: httpclient.New(httpclient.Options{NetHTTP: c.NetHTTP}), timeout: timeout}, nil
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	return httpclient.ParseEndpoint(endpoint, "a host such as email.us-east-1.amazonaws.com, or http://127.0.0.1:8005 for a fake")
}

// call makes one request of the SDK, which leaves before notAfter or not at all; zero
// means no bound. It blocks until the answer has come, the client's time-out is over or
// ctx ends. The attempt says how far it came.
func call[I, O any](
	ctx context.Context, c *client, notAfter time.Time, op func(context.Context, *I, ...func(*sesv2.Options)) (*O, error), in *I,
) (out *O, a *attempt, err error) {
	a = &attempt{http: c.http, notAfter: notAfter}
	defer func() {
		if r := recover(); r != nil {
			out, err = nil, errPanic
		}
	}()
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	out, err = op(ctx, in, func(o *sesv2.Options) { o.HTTPClient = a })
	return out, a, err
}

var errPanic = errors.New("the SDK failed")

// attempt is the HTTP client of one call, and remembers how far its request came.
type attempt struct {
	http     *httpclient.Client
	notAfter time.Time
	// begun is set once the SDK has signed the request.
	begun bool
	// asked is set when Do is called, and failed is why there was no answer.
	asked  bool
	failed error
	// status is the answer's status; 0 if none came.
	status int
	header http.Header
	// message is what the answer says (httpclient.Answer.Message).
	message string
	// unfinished is the error of an answer with an incomplete body; nil if it is complete.
	unfinished *sender.Error
}

// Do sends the request.
func (a *attempt) Do(req *http.Request) (*http.Response, error) {
	a.begun = true
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	a.asked = true
	answer, err := a.http.Do(req.Context(), &httpclient.Request{
		Method: req.Method, URL: req.URL, Header: req.Header, Body: body, NotAfter: a.notAfter,
	})
	if err != nil {
		a.failed = err
		return nil, err
	}
	a.status, a.header, a.message, a.unfinished = answer.Status, answer.Header, answer.Message(), answer.Failure(noCodes)
	return answer.Response(), nil
}

func (a *attempt) requestID() string { return a.header.Get("X-Amzn-Requestid") }

// failure classes the error of a call. m is nil if no message was sent.
func (c *connector) failure(err error, a *attempt, m *sender.Message) *sender.Error {
	var api smithy.APIError
	switch {
	case !a.begun && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeMessage, Code: "SDK.Request", Detail: "the request could not be made: " + c.redact(err.Error(), m)}
	case a.status == 0:
		return noAnswer(err, a)
	case ownCode(err) != "" && errors.As(err, &api):
		e := c.apiError(api.ErrorCode(), api.ErrorMessage(), a.status, m)
		now := time.Now()
		e.RequestID, e.RetryAfter = a.requestID(), httpclient.RetryAfter(a.header, now)
		if off := httpclient.ClockOff(a.header, now); off != "" && e.Class == sender.AccountDown {
			e.Detail = off + ": " + e.Detail
		}
		return e
	}
	return answerError(err, a)
}

// noCode is the SDK's code for an answer without an error code.
const noCode = "UnknownError"

// ownCode returns the error code of SES in an answer; empty if it has none.
func ownCode(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) || api.ErrorCode() == noCode || !codeText.MatchString(api.ErrorCode()) {
		return ""
	}
	return api.ErrorCode()
}

// codeText matches an error code. Other text in its place is not repeated.
var codeText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)

func success(status int) bool { return status >= 200 && status <= 299 }

// answerError classes an answer that says nothing reliable. Its text is not repeated,
// since it may not come from SES.
func answerError(err error, a *attempt) *sender.Error {
	e := &sender.Error{
		Class: sender.Unknown, Scope: sender.ScopeConnector, Code: fmt.Sprintf("HTTP.%d", a.status),
		Detail:    "the provider's answer has no error code",
		RequestID: a.requestID(), RetryAfter: httpclient.RetryAfter(a.header, time.Now()),
	}
	switch {
	case errors.Is(err, errPanic):
		e.Code, e.Detail = "SDK.Panic", "the AWS SDK failed on the provider's answer"
	case success(a.status) && a.unfinished != nil:
		e.Code, e.Detail = a.unfinished.Code, a.unfinished.Detail
	case success(a.status):
		e.Code, e.Detail = "SDK.Answer", "the provider's answer can't be read"
	case a.status == http.StatusTooManyRequests:
		e.Class = sender.Throttled // a gateway refused it, and has not passed the request on
	}
	return e
}

// noAnswer classes a call without an answer. An error from outside the exchange can have
// happened after it.
func noAnswer(err error, a *attempt) *sender.Error {
	if a.failed != nil {
		err = a.failed // the SDK wraps it in its own text
	} else {
		err = &httpclient.Error{Left: a.asked, Err: err}
	}
	return httpclient.Failure(err, noCodes)
}

// noCodes are the codes for requests without an answer, for which AWS has none.
var noCodes = httpclient.Codes{
	Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout",
}
