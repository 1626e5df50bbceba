package smtp

import (
	"encoding/base64"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/codeferry/codeferry/sender"
)

// hider takes out of a server's words what says who was to be sent what, and
// what we signed in with. Servers repeat addresses in nearly every refusal, and
// may repeat whatever they were told.
type hider struct {
	secrets []string
	message *sender.Message
	// from is the sender's own address, which may stand.
	from string
}

const (
	// maxText bounds what is kept, in characters.
	maxText = 200
	// minPrivate is the shortest value that is looked for, in bytes: a code has
	// four characters, and shorter ones stand in words that say nothing.
	minPrivate = 4
	hidden     = "[hidden]"
)

var (
	addresses = regexp.MustCompile(`[^\s<>()\[\]:;,"']+(?:@|%40|=40)[^\s<>()\[\]:;,"']+`)
	// encoded is whatever may be base64 of something.
	encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{8,}={0,2}`)
)

// maxSaid bounds what is looked at, in bytes: far more than is kept, so that no
// half of a value is left over at its end.
const maxSaid = 16 << 10

// clean keeps one line of a text, without what is private.
func (h hider) clean(text string) string {
	text = strings.ToValidUTF8(text[:min(len(text), maxSaid)], "\uFFFD")
	private := h.private()
	text = encoded.ReplaceAllStringFunc(text, func(run string) string { // first: what is hidden of it is no longer base64
		if decodes(run, private) {
			return hidden
		}
		return run
	})
	text = hide(text, private)
	text = addresses.ReplaceAllStringFunc(text, func(a string) string {
		if h.from != "" && strings.EqualFold(a, h.from) {
			return a
		}
		return hidden
	})
	text = strings.Join(strings.Fields(strings.Map(printable, text)), " ")
	if r := []rune(text); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return text
}

func printable(r rune) rune {
	if !unicode.IsGraphic(r) {
		return ' '
	}
	return r
}

// private lists the values that are looked for.
func (h hider) private() []string {
	all := h.secrets
	if m := h.message; m != nil {
		all = slices.Concat(all, []string{m.To, m.Subject, m.Text, m.HTML})
		if i := strings.LastIndexByte(m.To, '@'); i > 0 {
			all = append(all, m.To[:i])
		}
		for _, part := range []string{m.Subject, m.Text, m.HTML} {
			all = append(all, codes(part)...)
		}
	}
	var out []string
	for _, v := range all {
		if len(v) >= minPrivate && len(v) <= maxSaid {
			out = append(out, v)
		}
	}
	slices.Sort(out)
	out = slices.Compact(out)
	// The longer first: a shorter one may be a part of it.
	slices.SortStableFunc(out, func(a, b string) int { return len(b) - len(a) })
	return out
}

// codes lists the words of a message that look like a code: the message does not
// say which it is. A plain word, in small letters but for its first, is none.
func codes(text string) []string {
	words := strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
	return slices.DeleteFunc(words, func(w string) bool {
		for i, r := range w {
			if !unicode.IsLetter(r) || i > 0 && unicode.IsUpper(r) {
				return false
			}
		}
		return true
	})
}

// hide takes the values out of a text, as they are, as a URL has them and in
// base64.
func hide(text string, private []string) string {
	var patterns []string
	for _, v := range private {
		if len(v) > len(text) {
			continue
		}
		once := url.QueryEscape(v)
		for _, written := range []string{
			v, once, strings.ReplaceAll(once, "+", "%20"), url.QueryEscape(once),
			base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
		} {
			patterns = append(patterns, regexp.QuoteMeta(strings.ToValidUTF8(written, "\uFFFD")))
		}
	}
	if len(patterns) == 0 {
		return text
	}
	return regexp.MustCompile("(?i)"+strings.Join(patterns, "|")).ReplaceAllLiteralString(text, hidden)
}

// decodes tells whether a run of letters is base64 of something that holds a
// private value, such as an AUTH line.
func decodes(run string, private []string) bool {
	raw := strings.TrimRight(run, "=")
	for _, e := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		b, err := e.DecodeString(raw)
		if err != nil {
			continue
		}
		plain := strings.ToLower(string(b))
		if slices.ContainsFunc(private, func(v string) bool { return strings.Contains(plain, strings.ToLower(v)) }) {
			return true
		}
	}
	return false
}
