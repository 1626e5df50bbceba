package ses

import (
	"encoding/base64"
	"html"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/codeferry/codeferry/sender"
)

// maxMessage bounds what is kept of a provider's message, in characters.
const maxMessage = 200

// signedText is where a message begins to repeat what was signed, the session
// token among it.
var signedText = regexp.MustCompile(`(?is)[ :,;]*(the\s+)?(canonical\s+string|string[\s-]*to[\s-]*sign|authorization\s*header).*`)

// clean keeps what a person needs of a provider's message: one line of it, and
// nothing of who was to be sent what.
func (c *connector) clean(message string, m *sender.Message) string {
	private := slices.Clone(c.secrets())
	if m != nil {
		private = append(private, m.To, m.Subject, m.FromAlias, m.HTML, m.Text)
		private = append(private, codes(m.Subject+" "+m.Text)...)
	}
	message = signedText.ReplaceAllString(message, " […]")
	message = hide(message, private)
	message = strings.Join(strings.Fields(message), " ")
	if r := []rune(message); len(r) > maxMessage {
		return string(r[:maxMessage]) + "…"
	}
	return message
}

// codes returns the words of a text that may be its code.
func codes(text string) []string {
	var out []string
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) }) {
		if strings.ContainsFunc(word, unicode.IsDigit) {
			out = append(out, word)
		}
	}
	return out
}

// minPrivate is the shortest value that is looked for, in bytes: a code has four
// characters, and shorter ones stand in words that say nothing.
const minPrivate = 4

// hide takes values out of a message: as they are, and as a URL, HTML and base64
// have them.
func hide(message string, values []string) string {
	message = strings.ToValidUTF8(message, "\uFFFD")
	lower := strings.ToLower(message)
	var patterns []string
	for _, v := range values {
		if len(v) < minPrivate || len(v) > len(message) {
			continue
		}
		once := url.QueryEscape(v)
		for _, written := range []string{
			v, once, strings.ReplaceAll(once, "+", "%20"), url.PathEscape(v), url.QueryEscape(once), html.EscapeString(v),
			strings.TrimRight(base64.StdEncoding.EncodeToString([]byte(v)), "="), base64.RawURLEncoding.EncodeToString([]byte(v)),
		} {
			written = strings.ToValidUTF8(written, "\uFFFD")
			if strings.Contains(lower, strings.ToLower(written)) {
				patterns = append(patterns, regexp.QuoteMeta(written))
			}
		}
	}
	if len(patterns) == 0 {
		return message
	}
	return regexp.MustCompile("(?i)"+strings.Join(patterns, "|")).ReplaceAllLiteralString(message, "[hidden]")
}
