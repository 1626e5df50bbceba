package aliyun

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-5": 0, "soon": 0, "1.5": 0, "65535": maxRetryAfter, "99999999999": 0,
		"Sat, 21 Nov 2026 12:00:30 GMT": 30 * time.Second, "Sat, 21 Nov 2026 11:00:00 GMT": 0,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: %v, want %v", value, got, want)
		}
	}
}

func TestRetryAfterOfAnAnswer(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		class  sender.Class
	}{
		{http.StatusTooManyRequests, "<html>", sender.Throttled},
		{http.StatusServiceUnavailable, `{"Code":"ServiceUnavailable"}`, sender.Unknown},
		{http.StatusBadRequest, `{"Code":"Throttling.User"}`, sender.Throttled},
	} {
		e := answerError(&http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {"9"}}, Body: io.NopCloser(strings.NewReader(c.body))}, nil)
		if e.Class != c.class || e.RetryAfter != 9*time.Second {
			t.Errorf("%d %s: %v, retry after %v", c.status, c.body, e, e.RetryAfter)
		}
	}
}
