package smtp

import (
	"fmt"
	"maps"
	"mime"
	"net/mail"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/sender/internal/address"
)

// HeaderValues are a header's values: one value or a list.
type HeaderValues []string

// UnmarshalText reads one value.
func (h *HeaderValues) UnmarshalText(text []byte) error {
	*h = HeaderValues{string(text)}
	return nil
}

// ownHeaders are set by this package, or by servers on the way, and say what sets them. A
// second one would break the mail or contradict the first.
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

// validateHeaders reports names and values that can't be written as a header.
func validateHeaders(p *problems, headers map[string]HeaderValues) {
	seen := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		path, lower := "customHeaders."+name, strings.ToLower(name)
		other, twice := seen[lower]
		seen[lower] = name
		switch why, own := ownHeaders[lower]; {
		case !isHeaderName(name):
			p.add("customHeaders", "has an invalid name %q; it takes at most %d letters, digits and hyphens", name, maxHeaderName)
			continue
		case own:
			p.add(path, "can't be set here: %s", why)
			continue
		case strings.HasPrefix(lower, "content-") || strings.HasPrefix(lower, "resent-"):
			p.add(path, "can't be set: codeferry sets it from the mail's parts")
			continue
		case twice:
			p.add(path, "is already set, as %s", other)
			continue
		}
		for i, v := range headers[name] {
			if why := badValue(v); why != "" {
				p.add(fmt.Sprintf("%s[%d]", path, i), "%s", why)
			} else if _, _, err := address.Header(v); err != nil {
				p.add(fmt.Sprintf("%s[%d]", path, i), "%v", err)
			}
		}
	}
}

// maxHeaderName is the maximum length of a name; it leaves room for a value in the first
// line.
const maxHeaderName = 64

// isHeaderName reports whether a name is valid. It is stricter than RFC 5322, 3.6.8: it
// refuses characters that no real header has.
func isHeaderName(name string) bool { return len(name) <= maxHeaderName && isPlain(name) }

// isPlain reports whether a text has only letters, digits, hyphens, _ and .
func isPlain(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '-' && r != '_' && r != '.'
	})
}

// maxWord is the maximum length of a word in a value: lines are folded at spaces, and
// have at most 998 characters (RFC 5322, 2.1.1).
const maxWord = 900

func badValue(v string) string {
	if strings.ContainsFunc(v, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
		return "holds a line break or another control character"
	}
	for word := range strings.FieldsSeq(v) {
		if len(word) > maxWord {
			return fmt.Sprintf("has a word of %d bytes; the limit is %d", len(word), maxWord)
		}
	}
	return ""
}

// renderHeaders writes the headers, folded, with addresses in the form that servers take
// and other non-ASCII words encoded (RFC 2047). utf8 names a header that needs SMTPUTF8.
// validateHeaders must have found nothing.
func renderHeaders(headers map[string]HeaderValues) (text, utf8 string, err error) {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		for _, v := range headers[name] {
			value, needs, err := address.Header(v)
			switch {
			case err != nil:
				return "", "", fmt.Errorf("customHeaders.%s %w", name, err)
			case needs:
				utf8 = "customHeaders." + name
				fold(&b, name, strings.Fields(value))
			default:
				fold(&b, name, encode(name, value))
			}
		}
	}
	return b.String(), utf8, nil
}

// lineLength is the length at which a header is folded (RFC 5322, 2.1.1).
const lineLength = 76

// fold writes a header whose lines break between words. The first line always has a word,
// since not every server takes an empty first line.
func fold(b *strings.Builder, name string, words []string) {
	b.WriteString(name + ":")
	at := len(name) + 1
	for i, word := range words {
		if i > 0 && at+1+len(word) > lineLength {
			b.WriteString("\r\n")
			at = 0
		}
		b.WriteString(" " + word)
		at += 1 + len(word)
	}
	b.WriteString("\r\n")
}

// encode returns a header's words: those of the value or, if it is not ASCII, encoded
// words (RFC 2047). Each encoded word fits in a line, the first one together with the
// name.
func encode(name, value string) []string {
	if mime.QEncoding.Encode(charset, value) == value {
		return strings.Fields(value)
	}
	var words []string
	var word strings.Builder
	room := lineLength - len(name) - len(": ")
	for _, r := range value {
		c := encodedRune(r)
		if word.Len() > 0 && len(wordStart)+word.Len()+len(c)+len(wordEnd) > room {
			words = append(words, wordStart+word.String()+wordEnd)
			word.Reset()
			room = lineLength - len(" ")
		}
		word.WriteString(c)
	}
	return append(words, wordStart+word.String()+wordEnd)
}

// addressWords returns the words of an address with its name.
func addressWords(header string, a *mail.Address) []string {
	if !address.IsASCII(a.Name) {
		bare := mail.Address{Address: a.Address}
		return append(encode(header, a.Name), bare.String())
	}
	return strings.Fields(a.String())
}

// The parts of an encoded word.
const (
	charset   = "utf-8"
	wordStart = "=?" + charset + "?q?"
	wordEnd   = "?="
)

// encodedRune writes a character for an encoded word, which can be in a name (RFC 2047,
// 5).
func encodedRune(r rune) string {
	switch {
	case r == ' ':
		return "_"
	case 'a' <= r && r <= 'z', 'A' <= r && r <= 'Z', '0' <= r && r <= '9', strings.ContainsRune("!*+-/", r):
		return string(r)
	}
	var b strings.Builder
	for _, c := range []byte(string(r)) {
		fmt.Fprintf(&b, "=%02X", c)
	}
	return b.String()
}
