package smtp

import (
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/redact"
)

// private is what no error may hold: the recipient, the content, and our credentials.
// Servers repeat addresses in nearly every refusal, and can repeat everything that they
// were sent.
type private struct {
	secrets []string
	// message is nil before one is sent.
	message *sender.Message
	// from is the sender's own address, which may be shown.
	from string
}

// redact returns one line of a server's text, without anything private.
func (p private) redact(text string) string {
	values := redact.Message(p.message, p.secrets...)
	values.Own = []string{p.from}
	return redact.New(values).Line(text)
}
