package exchange

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Codes are a connector's words for exchanges that brought no answer: nothing had
// left yet, or the answer did not come.
type Codes struct{ Connect, ConnectTimeout, Read, ReadTimeout string }

// Failure classes an exchange that brought no answer. A request that had not left
// can't have been accepted; any other may have been.
func Failure(err error, codes Codes) *sender.Error {
	var e *Error
	var netErr net.Error
	left := !errors.As(err, &e) || e.Left
	late := errors.Is(err, context.DeadlineExceeded) || errors.As(err, &netErr) && netErr.Timeout()
	switch {
	case left && late:
		return &sender.Error{Class: sender.Unknown, Code: codes.ReadTimeout, Detail: "no answer came in time"}
	case left:
		return &sender.Error{Class: sender.Unknown, Code: codes.Read, Detail: "the connection broke before the answer: " + Cause(err)}
	case late:
		return &sender.Error{Class: sender.Unavailable, Code: codes.ConnectTimeout, Detail: "the provider can't be reached in time: " + Cause(err)}
	}
	return &sender.Error{Class: sender.Unavailable, Code: codes.Connect, Detail: "the provider can't be reached: " + Cause(err)}
}

// Cause says what happened, without the method and the URL of a *url.Error: its query
// may hold a signature.
func Cause(err error) string {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return err.Error()
}

// MaxRetryAfter bounds what an answer may ask for.
const MaxRetryAfter = time.Hour

// RetryAfter reads a Retry-After header: seconds, or a date (RFC 9110, 10.2.3); 0 where
// there is none, and an hour at most.
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
