package ses

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/smithy-go"

	"github.com/codeferry/codeferry/sender"
)

// Time-outs of a request.
const (
	defaultTimeout = 10 * time.Second
	connectTimeout = 5 * time.Second
)

// maxAnswer bounds what is read of an answer; real ones have a few hundred bytes.
const maxAnswer = 1 << 20

// client calls SES in one region with one pair of keys. It may be used by many
// goroutines at once.
type client struct {
	ses     *sesv2.Client
	http    *http.Client
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
		o.BaseEndpoint = aws.String(base)
	}
	timeout := c.Timeout
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &client{
		ses: sesv2.New(o),
		http: &http.Client{
			Transport: newTransport(),
			// A redirect would carry a code to where nobody asked for it.
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		timeout: timeout,
	}, nil
}

func newTransport() *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: connectTimeout, KeepAlive: 30 * time.Second}).DialContext,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
		TLSHandshakeTimeout: connectTimeout,
		DisableCompression:  true, // so that maxAnswer bounds what is read, and answers are short
		// A connection a slot is kept, however many slots there are.
		MaxIdleConns:        0,
		MaxIdleConnsPerHost: 1 << 16,
		IdleConnTimeout:     30 * time.Second,
	}
}

// parseEndpoint returns the URL of an endpoint: a host with an optional port, or a
// URL that is one. A bare host means HTTPS.
func parseEndpoint(endpoint string) (string, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "https" && u.Scheme != "http" {
		return "", errors.New("is no endpoint; it takes a host such as email.us-east-1.amazonaws.com, or http://127.0.0.1:8005 for a stand-in")
	}
	return u.Scheme + "://" + u.Host, nil
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
	http *http.Client
	// begun is set once the SDK has signed the request.
	begun bool
	// wrote is set once a request's header may have left.
	wrote atomic.Bool
	// status is that of the answer; 0 where none came.
	status int
	header http.Header
}

// Do sends the request.
func (a *attempt) Do(req *http.Request) (*http.Response, error) {
	a.begun = true
	if err := rewindable(req); err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req.WithContext(httptrace.WithClientTrace(req.Context(), &httptrace.ClientTrace{
		// net/http takes a second connection only where nothing was written to the
		// first, a kept one that the provider had closed.
		GetConn:      func(string) { a.wrote.Store(false) },
		WroteHeaders: func() { a.wrote.Store(true) },
	})))
	if err != nil {
		return nil, err
	}
	a.status, a.header = resp.StatusCode, resp.Header
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxAnswer)
	return resp, nil
}

// rewindable lets net/http begin a request anew that could not be written to a
// connection kept too long.
func rewindable(req *http.Request) error {
	if req.Body == nil {
		return nil
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return err
	}
	req.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil }
	req.Body, err = req.GetBody()
	return err
}

func (a *attempt) requestID() string { return a.header.Get("X-Amzn-Requestid") }

// failure classes a call that has failed. m is nil where no message was sent.
func (c *connector) failure(err error, a *attempt, m *sender.Message) *sender.Error {
	var api smithy.APIError
	switch {
	case !a.begun && !errors.Is(err, context.Canceled) && !errors.Is(err, context.DeadlineExceeded):
		return &sender.Error{Class: sender.Misconfigured, Code: "SDK.Request", Detail: "the request could not be made: " + c.clean(err.Error(), m)}
	case a.status == 0:
		return transportError(err, a.wrote.Load())
	case errors.As(err, &api) && api.ErrorCode() != noCode && codeText.MatchString(api.ErrorCode()):
		e := c.apiError(api.ErrorCode(), api.ErrorMessage(), a.status, m)
		e.RequestID, e.RetryAfter = a.requestID(), retryAfter(a.header, time.Now())
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
		RequestID: a.requestID(), RetryAfter: retryAfter(a.header, time.Now()),
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

// cause leaves away what the SDK and net/http put around an error: the operation,
// and the URL.
func cause(err error) string {
	var canceled *smithy.CanceledError
	var u *url.Error
	switch {
	case errors.Is(err, errPanic):
	case errors.As(err, &canceled) && canceled.Err != nil:
		err = canceled.Err
	case errors.As(err, &u):
		err = u.Err
	}
	return strings.Join(strings.Fields(err.Error()), " ")
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
