package redact

import (
	"unicode"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages/wire"
)

// fold returns a layer in the form in which values are compared. It ignores case, the
// kind and number of spaces, and invisible characters. It writes all digits as 0 to 9,
// and full-width characters of East Asian keyboards as ASCII.
func fold(l *layer, forms form) layer {
	b := newBuilder(l)
	b.fold(l, forms)
	return b.layer(l.forms)
}

func foldString(s string, forms form) string {
	b := builder{text: make([]byte, 0, len(s)), textOnly: true}
	b.fold(&layer{text: s}, forms)
	return string(b.text)
}

func (b *builder) fold(l *layer, forms form) {
	for i := 0; i < len(l.text); {
		c, size := rune(l.text[i]), 1
		if c >= utf8.RuneSelf {
			c, size = utf8.DecodeRuneInString(l.text[i:])
			c = narrow(c)
		}
		from := l.source(i, i+size)
		i += size
		switch {
		case isBlank(c, forms):
			if b.last() == ' ' {
				b.extend(from.to)
				continue
			}
			c = ' '
		case forms&anyCase == 0:
		case c < utf8.RuneSelf:
			if c >= 'A' && c <= 'Z' {
				c += 'a' - 'A'
			}
		default:
			c = unicode.ToLower(unicode.ToUpper(c))
		}
		switch {
		case c < utf8.RuneSelf:
			b.add(byte(c), from)
		case c == utf8.RuneError && endsInRuneError(b.text):
			b.extend(from.to)
		case unicode.IsPrint(c):
			b.addString(string(c), from)
		}
	}
}

// isBlank reports whether a character separates words. A + does so in queries, and a _ in
// headers. Control characters also do.
func isBlank(c rune, forms form) bool {
	switch {
	case c == '+':
		return forms&plusForSpace != 0
	case c == '_':
		return forms&quotedPrintable != 0
	case c < utf8.RuneSelf:
		return c <= ' ' || c == 0x7f
	}
	return unicode.IsSpace(c) || unicode.IsControl(c)
}

// narrow returns full-width characters and digits of other scripts as ASCII.
func narrow(c rune) rune {
	switch {
	case c >= '\uff01' && c <= '\uff5e':
		return c - '\uff01' + '!'
	case unicode.IsDigit(c):
		return rune(wire.Digits(string(c))[0])
	}
	return c
}

func endsInRuneError(text []byte) bool {
	r, size := utf8.DecodeLastRune(text)
	return r == utf8.RuneError && size > 1
}
