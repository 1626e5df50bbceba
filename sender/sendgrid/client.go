package sendgrid

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// client calls one endpoint with one key. The library's own client is not used:
// all of a process share it, it has no time-out, follows redirects, and reads
// answers without an end.
type client struct {
	endpoint *url.URL
	key      sender.Secret
	timeout  time.Duration
	http     *exchange.Client
}

func newClient(endpoint *url.URL, key sender.Secret, timeout time.Duration) *client {
	if timeout <= 0 {
		timeout = defaultTimeout
	}
	return &client{endpoint: endpoint, key: key, timeout: timeout, http: exchange.New(exchange.Options{})}
}

// do makes one request. It blocks until the answer is there, the client's time-out
// is over or ctx ends. An answer of any status is no error here. No error, now or
// made of the answer, holds anything of what is private.
func (c *client) do(ctx context.Context, method, path string, body []byte, p private) (*answer, *sender.Error) {
	header := http.Header{
		"Authorization": {"Bearer " + c.key.Reveal()},
		"Accept":        {"application/json"},
		"User-Agent":    {"codeferry"},
	}
	if len(body) > 0 {
		header.Set("Content-Type", "application/json")
	}
	got, err := c.http.Do(ctx, &exchange.Request{
		Method: method, URL: c.endpoint.JoinPath(path), Header: header, Body: body, Deadline: time.Now().Add(c.timeout),
	})
	if err != nil {
		return nil, exchange.Failure(err, noAnswer)
	}
	return &answer{got, p}, nil
}

var noAnswer = exchange.Codes{Connect: "connect-error", ConnectTimeout: "connect-timeout", Read: "read-error", ReadTimeout: "read-timeout"}
