package sendgrid

import (
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/providertext"
	"github.com/codeferry/codeferry/sender/redact"
)

// private is what no error may hold when a message is sent.
type private struct {
	message *sender.Message
	key     sender.Secret
	// own are the connector's addresses, which may be shown.
	own []string
}

// words returns the provider's own words in a text.
func (p private) words(text string) providertext.Words {
	m := p.message
	return providertext.Of(text, m.To, m.Subject, m.FromAlias, m.Text, m.HTML)
}

// redact returns one line of a provider's text, without the recipient and the content.
// SendGrid repeats an address that it refuses, and a proxy can repeat anything.
func (p private) redact(text string) string {
	values := redact.Message(p.message, p.key.Reveal())
	values.Own = p.own
	return redact.New(values).Line(text)
}
