package sendgrid

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// client calls one endpoint with one key. The library's own client is not used, because
// it is one for the whole process, has no time-out, follows redirects, and reads answers
// of any length.
type client struct {
	endpoint *url.URL
	key      sender.Secret
	timeout  time.Duration
	http     *httpclient.Client
}

func newClient(endpoint *url.URL, key sender.Secret, timeout time.Duration, o httpclient.Options) *client {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &client{endpoint: endpoint, key: key, timeout: timeout, http: httpclient.New(o)}
}

// do makes one request, which leaves before notAfter or not at all; zero means no bound.
// It blocks until the answer has come, the client's time-out is over or ctx ends. An
// answer with any status is not an error here. No error, from do or from the answer,
// holds anything private.
func (c *client) do(ctx context.Context, notAfter time.Time, method, path string, body []byte, p private) (*answer, *sender.Error) {
	header := http.Header{
		"Authorization": {"Bearer " + c.key.Reveal()},
		"Accept":        {"application/json"},
		"User-Agent":    {"codeferry"},
	}
	if len(body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	got, err := c.http.Do(ctx, &httpclient.Request{
		Method: method, URL: c.endpoint.JoinPath(path), Header: header, Body: body,
		Deadline: time.Now().Add(c.timeout), NotAfter: notAfter,
	})
	if err != nil {
		return nil, httpclient.Failure(err, noAnswer)
	}
	return &answer{got, p}, nil
}

var noAnswer = httpclient.Codes{Connect: "connect-error", ConnectTimeout: "connect-timeout", Read: "read-error", ReadTimeout: "read-timeout"}
