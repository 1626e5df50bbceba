package aliyun

import (
	"net/http"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

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
		e := answerError(&httpclient.Answer{Status: c.status, Header: http.Header{"Retry-After": {"9"}}, Body: []byte(c.body)}, nil)
		if e.Class != c.class || e.RetryAfter != 9*time.Second {
			t.Errorf("%d %s: %v, retry after %v", c.status, c.body, e, e.RetryAfter)
		}
	}
}
