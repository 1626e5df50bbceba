// Package address reads email addresses and phone numbers as publishers write them.
package address

import (
	"bytes"
	"fmt"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxEmail is the longest address that SMTP can carry (RFC 5321, 4.5.3.1).
const maxEmail = 254

// EmailProblem says what is wrong with an email address, without showing it. It is empty for
// a valid address.
func EmailProblem(to string) string {
	if len(to) > maxEmail {
		return fmt.Sprintf("has %d bytes; an email address has at most %d", len(to), maxEmail)
	}
	unprintable := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	if a, err := mail.ParseAddress(to); err != nil || a.Address != to || strings.ContainsFunc(to, unprintable) {
		return "is not an email address of the form name@example.com"
	}
	return ""
}

// maxPhone is the limit of a phone number in characters, far more than 17 digits and their
// grouping take.
const maxPhone = 64

// PhoneProblem says what is wrong with a phone number, without showing it. It is empty for a
// valid number.
func PhoneProblem(to string) string {
	if n := utf8.RuneCountInString(to); n > maxPhone {
		return fmt.Sprintf("has %d characters; a phone number has at most %d", n, maxPhone)
	}
	digits := Digits(to)
	if !HasPlus(to) {
		digits = strings.TrimPrefix(digits, "00")
	}
	if n := len(digits); n < 5 || n > 17 {
		return "is not a phone number such as +8613012345678: it needs 5 to 17 digits after an optional + or 00"
	}
	for i, r := range to {
		p := plain(r)
		if isDigit(p) || strings.ContainsRune(" -()", p) || p == '+' && i == 0 {
			continue
		}
		return "is not a phone number: it holds " + describeRune(p)
	}
	return ""
}

// describeRune names a character without repeating part of an address.
func describeRune(r rune) string {
	if r == '+' {
		return "a + that is not its first character"
	}
	return "something other than digits, spaces, hyphens and brackets"
}

// Digits returns the digits of a phone number as 0-9, without + and grouping. It reads the
// digits of any script. All forms of a number give the same result: from Mexico's old mobile
// numbers, +52 1 and ten digits, it removes the 1.
func Digits(to string) string {
	return oneForm(digits(to))
}

func digits(to string) string {
	for i := range len(to) {
		if !isDigit(rune(to[i])) {
			return strings.Map(func(r rune) rune {
				if p := plain(r); isDigit(p) {
					return p
				}
				return -1
			}, to)
		}
	}
	return to
}

// oneForm removes the 1 that Mexico's mobile numbers had after the country code until 2019.
// Ten digits follow it, and the first is 2 or more; no number of today has this form.
func oneForm(digits string) string {
	const old = "521"
	start := len(digits) - len(old) - 10
	if start != 0 && (start != 2 || digits[:2] != "00") || digits[start:start+len(old)] != old || digits[start+len(old)] < '2' {
		return digits
	}
	return digits[:start] + "52" + digits[start+len(old):]
}

// plain returns the ASCII form of a character of a phone number: a digit of any script, or a
// full-width sign of an East Asian keyboard.
func plain(r rune) rune {
	switch {
	case r < utf8.RuneSelf:
		return r
	case r == '\u3000': // the full-width space
		return ' '
	case r >= '\uff01' && r <= '\uff5e':
		return r - '\uff01' + '!'
	case unicode.IsDigit(r):
		return digitOf(r)
	}
	return r
}

// digitOf returns the ASCII form of a decimal digit. A script's digits are contiguous, from
// 0 to 9, and each range of the table begins with a 0 (Unicode, 4.6).
func digitOf(r rune) rune {
	for _, t := range unicode.Nd.R16 {
		if lo, hi := rune(t.Lo), rune(t.Hi); r >= lo && r <= hi {
			return '0' + (r-lo)%10
		}
	}
	for _, t := range unicode.Nd.R32 {
		if lo, hi := rune(t.Lo), rune(t.Hi); r >= lo && r <= hi { //nolint:gosec // characters have 21 bits
			return '0' + (r-lo)%10
		}
	}
	return r
}

// HasPlus reports whether a phone number begins with a +, also a full-width one.
func HasPlus(to string) bool {
	return strings.HasPrefix(to, "+") || strings.HasPrefix(to, "\uff0b")
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// Shows reports whether a text, such as an id or a subject's key, shows the address to: an
// email address in upper or lower case, or a phone number with any grouping, with or without
// a country code. If to is empty, it reports whether the text is an address.
func Shows(text, to string) bool {
	const national = 9 // an id hardly has so many equal digits by chance
	switch {
	case to == "":
		return strings.Contains(text, "@") || PhoneProblem(text) == ""
	case strings.Contains(to, "@"):
		return strings.Contains(strings.ToLower(text), strings.ToLower(to))
	}
	var a, b [2 * maxPhone]byte // enough for most texts, so that append does not allocate
	number, shown := appendDigits(a[:0], to), appendDigits(b[:0], text)
	if len(number) < national {
		return len(number) > 0 && bytes.Equal(shown, number)
	}
	return bytes.Contains(shown, number[len(number)-national:])
}

// appendDigits appends a text's digits, as 0-9.
func appendDigits(to []byte, text string) []byte {
	for _, r := range text {
		if p := plain(r); isDigit(p) {
			to = append(to, byte(p)) //nolint:gosec // it is ASCII
		}
	}
	return to
}
