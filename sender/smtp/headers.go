package smtp

import (
	"fmt"
	"maps"
	"mime"
	"slices"
	"strings"
)

// HeaderValues are a header's values: one, or a list of them.
type HeaderValues []string

// UnmarshalText reads one value.
func (h *HeaderValues) UnmarshalText(text []byte) error {
	*h = HeaderValues{string(text)}
	return nil
}

// ownHeaders are made here, or by the servers on the way. A second one would
// break the mail or say two things at once.
var ownHeaders = map[string]string{
	"from":         "fromEmail gives it",
	"sender":       "fromEmail gives it",
	"reply-to":     "replyTo gives it",
	"to":           "a mail has one recipient, the message's",
	"cc":           "a mail has one recipient, the message's",
	"bcc":          "a mail has one recipient, the message's",
	"subject":      "the templates give it",
	"date":         "every mail has it",
	"message-id":   "every mail has it",
	"mime-version": "every mail has it",
	"return-path":  "the servers write it",
	"received":     "the servers write it",
}

// validateHeaders refuses whatever would end a header before its time.
func validateHeaders(p *problems, headers map[string]HeaderValues) {
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path, lower := "customHeaders."+name, strings.ToLower(name)
		other, twice := seen[lower]
		seen[lower] = name
		switch why, own := ownHeaders[lower]; {
		case !isHeaderName(name):
			p.add("customHeaders", "has a name that is none: %q; it takes letters, digits and hyphens, at most %d", name, maxHeaderName)
			continue
		case own:
			p.add(path, "can't be set here: %s", why)
			continue
		case strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "resent-"):
			p.add(path, "can't be set: it says how the mail is put together")
			continue
		case twice:
			p.add(path, "is there already, as %s", other)
			continue
		}
		for i, v := range headers[name] {
			if why := badValue(v); why != "" {
				p.add(fmt.Sprintf("%s[%d]", path, i), "%s", why)
			}
		}
	}
}

// maxHeaderName leaves room for a value in the first line.
const maxHeaderName = 64

// isHeaderName is stricter than RFC 5322, 3.6.8 by what no header has.
func isHeaderName(name string) bool { return len(name) <= maxHeaderName && isPlain(name) }

// isPlain tells whether a text has letters, digits, hyphens, _ and . alone.
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// maxWord is the longest word of a value: lines are folded at spaces, and a line
// has at most 998 characters (RFC 5322, 2.1.1).
const maxWord = 900

func badValue(v string) string {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "holds a line break or another control character"
	}
	for _, word := range strings.Fields(v) {
		if len(word) > maxWord {
			return fmt.Sprintf("has a word of %d bytes; one has at most %d", len(word), maxWord)
		}
	}
	return ""
}

// renderHeaders writes the headers out, folded, words beyond ASCII encoded (RFC
// 2047). validateHeaders must have found nothing.
func renderHeaders(headers map[string]HeaderValues) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, v := range headers[name] {
			writeHeader(&b, name, v)
		}
	}
	return b.String()
}

// lineLength is where a header is folded (RFC 5322, 2.1.1).
const lineLength = 76

func writeHeader(b *strings.Builder, name, value string) {
	b.WriteString(name + ":")
	at := len(name) + 1
	for i, word := range strings.Fields(mime.QEncoding.Encode("utf-8", value)) {
		if i > 0 && at+1+len(word) > lineLength {
			b.WriteString("\r\n")
			at = 0
		}
		b.WriteString(" " + word)
		at += 1 + len(word)
	}
	b.WriteString("\r\n")
}
