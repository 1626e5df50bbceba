// Package redact is the one redactor. It removes from a provider's text everything that
// no error, log or dead letter may hold.
//
// Providers repeat addresses, codes and keys in their answers, in many forms:
// percent-escaped, in HTML or JSON, quoted-printable, in base64 or hex, and in several of
// these at once. So a text is decoded in every possible way, and each value is searched
// for in all results. The piece that a value was decoded from is hidden. A value that is
// not found in any decoding of a line can't be recovered from that line by decoding it.
package redact

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Marker replaces what was removed.
const Marker = "[hidden]"

const (
	// Shortest is the length of the shortest value that is searched for, in bytes. A code
	// has at least four characters, and shorter values occur in ordinary words.
	Shortest = 4
	// MaxLine is the default for the length of a line, in characters.
	MaxLine = 200
	// maxRead bounds how much of a text is read, in bytes.
	maxRead = 8 << 10
	// margin is how much of that is not shown if the text was longer, in bytes, so no half
	// of a value stays at the end.
	margin = 2 << 10
	// maxPasses bounds how often the rest is searched again.
	maxPasses = 4
)

// Values says what must not be shown, and what may be.
type Values struct {
	// Recipient is an email address or a phone number. An address is found as a whole,
	// with its domain in ASCII or Unicode, and by the part before the @. A number is found
	// with its digits grouped in any way, with or without a country code.
	Recipient string
	// Secrets are keys, tokens, codes and other private values. Values shorter than
	// Shortest are ignored, here and in Content.
	Secrets []string
	// Content holds texts with secrets, such as a subject or the parts of a mail. A text
	// is found as a whole, by its lines, and by each word that can be a code.
	Content []string
	// Own are addresses that may be shown, such as the sender's.
	Own []string
	// Longest is the maximum length of a line, in characters. A line that was cut ends
	// with an ellipsis. Default: MaxLine.
	Longest int
}

// Redactor removes values from texts. Only one goroutine can use it at a time.
type Redactor struct {
	values Values
	// wanted is what to search for; it is made when it is needed first.
	wanted *wanted
	// forms are the forms to search in: all of them, except in tests.
	forms form
}

// New returns a Redactor for v.
func New(v Values) *Redactor { return &Redactor{values: v, forms: allForms} }

// Line returns one line of printable UTF-8, of at most Longest characters and an
// ellipsis. It holds none of the values, and no address or phone number other than those
// in Own. A Marker replaces each removed piece. Line returns its own result unchanged.
func (r *Redactor) Line(text string) string {
	for range maxPasses {
		hidden := r.pass(&text)
		if !hidden {
			return text
		}
		// The removed piece may have separated the halves of a value.
	}
	return Marker
}

// pass makes a text a line, and reports whether it removed something.
func (r *Redactor) pass(text *string) bool {
	whole := readable(*text)
	shown := len(whole)
	if len(*text) > maxRead {
		shown = min(shown, maxRead-margin)
	}
	found, complete := r.find(whole)
	if !complete {
		*text = Marker
		return false
	}
	line, hidden := without(whole, shown, found)
	*text = cut(line, cmp.Or(r.values.Longest, MaxLine))
	return hidden
}

// Shows reports whether a text shows one of the values in any form. Addresses other than
// the recipient's do not count.
func (r *Redactor) Shows(text string) bool {
	found, complete := r.search(readable(text), false)
	return !complete || len(found) > 0
}

// OneLine returns one line of printable UTF-8, of at most MaxLine characters and an
// ellipsis. It removes nothing, so it is for texts that hold no private value.
func OneLine(text string) string { return cut(readable(text), MaxLine) }

// readable returns the beginning of a text without invisible characters. It keeps
// whitespace, since some forms depend on it.
func readable(text string) string {
	text = text[:min(len(text), maxRead)]
	if isPlain(text) {
		return text
	}
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsPrint(r) || unicode.IsSpace(r):
			return r
		case unicode.IsControl(r):
			return ' '
		}
		return -1
	}, strings.ToValidUTF8(text, "\uFFFD"))
}

// isPlain reports whether a text is printable ASCII alone.
func isPlain(text string) bool {
	for i := range len(text) {
		if text[i] < ' ' || text[i] > '~' {
			return false
		}
	}
	return true
}

// cut returns a text's words on one line, cut to a length. It does not cut a Marker in
// two.
func cut(text string, longest int) string {
	text = strings.Join(strings.Fields(text), " ")
	if utf8.RuneCountInString(text) <= longest {
		return text
	}
	runes := []rune(text)
	if len(runes) == longest+1 && runes[longest] == '…' {
		return text // it was already cut
	}
	line := string(runes[:longest])
	for n := 1; n < len(Marker); n++ {
		if before, ok := strings.CutSuffix(line, Marker[:n]); ok && strings.HasPrefix(text[len(before):], Marker) {
			return before + "…"
		}
	}
	return line + "…"
}

// span is a piece of a text: the bytes in [from, to).
type span struct{ from, to int }

// without returns the first bytes of a text with a Marker for each of the pieces, and
// reports whether one of the pieces was not a Marker before.
func without(text string, shown int, pieces []span) (line string, hidden bool) {
	if len(pieces) == 0 {
		return text[:shown], false
	}
	for at := 0; ; {
		i := strings.Index(text[at:], Marker)
		if i < 0 {
			break
		}
		at += i + len(Marker)
		pieces = append(pieces, span{at - len(Marker), at})
	}
	var out strings.Builder
	end := 0
	for _, p := range merged(pieces) {
		if p.from >= shown {
			break
		}
		hidden = hidden || text[p.from:p.to] != Marker
		out.WriteString(text[end:p.from])
		out.WriteString(Marker)
		end = p.to
	}
	if end < shown {
		out.WriteString(text[end:shown])
	}
	return out.String(), hidden
}

// merged returns pieces in order. It joins pieces that overlap or touch.
func merged(pieces []span) []span {
	slices.SortFunc(pieces, func(a, b span) int { return a.from - b.from })
	out := pieces[:1]
	for _, p := range pieces[1:] {
		if last := &out[len(out)-1]; p.from <= last.to {
			last.to = max(last.to, p.to)
			continue
		}
		out = append(out, p)
	}
	return out
}
