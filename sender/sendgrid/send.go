package sendgrid

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

type connector struct {
	client    *client
	mails     *sender.Mails
	fromEmail string
	replyTo   string
}

// From returns the address that mail comes from.
func (c *connector) From() string { return c.fromEmail }

// Render fills in the template for the message's type.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	return c.mails.Render(m)
}

// Send calls POST /v3/mail/send.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	body, err := json.Marshal(c.newMail(m))
	if err != nil {
		return sender.Receipt{}, sender.Invalid("the message can't be written as JSON")
	}
	a, failed := c.client.do(ctx, m.NotAfter, http.MethodPost, "/v3/mail/send", body, c.private(m))
	if failed != nil {
		return sender.Receipt{}, failed
	}
	if a.accepted() {
		return sender.Receipt{ProviderID: a.messageID()}, nil
	}
	return sender.Receipt{}, a.refusal()
}

// private is what no error may hold when m is sent.
func (c *connector) private(m *sender.Message) private {
	return private{message: m, key: c.client.key, own: []string{c.fromEmail, c.replyTo}}
}

// Check calls GET /v3/scopes, which lists what the key may do and sends nothing.
func (c *connector) Check(ctx context.Context) error {
	a, failed := c.client.do(ctx, time.Time{}, http.MethodGet, "/v3/scopes", nil, c.private(&sender.Message{}))
	if failed != nil {
		return failed
	}
	var granted struct {
		Scopes []string `json:"scopes"`
	}
	switch {
	case a.Status != http.StatusOK:
		return a.ofCheck(a.refusal())
	case a.Broken != nil || json.Unmarshal(a.Body, &granted) != nil || granted.Scopes == nil:
		return a.ofCheck(a.strange())
	case !slices.Contains(granted.Scopes, mailSend):
		return &sender.Error{
			Class: sender.AccountDown, Scope: sender.ScopeAccount, Code: codeNoScope,
			Detail: "the API key may not send mail; give it the permission Mail Send (Settings > API Keys), or make a new key with it",
		}
	}
	return nil
}

// mailSend is the scope that POST /v3/mail/send requires.
const mailSend = "mail.send"
