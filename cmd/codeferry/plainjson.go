package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// newJSON returns the encoder of every --json. It writes one object a line, and escapes each
// character that could move a terminal's cursor or hide text: encoding/json leaves U+007F to
// U+009F and the marks of direction as they are.
func newJSON(out io.Writer) *json.Encoder { return json.NewEncoder(escaping{out}) }

// escaping is a writer of JSON. It takes whole values only, as an encoder writes them.
type escaping struct{ out io.Writer }

func (e escaping) Write(text []byte) (int, error) {
	if _, err := e.out.Write(escaped(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// escaped returns JSON with the characters escaped that are not shown. They can stand in its
// strings alone.
func escaped(text []byte) []byte {
	if !bytes.ContainsFunc(text, hiding) {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch high, low := utf16.EncodeRune(r); {
		case !hiding(r):
			out = append(out, text[:size]...)
		case high != unicode.ReplacementChar:
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// hiding reports whether a character needs an escape that encoding/json does not make.
func hiding(r rune) bool { return r >= 0x7f && !unicode.IsGraphic(r) }
