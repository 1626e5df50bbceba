package messages

import (
	"strings"

	"github.com/codeferry/codeferry/messages/internal/address"
)

// CheckAddress checks an address for a channel. The error is a *[FieldError] that says what
// is wrong and never holds the address itself. An email address has no display name. A
// phone number has 5 to 17 digits after an optional + or 00. Spaces, hyphens and brackets
// can group the digits. All characters can be full-width, and the digits can be of any
// script. CheckAddress does not check whether a country has the number: connectors do.
//
// Publish checks the address too. Call CheckAddress to check a form before you make a code.
func CheckAddress(c Channel, to string) error {
	var problem string
	switch {
	case to == "":
		problem = "is missing; it is the recipient's address"
	case c == Email:
		problem = address.EmailProblem(to)
	case c == SMS:
		problem = address.PhoneProblem(to)
	default:
		return errChannel()
	}
	return fieldError("to", problem)
}

// hidden replaces a text that is not an address.
const hidden = "****"

// Mask hides a part of an address, so that a log, an outcome or a dead letter can show the
// rest: +86130****5678, f***@example.com. It hides all of a text that is not an address.
// All ways to write a phone number have the same mask.
func Mask(to string) string {
	if at := strings.LastIndexByte(to, '@'); at >= 0 {
		if address.EmailProblem(to) != "" {
			return hidden
		}
		return firstRune(to) + "***" + to[at:]
	}
	if address.PhoneProblem(to) != "" {
		return hidden
	}
	digits := address.Digits(to)
	sign := ""
	if address.HasPlus(to) {
		sign = "+"
	}
	tail := 0
	switch {
	case len(digits) >= 11:
		tail = 4
	case len(digits) >= 8:
		tail = 2
	}
	head := min(5, len(digits)-4-tail) // at least four digits are hidden
	return sign + digits[:head] + "****" + digits[len(digits)-tail:]
}

func firstRune(s string) string {
	for _, r := range s {
		return string(r)
	}
	return ""
}
