package skeleton

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// connector sends to one endpoint with one key. Nothing in it changes, so many goroutines
// can use it at once.
type connector struct {
	http    *httpclient.Client
	url     *url.URL
	key     sender.Secret
	from    string
	timeout time.Duration
	mails   *sender.Mails
}

// Render fills in the template for the message's type.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) { return c.mails.Render(m) }

// mail is the body of a request.
type mail struct {
	// Name is the mail's name in the provider's console and webhooks.
	Name    string `json:"name"`
	From    string `json:"from"`
	To      string `json:"to"`
	Subject string `json:"subject"`
	Text    string `json:"text"`
	HTML    string `json:"html,omitempty"`
}

// Send calls POST /messages, once.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	body, err := json.Marshal(mail{Name: m.ID, From: c.from, To: m.To, Subject: m.Subject, Text: m.Text, HTML: m.HTML})
	if err != nil {
		return sender.Receipt{}, sender.Invalid("the message can't be written as JSON")
	}
	a, err := c.http.Do(ctx, &httpclient.Request{
		Method: http.MethodPost, URL: c.url, Body: body,
		Header:   http.Header{"Authorization": {"Bearer " + c.key.Reveal()}, "Content-Type": {"application/json"}},
		Deadline: time.Now().Add(c.timeout), NotAfter: m.NotAfter,
	})
	if err != nil {
		return sender.Receipt{}, httpclient.Failure(err, noAnswer) // it knows whether the request has left
	}
	var said answer
	if a.Broken != nil || json.Unmarshal(a.Body, &said) != nil {
		return sender.Receipt{}, doubt(a)
	}
	if a.Status == http.StatusCreated && said.ID != "" {
		return sender.Receipt{ProviderID: said.ID}, nil
	}
	return sender.Receipt{}, c.refusal(a, said, m)
}

// answer is the body of an answer.
type answer struct {
	ID      string `json:"id"`
	Code    string `json:"code"`
	Message string `json:"message"`
}

var noAnswer = httpclient.Codes{Connect: "connect-error", ConnectTimeout: "connect-timeout", Read: "read-error", ReadTimeout: "read-timeout"}
