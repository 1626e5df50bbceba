package messages

import (
	"fmt"
	"net/mail"
	"strings"
	"unicode"
)

// maxEmail is the longest address that SMTP can carry (RFC 5321, 4.5.3.1).
const maxEmail = 254

// CheckAddress says what is wrong with an address for a channel, as a
// *FieldError that never holds the address itself. An email address is bare
// (no display name). A phone number has 5 to 17 digits after an optional + or
// 00, and may be grouped by spaces, hyphens and brackets; whether its country
// knows such a number is the connector's to say.
func CheckAddress(c Channel, to string) error {
	switch {
	case to == "":
		return &FieldError{"to", "is missing; it is the recipient's address"}
	case c == Email:
		return checkEmail(to)
	case c == SMS:
		return checkPhone(to)
	}
	return errChannel()
}

func checkEmail(to string) error {
	if len(to) > maxEmail {
		return &FieldError{"to", fmt.Sprintf("has %d bytes; an email address has at most %d", len(to), maxEmail)}
	}
	unprintable := func(r rune) bool { return !unicode.IsGraphic(r) || unicode.IsSpace(r) }
	if a, err := mail.ParseAddress(to); err != nil || a.Address != to || strings.ContainsFunc(to, unprintable) {
		return &FieldError{"to", "is no email address of the form name@example.com"}
	}
	return nil
}

// maxPhone is far more than 17 digits and their grouping take.
const maxPhone = 64

func checkPhone(to string) error {
	if len(to) > maxPhone {
		return &FieldError{"to", fmt.Sprintf("has %d bytes; a phone number has at most %d", len(to), maxPhone)}
	}
	digits := Digits(to)
	if !strings.HasPrefix(to, "+") {
		digits = strings.TrimPrefix(digits, "00")
	}
	if n := len(digits); n < 5 || n > 17 {
		return &FieldError{"to", "is no phone number such as +8613012345678: it needs 5 to 17 digits after an optional + or 00"}
	}
	for i, r := range to {
		if isDigit(r) || strings.ContainsRune(" -()", r) || r == '+' && i == 0 {
			continue
		}
		return &FieldError{"to", "is no phone number: it holds " + describeRune(r)}
	}
	return nil
}

// describeRune names a character without repeating part of an address.
func describeRune(r rune) string {
	if r == '+' {
		return "a + that is not its first character"
	}
	return "something other than digits, spaces, hyphens and brackets"
}

// Digits returns the digits of a phone number, without + and grouping.
func Digits(to string) string {
	plain := true
	for i := range len(to) {
		if to[i] < '0' || to[i] > '9' {
			plain = false
			break
		}
	}
	if plain {
		return to
	}
	return strings.Map(func(r rune) rune {
		if isDigit(r) {
			return r
		}
		return -1
	}, to)
}

func isDigit(r rune) bool { return '0' <= r && r <= '9' }

// hidden stands for what is no address.
const hidden = "****"

// Mask hides enough of an address that it can stand in a log, an outcome or a
// dead letter: +86130****5678, f***@example.com. Whatever is no address is
// hidden whole.
func Mask(to string) string {
	if at := strings.LastIndexByte(to, '@'); at >= 0 {
		if checkEmail(to) != nil {
			return hidden
		}
		return firstRune(to) + "***" + to[at:]
	}
	if checkPhone(to) != nil {
		return hidden
	}
	digits := Digits(to)
	sign := ""
	if strings.HasPrefix(to, "+") {
		sign = "+"
	}
	tail := 0
	switch {
	case len(digits) >= 11:
		tail = 4
	case len(digits) >= 8:
		tail = 2
	}
	head := min(5, len(digits)-4-tail) // four digits are hidden at the least
	return sign + digits[:head] + "****" + digits[len(digits)-tail:]
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
