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
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// defaultTimeout bounds a request.
const defaultTimeout = 10 * time.Second

// client calls SES in one region with one pair of keys. It may be used by many
// goroutines at once.
type client struct {
	ses     *sesv2.Client
	http    *exchange.Client
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
		Retryer:     aws.NopRetryer{}, // the worker alone says what is tried again
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
	return &client{ses: sesv2.New(o), http: exchange.New(exchange.Options{}), timeout: timeout}, nil
}

func parseEndpoint(endpoint string) (*url.URL, error) {
	return exchange.ParseEndpoint(endpoint, "a host such as email.us-east-1.amazonaws.com, or http://127.0.0.1:8005 for a stand-in")
}

// call makes one request of the SDK's. It blocks until the answer is there, the
// client's time-out is over or ctx ends. The attempt tells how far it came.
func call[I, O any](
	ctx context.Context, c *client, op func(context.Context, *I, ...func(*sesv2.Options)) (*O, error), in *I,
) (out *O, a *attempt, err error) {
	a = &attempt{http: c.http}
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
	http *exchange.Client
	// begun is set once the SDK has signed the request.
	begun bool
	// asked is set once the request was to be made, and failed is why it got no answer.
	asked  bool
	failed error
	// status is that of the answer; 0 where none came.
	status int
	header http.Header
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
	answer, err := a.http.Do(req.Context(), &exchange.Request{Method: req.Method, URL: req.URL, Header: req.Header, Body: body})
	if err != nil {
		a.failed = err
		return nil, err
	}
	a.status, a.header = answer.Status, answer.Header
	return answer.Response(), nil
}

func (a *attempt) requestID() string { return a.header.Get("X-Amzn-Requestid") }

// failure classes a call that has failed. m is nil where no message was sent.
func (c *connector) failure(err error, a *attempt, m *sender.Message) *sender.Error {
	var api smithy.APIError
	switch {
	case !a.begun && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return &sender.Error{Class: sender.Misconfigured, Code: "SDK.Request", Detail: "the request could not be made: " + c.clean(err.Error(), m)}
	case a.status == 0:
		return noAnswer(err, a)
	case errors.As(err, &api) && api.ErrorCode() != noCode && codeText.MatchString(api.ErrorCode()):
		e := c.apiError(api.ErrorCode(), api.ErrorMessage(), a.status, m)
		e.RequestID, e.RetryAfter = a.requestID(), exchange.RetryAfter(a.header, time.Now())
		return e
	}
	return answerError(err, a)
}

// noCode is the SDK's word for an answer without an error code.
const noCode = "UnknownError"

// codeText is what an error code is; what is none is not repeated.
var codeText = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{0,99}$`)

func success(status int) bool { return status >= 200 && status <= 299 }

// answerError classes an answer that says nothing that can be relied on. Its
// text is not repeated: who answered may not have been SES.
func answerError(err error, a *attempt) *sender.Error {
	e := &sender.Error{
		Class: sender.Unknown, Code: fmt.Sprintf("HTTP.%d", a.status), Detail: "the provider's answer has no error code",
		RequestID: a.requestID(), RetryAfter: exchange.RetryAfter(a.header, time.Now()),
	}
	switch {
	case errors.Is(err, errPanic):
		e.Code, e.Detail = "SDK.Panic", "the AWS SDK failed on the provider's answer"
	case success(a.status):
		e.Code, e.Detail = "SDK.Answer", "the provider's answer can't be read"
	case a.status == http.StatusTooManyRequests:
		e.Class = sender.Throttled // a gateway's; it has not passed the request on
	}
	return e
}

// noAnswer classes a call that got no answer. What failed elsewhere than in the
// exchange may have failed after it.
func noAnswer(err error, a *attempt) *sender.Error {
	if a.failed != nil {
		err = a.failed // the SDK puts words of its own around it
	} else {
		err = &exchange.Error{Left: a.asked, Err: err}
	}
	return exchange.Failure(err, exchange.Codes{
		Connect: "SDK.ConnectError", ConnectTimeout: "SDK.ConnectTimeout", Read: "SDK.ReadError", ReadTimeout: "SDK.ReadTimeout",
	})
}
