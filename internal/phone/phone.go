// Package phone reads phone numbers as Aliyun and Logto understand them: is it
// one of mainland China, and how is it written to a provider.
package phone

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/codeferry/codeferry/messages"
)

// Number is a phone number.
type Number struct {
	// Digits are a mainland number's 11, and any other's country code and number
	// without + or 00: SendSms's form.
	Digits string
	// Mainland tells a number of mainland China.
	Mainland bool
}

// What Parse says of what is no number.
var (
	ErrNotMobile  = errors.New("is a mainland number, but no mobile one: those have 11 digits and begin with 1")
	ErrNoNumber   = errors.New("is no phone number of any country; write it with its country code, such as +8613012345678")
	ErrImpossible = errors.New("has too few or too many digits for its country")
)

// Parse tells mainland numbers from all others as Logto does: with +86,
// 0086 or 86 before 11 digits that begin with 1; and, unless strict, also
// without. Hong Kong, Macao and Taiwan have country codes of their own and
// count as overseas.
//
// Mainland numbers are judged by their form alone, and others by what lengths
// their country has: the tables of numbers in use are always older than the
// newest number. The error says what is wrong, and not the number.
func Parse(to string, strict bool) (Number, error) {
	digits := messages.Digits(to)
	international := strings.HasPrefix(to, "+")
	if rest, ok := strings.CutPrefix(digits, "00"); ok && !international {
		digits, international = rest, true
	}
	if rest, ok := strings.CutPrefix(digits, "86"); ok && IsMobile(rest) {
		return Number{rest, true}, nil
	}
	if !international && !strict && IsMobile(digits) {
		return Number{digits, true}, nil
	}
	parsed, err := phonenumbers.Parse("+"+digits, "")
	if err != nil {
		return Number{}, ErrNoNumber
	}
	if parsed.GetCountryCode() == 86 {
		return Number{}, ErrNotMobile
	}
	// A number for local calls alone is the rest of one from another country.
	if phonenumbers.IsPossibleNumberWithReason(parsed) != phonenumbers.IS_POSSIBLE {
		return Number{}, ErrImpossible
	}
	return Number{strings.TrimPrefix(phonenumbers.Format(parsed, phonenumbers.E164), "+"), false}, nil
}

// IsMobile tells a mainland mobile number: 11 digits that begin with 1.
func IsMobile(digits string) bool { return len(digits) == 11 && digits[0] == '1' }
