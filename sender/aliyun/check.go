package aliyun

import (
	"context"
	"net/url"
	"strings"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
	"github.com/codeferry/codeferry/sender/redact"
)

// ForCheck returns a client like c for one request that sends no message, and a function that
// turns the request's error into that of a check: without doubt, and with what the answer says.
// The function returns nil for nil.
func (c *Client) ForCheck() (client *Client, explain func(error) error) {
	checking := *c
	var sent *httpclient.Request
	var got *httpclient.Answer
	checking.do = func(ctx context.Context, r *httpclient.Request) (*httpclient.Answer, error) {
		answer, err := c.do(ctx, r)
		sent, got = r, answer
		return answer, err
	}
	return &checking, func(err error) error {
		if err == nil || got == nil {
			return err
		}
		e := sender.AsError(err)
		own := !strings.HasPrefix(e.Code, "HTTP.") && !strings.HasPrefix(e.Code, "SDK.")
		text := redact.New(redact.Message(new(sender.Message), sentIn(sent)...)).Line(withoutSigned(got.Message()))
		return httpclient.ForCheck(e, got.Status, own, text)
	}
}

// sentIn returns what a request holds that an answer must not show: the keys, and the signature
// with everything else.
func sentIn(r *httpclient.Request) (values []string) {
	for _, text := range []string{r.URL.RawQuery, string(r.Body)} {
		form, _ := url.ParseQuery(text) // what can't be read is left out
		for _, all := range form {
			values = append(values, all...)
		}
	}
	return append(values, r.Header.Get("Authorization"))
}
