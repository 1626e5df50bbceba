package httpclient

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/expiry"
)

// Codes are a connector's error codes for exchanges without an answer: Connect and
// ConnectTimeout if nothing had left yet, Read and ReadTimeout if the answer did not
// come.
type Codes struct{ Connect, ConnectTimeout, Read, ReadTimeout string }

// Failure classes the error of an exchange without an answer. A request that had not left
// can't have been accepted; any other request may have been.
func Failure(err error, codes Codes) *sender.Error {
	var e *Error
	var netErr net.Error
	var other *protocolError
	left := !errors.As(err, &e) || e.Left
	late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
	switch {
	case errors.Is(err, expiry.ErrExpired):
		return sender.Expired("the code expired before the request could leave")
	case !left && errors.As(err, &other):
		return &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeConnector, Code: codes.Connect, Detail: other.text, Advice: other.advice}
	case left && late:
		return &sender.Error{Class: sender.Unknown, Code: codes.ReadTimeout, Detail: "no answer came in time"}
	case left:
		return &sender.Error{Class: sender.Unknown, Code: codes.Read, Detail: "no complete answer came: " + Cause(err)}
	case late:
		return &sender.Error{Class: sender.Unavailable, Code: codes.ConnectTimeout, Detail: "the provider can't be reached in time: " + Cause(err)}
	}
	return &sender.Error{Class: sender.Unavailable, Code: codes.Connect, Detail: "the provider can't be reached: " + Cause(err)}
}

// lost reports whether an error can mean that the network has lost this connection, and
// others with it: silence, a reset, or an end. If the caller ended it, or the server
// answered something, it is not lost.
func lost(err error) bool {
	var netErr net.Error
	return errors.As(err, &netErr) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// Cause returns an error's text without the method and URL of a *url.Error, whose query
// can hold a signature.
func Cause(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	return err.Error()
}

// Plain says why net/http got no answer, without the URL and without the text of an
// answer that was not HTTP.
func Plain(err error) string {
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return untrusted.Error()
	}
	return unquoted(err).Error()
}

// MaxRetryAfter bounds how long an answer can ask to wait.
const MaxRetryAfter = time.Hour

// RetryAfter reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3). It
// returns 0 if there is none, and at most MaxRetryAfter.
func RetryAfter(h http.Header, now time.Time) time.Duration {
	v := h.Get("Retry-After")
	d := time.Duration(0)
	if seconds, err := strconv.ParseUint(v, 10, 64); err == nil || errors.Is(err, strconv.ErrRange) {
		d = time.Duration(min(seconds, uint64(MaxRetryAfter/time.Second))) * time.Second
	} else if at, err := http.ParseTime(v); err == nil {
		d = at.Sub(now)
	}
	return min(max(d, 0), MaxRetryAfter)
}
