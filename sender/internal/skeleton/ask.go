package skeleton

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Ask calls GET /messages. What does not say that the mail is not there is an error: a mail
// that is not found may be sent again.
func (c *connector) Ask(ctx context.Context, m *sender.Message, _ time.Time) (sender.Receipt, bool, error) {
	a, err := c.look(ctx, m.ID)
	if err != nil {
		return sender.Receipt{}, false, httpclient.Failure(err, noAnswer)
	}
	var said struct {
		answer
		Found *bool `json:"found"`
	}
	if a.Broken != nil || json.Unmarshal(a.Body, &said) != nil {
		return sender.Receipt{}, false, doubt(a)
	}
	if a.Status == http.StatusOK && said.Found != nil {
		return sender.Receipt{ProviderID: said.ID}, *said.Found, nil
	}
	return sender.Receipt{}, false, c.refusal(a, said.answer, m)
}

// look asks for a mail by its name.
func (c *connector) look(ctx context.Context, name string) (*httpclient.Answer, error) {
	where := *c.url
	where.RawQuery = url.Values{"name": {name}}.Encode()
	return c.http.Do(ctx, &httpclient.Request{
		Method: http.MethodGet, URL: &where,
		Header:   http.Header{"Authorization": {"Bearer " + c.key.Reveal()}},
		Deadline: time.Now().Add(c.timeout),
	})
}
