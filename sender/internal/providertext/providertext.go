// Package providertext separates a provider's own words from text that it repeats.
// Providers repeat addresses, host names and parts of a message in their answers, and the
// people who chose those must not decide what an answer means.
package providertext

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/codeferry/codeferry/sender/internal/address"
)

// maxText bounds how much of an answer is read, in bytes.
const maxText = 16 << 10

// Words are a provider's own words.
type Words struct {
	text string
	// brought holds the texts that came with the message. Words that are also in them may
	// be repeated, and do not count.
	brought []string
}

// Of returns the provider's own words in a text about a message. The recipient is an
// address or a number, and content holds the other texts of the message. The recipient
// and all addresses and host names are removed, in upper and lower case and with the
// characters that enclose them. Empty values are ignored.
func Of(text, recipient string, content ...string) Words {
	names := spellings(recipient)
	// Hosts go first: a host name can end with the recipient's domain.
	text = repeated.ReplaceAllString(plain(text[:min(len(text), maxText)]), " ")
	for _, name := range names {
		text = without(text, name)
	}
	return Words{text: plain(text), brought: append(names, content...)}
}

// plain returns a text in lower case and on one line.
func plain(text string) string {
	return strings.Join(strings.Fields(strings.ToLower(strings.ToValidUTF8(text, " "))), " ")
}

// Say reports whether the provider's own words hold a phrase, given in lower case. They
// always hold the empty phrase.
func (w Words) Say(phrase string) bool {
	if phrase == "" {
		return true
	}
	for from := 0; ; {
		at := strings.Index(w.text[from:], phrase)
		if at < 0 {
			return false
		}
		at += from
		if w.own(at, at+len(phrase)) {
			return true
		}
		from = at + 1
	}
}

// Match reports whether re matches in the provider's own words, which are in lower case.
func (w Words) Match(re *regexp.Regexp) bool {
	return slices.ContainsFunc(re.FindAllStringIndex(w.text, -1), func(at []int) bool { return w.own(at[0], at[1]) })
}

// own reports whether the words from begin to end did not come with the message. It
// includes the whole first and last word.
func (w Words) own(begin, end int) bool {
	for begin > 0 {
		r, size := utf8.DecodeLastRuneInString(w.text[:begin])
		if !letter(r) {
			break
		}
		begin -= size
	}
	for end < len(w.text) {
		r, size := utf8.DecodeRuneInString(w.text[end:])
		if !letter(r) {
			break
		}
		end += size
	}
	return !slices.ContainsFunc(w.brought, func(b string) bool { return find(plain(b), w.text[begin:end]) >= 0 })
}

const (
	opening = `[<("'` + "`" + `\[]*`
	closing = `[>)"'` + "`" + `\]]*[:,;]*`
	// part is a character of addresses and host names.
	part = `[^\s<>()\[\]:;,"'` + "`" + `]`
	// local is one of the part before the @, which can hold quotation marks: o'hara@example.org.
	local = `[^\s<>()\[\]:;,"]`
)

// repeated matches every address, host name and URL.
var repeated = regexp.MustCompile(
	opening + `[a-z][a-z0-9+.-]*://[^\s<>"']+` + closing +
		`|` + opening + `(?:` + local + `*|"(?:[^"\\]|\\.)*")(?:@|%40)` + part + `*` + closing +
		`|` + opening + `[\pL\pN_-]+(?:\.[\pL\pN_-]+)+` + closing)

// without removes a name from a text if it is a whole word there.
func without(text, name string) string {
	var kept strings.Builder
	for {
		at := find(text, name)
		if at < 0 {
			kept.WriteString(text)
			return kept.String()
		}
		kept.WriteString(strings.TrimRight(text[:at], `<("'`+"`["))
		kept.WriteByte(' ')
		text = strings.TrimLeft(strings.TrimLeft(text[at+len(name):], `>)"'`+"`]"), ":,;")
	}
}

// find returns the first place at which a name is a whole word; -1 if there is none.
func find(text, name string) int {
	for from := 0; ; {
		at := strings.Index(text[from:], name)
		if at < 0 {
			return -1
		}
		at += from
		before, _ := utf8.DecodeLastRuneInString(text[:at])
		after, _ := utf8.DecodeRuneInString(text[at+len(name):])
		if !letter(before) && !letter(after) {
			return at
		}
		from = at + 1
	}
}

func letter(r rune) bool {
	return r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r))
}

// spellings returns the ways in which a provider can name a recipient, in lower case, the
// longest first: the whole address, the part before the @, quoted or not, and the domain,
// in Punycode or not.
func spellings(recipient string) []string {
	recipient = strings.ToLower(strings.Join(strings.Fields(recipient), " "))
	names := []string{recipient}
	if at := strings.LastIndexByte(recipient, '@'); at >= 0 {
		local, domain := recipient[:at], recipient[at+1:]
		bare := strings.Trim(local, `"`)
		locals := []string{local, bare, strings.ReplaceAll(bare, `\`, "")}
		domains := address.Domains(domain)
		names = append(append(names, locals...), domains...)
		for _, l := range locals {
			for _, d := range domains {
				names = append(names, l+"@"+d)
			}
		}
	}
	slices.SortFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(len(b), len(a)), strings.Compare(a, b))
	})
	names = slices.Compact(names)
	return slices.DeleteFunc(names, func(n string) bool { return n == "" })
}
