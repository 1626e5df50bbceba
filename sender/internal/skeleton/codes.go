package skeleton

import (
	"fmt"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
	"github.com/codeferry/codeferry/sender/redact"
)

// meaning is what a code means for a message, and whom it speaks of.
type meaning struct {
	class sender.Class
	scope sender.Scope
}

// codes are all codes of the provider's reference. Any other code is doubt.
var codes = map[string]meaning{
	"bad-recipient":     {sender.Permanent, sender.ScopeRecipient},
	"bad-content":       {sender.Permanent, sender.ScopeMessage},
	"too-many-to-one":   {sender.RecipientLimited, sender.ScopeRecipient},
	"too-many-requests": {sender.Throttled, sender.ScopeConnector},
	"maintenance":       {sender.Unavailable, sender.ScopeConnector},
	"unknown-sender":    {sender.Misconfigured, sender.ScopeConnector},
	"bad-key":           {sender.AccountDown, sender.ScopeAccount},
	"no-credit":         {sender.AccountDown, sender.ScopeAccount},
}

// refusal classes a failed answer. A server error (5xx) is doubt: the message may have
// been accepted.
func (c *connector) refusal(a *httpclient.Answer, said answer, m *sender.Message) *sender.Error {
	means, known := codes[said.Code]
	if !known || a.Status < 400 || a.Status > 499 {
		return doubt(a)
	}
	private := redact.Message(m, c.key.Reveal())
	private.Own = []string{c.from}
	return &sender.Error{
		Class: means.class, Scope: means.scope, Code: said.Code, Detail: redact.New(private).Line(said.Message),
		RetryAfter: httpclient.RetryAfter(a.Header, time.Now()), // 0 if there is none
	}
}

// doubt returns the error of an answer that does not say whether the message was
// accepted.
func doubt(a *httpclient.Answer) *sender.Error {
	if a.Status < 300 && a.Broken != nil {
		return a.Failure(noAnswer)
	}
	return &sender.Error{
		Class: sender.Unknown, Scope: sender.ScopeConnector, Code: fmt.Sprintf("HTTP.%d", a.Status),
		Detail: "the answer does not say whether the message was accepted",
	}
}
