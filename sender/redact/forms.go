package redact

import (
	"html"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// form is a way to write a value, or a set of such ways.
type form uint

const (
	// asIs is the value itself.
	asIs form = 1 << iota
	// anyCase is the value in upper case or lower case.
	anyCase
	// plusForSpace is the encoding of queries and forms, in which a + is a space.
	plusForSpace
	// percent is %2B, as in URLs.
	percent
	// twice is a form applied twice, such as %252B.
	twice
	// htmlEscapes are &amp; and &#43;.
	htmlEscapes
	// backslashes are \" and \u002b, as JSON and others write them.
	backslashes
	// quotedPrintable is =2B, and _ for a space in headers.
	quotedPrintable
	// softBreak is a = at the end of a line that continues on the next line.
	softBreak
	// base64Std and base64URL are the two alphabets of base64, with or without padding.
	// The value can begin anywhere in the encoded text.
	base64Std
	base64URL
	// hexDigits is 2b, with or without separators between the bytes.
	hexDigits
	// grouped is a number with separators between its digits.
	grouped

	allForms = grouped<<1 - 1
)

// escapes are the forms that can occur in parts of a text.
var escapes = []struct {
	form form
	// sign is the first byte of each escape.
	sign byte
	// undo reads the escape at the beginning of a text. It returns what the escape stands
	// for, and its length; 0 if there is no escape.
	undo func(text string) (plain string, size int)
}{
	{percent, '%', func(text string) (string, int) { return undoByte(text, 1) }},
	{htmlEscapes, '&', undoHTML},
	{backslashes, '\\', undoBackslash},
	{quotedPrintable, '=', func(text string) (string, int) { return undoByte(text, 1) }},
	{softBreak, '=', undoSoftBreak},
}

// unescaped returns a layer without one form's escapes; false if it has no such escapes.
func unescaped(l *layer, f form, sign byte, undo func(string) (string, int)) (layer, bool) {
	at := strings.IndexByte(l.text, sign)
	if at < 0 {
		return layer{}, false
	}
	var b *builder // made at the first escape
	for i := at; i < len(l.text); {
		plain, size := "", 0
		if l.text[i] == sign {
			plain, size = undo(l.text[i:])
		}
		switch {
		case size > 0:
			if b == nil {
				b = newBuilder(l)
				for j := range i {
					b.add(l.text[j], l.source(j, j+1))
				}
			}
			b.addString(plain, l.source(i, i+size))
			i += size
		default:
			if b != nil {
				b.add(l.text[i], l.source(i, i+1))
			}
			i++
		}
	}
	if b == nil {
		return layer{}, false
	}
	return b.layer(l.forms | f), true
}

// undoByte reads two hex digits after a sign of sign bytes.
func undoByte(text string, sign int) (plain string, size int) {
	if len(text) < sign+2 {
		return "", 0
	}
	high, ok1 := hexDigit(text[sign])
	low, ok2 := hexDigit(text[sign+1])
	if !ok1 || !ok2 {
		return "", 0
	}
	return string([]byte{high<<4 | low}), sign + 2
}

// maxEntity is the length of HTML's longest character name, with & and ;.
const maxEntity = 33

// undoHTML reads &name;, &#1; and &#x1;. The semicolon can be missing after a number.
func undoHTML(text string) (plain string, size int) {
	text = text[:min(len(text), maxEntity)]
	if !strings.HasPrefix(text, "&#") {
		name := text[:strings.IndexByte(text, ';')+1]
		if plain = html.UnescapeString(name); plain == name {
			return "", 0
		}
		return plain, len(name)
	}
	rest := strings.TrimLeft(strings.TrimLeft(text[2:], "xX"), "0123456789abcdefABCDEF")
	number := text[:len(text)-len(rest)] + ";"
	if plain = html.UnescapeString(number); plain == number {
		return "", 0
	}
	return plain, min(len(number), len(number)-1+strings.Count(rest[:min(len(rest), 1)], ";"))
}

// letters are the characters that a backslash and a letter stand for.
var letters = map[byte]string{
	'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'"': `"`, '\'': "'", '/': "/", '\\': `\`,
}

// undoBackslash reads \uXXXX, also as a surrogate pair, \xXX, \ooo and \n.
func undoBackslash(text string) (plain string, size int) {
	if len(text) < 2 {
		return "", 0
	}
	switch c := text[1]; {
	case c == 'u':
		return undoUnicode(text)
	case c == 'x':
		return undoByte(text, 2)
	case c >= '0' && c <= '7' && len(text) >= 4:
		if n, err := strconv.ParseUint(text[1:4], 8, 8); err == nil {
			return string([]byte{byte(n)}), 4
		}
	default:
		if s, ok := letters[c]; ok {
			return s, 2
		}
	}
	return "", 0
}

// undoUnicode reads \uXXXX, and a second one if the first is half of a surrogate pair.
func undoUnicode(text string) (plain string, size int) {
	const length = len(`\uXXXX`)
	unit := func(text string) (rune, bool) {
		if len(text) < length || text[0] != '\\' || text[1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(text[2:length], 16, 16)
		return rune(n), err == nil
	}
	first, ok := unit(text)
	if !ok {
		return "", 0
	}
	if second, ok := unit(text[length:]); ok {
		if r := utf16.DecodeRune(first, second); r != utf8.RuneError {
			return string(r), 2 * length
		}
	}
	return string(first), length
}

// undoSoftBreak reads a line break, or the space that a server may have replaced it by.
func undoSoftBreak(text string) (plain string, size int) {
	rest := strings.TrimLeft(text[1:], " \t")
	if after, ok := strings.CutPrefix(strings.TrimPrefix(rest, "\r"), "\n"); ok {
		return "", len(text) - len(after)
	}
	if strings.HasPrefix(text, "= ") {
		return "", len("= ")
	}
	return "", 0
}

func hexDigit(c byte) (bits byte, ok bool) {
	switch {
	case c >= '0' && c <= '9':
		return c - '0', true
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10, true
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10, true
	}
	return 0, false
}
