package sendgrid

import (
	"encoding/base64"
	"encoding/json"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/codeferry/codeferry/sender"
)

const (
	// maxText bounds what is kept of a provider's text, in characters.
	maxText = 200
	// maxRead bounds what is looked at of it, in bytes.
	maxRead = 4 << 10
	// minPrivate is the shortest value that is looked for, in bytes: a code has four
	// characters, and shorter ones stand in words that say nothing.
	minPrivate = 4
)

// private is what no error may hold.
type private struct {
	to  string
	key sender.Secret
	// content is the subject, the sender's name and the parts of the mail.
	content []string
}

// clean keeps what a person needs of a provider's text: one line of it, and
// nothing of who was to be sent what. SendGrid repeats an address that it refuses;
// what stands between may repeat anything.
func (p private) clean(text string) string {
	if len(text) > maxRead {
		text = text[:maxRead]
		text = text[:strings.LastIndexAny(text, " \t\r\n")+1] // of a value that is cut nothing is found
	}
	text = strings.ToValidUTF8(text, "\uFFFD")
	lower := strings.ToLower(text)
	var found []string
	for _, v := range p.values() {
		for _, written := range spellings(v) {
			if strings.Contains(lower, strings.ToLower(written)) {
				found = append(found, regexp.QuoteMeta(written))
			}
		}
	}
	if len(found) > 0 {
		slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) }) // the whole before its parts
		text = regexp.MustCompile("(?i)"+strings.Join(found, "|")).ReplaceAllLiteralString(text, "[hidden]")
	}
	return line(text)
}

// values lists what is looked for: the address, the key, the content whole and by
// its lines, and all in it that may be a code or a part of a link.
func (p private) values() []string {
	var out []string
	seen := make(map[string]bool)
	add := func(v string, shortest int) {
		if v = strings.TrimSpace(v); len(v) >= shortest && len(v) <= maxRead && !seen[v] {
			seen[v] = true
			out = append(out, v)
		}
	}
	add(p.to, minPrivate)
	add(p.key.Reveal(), minPrivate)
	for _, c := range p.content {
		add(c, minPrivate)
		for l := range strings.Lines(c) {
			add(l, 2*minPrivate)
		}
		for _, word := range codes.FindAllString(c, -1) {
			if codeLike(word) {
				add(word, minPrivate)
			}
		}
	}
	return out
}

// codes finds words, and numbers whose digits stand in groups.
var codes = regexp.MustCompile(`[0-9]+(?:[ -][0-9]+)+|[0-9A-Za-z]+`)

// codeLike tells whether a word is more than a word: it has a digit, or a capital
// letter after its first one.
func codeLike(word string) bool {
	return strings.ContainsAny(word, "0123456789") || strings.ContainsFunc(word[1:], unicode.IsUpper)
}

// spellings returns the ways in which a text may repeat a value: as it is, in a URL
// once and twice encoded, in JSON, and in base64.
func spellings(v string) []string {
	v = strings.ToValidUTF8(v, "\uFFFD")
	once := url.QueryEscape(v)
	out := []string{
		v, once, strings.ReplaceAll(once, "+", "%20"), url.QueryEscape(once),
		base64.RawStdEncoding.EncodeToString([]byte(v)), base64.RawURLEncoding.EncodeToString([]byte(v)),
	}
	if quoted, err := json.Marshal(v); err == nil {
		out = append(out, strings.Trim(string(quoted), `"`))
	}
	return out
}

// line makes one printable line of a text, of at most maxText characters.
func line(text string) string {
	text = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, text)
	text = strings.Join(strings.Fields(text), " ")
	if r := []rune(text); len(r) > maxText {
		return string(r[:maxText]) + "…"
	}
	return text
}
