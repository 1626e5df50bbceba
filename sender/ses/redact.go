package ses

import (
	"regexp"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/redact"
)

// signedText matches where a message begins to repeat what was signed, such as the
// session token.
var signedText = regexp.MustCompile(`(?is)[ :,;]*(the\s+)?(canonical\s+string|string[\s-]*to[\s-]*sign|authorization\s*header).*`)

// redact returns one line of a text about a message, without the recipient and the
// content. m can be nil.
func (c *connector) redact(text string, m *sender.Message) string {
	private := redact.Message(m, c.secrets()...)
	private.Own = []string{c.from, c.feedback, c.replyTo.Address}
	return redact.New(private).Line(signedText.ReplaceAllString(text, " […]"))
}
