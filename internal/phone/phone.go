// Package phone reads phone numbers as Aliyun and Logto do: it says whether a number is one of
// mainland China, and returns the form that a provider takes.
package phone

import (
	"errors"
	"strings"

	"github.com/nyaruka/phonenumbers"

	"github.com/codeferry/codeferry/messages/wire"
)

// Number is a phone number.
type Number struct {
	// Digits is the form that SendSms takes: the 11 digits of a mainland number, or the
	// country code and number of any other, without + or 00.
	Digits string
	// Mainland is true for a number of mainland China.
	Mainland bool
}

// The errors of Parse.
var (
	ErrNotMobile  = errors.New("is a mainland number, but not a mobile number: these have 11 digits and begin with 1")
	ErrNoNumber   = errors.New("is not a phone number of any country; write it with its country code, such as +8613012345678")
	ErrImpossible = errors.New("has too few or too many digits for its country")
)

// fullWidthPlus is the + of an East Asian keyboard.
const fullWidthPlus = "\uff0b"

// Parse recognizes mainland numbers as Logto does: 11 digits that begin with 1, after +86,
// 0086 or 86, or, unless strict, also without these. Hong Kong, Macao and Taiwan have their
// own country codes and count as overseas.
//
// It reads digits of any script (wire.Digits). It removes digits that a country's numbering
// plan no longer has, if the rest is a valid number: Mexico's 1 after 52, and those that
// libphonenumber knows, such as Argentina's 15.
//
// It checks only the form of mainland numbers, and only the length of others, because tables
// of assigned numbers are always older than the newest number. The error does not show the
// number.
func Parse(to string, strict bool) (Number, error) {
	digits := wire.Digits(to)
	international := strings.HasPrefix(to, "+") || strings.HasPrefix(to, fullWidthPlus)
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
	// A number that is valid only for local calls is part of a number of another country.
	if phonenumbers.IsPossibleNumberWithReason(parsed) != phonenumbers.IS_POSSIBLE {
		return Number{}, ErrImpossible
	}
	return Number{strings.TrimPrefix(phonenumbers.Format(parsed, phonenumbers.E164), "+"), false}, nil
}

// IsMobile reports whether digits are a mainland mobile number: 11 digits that begin with 1.
func IsMobile(digits string) bool { return len(digits) == 11 && digits[0] == '1' }
