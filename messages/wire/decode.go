package wire

import (
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/address"
	"github.com/codeferry/codeferry/messages/internal/protocol"
	"github.com/codeferry/codeferry/messages/internal/ulid"
)

// MaxBody is the most bytes that a message's body may have: 16 KiB.
const MaxBody = protocol.MaxBody

// Decode reads a message's body and validates it for a channel. The error is a
// *[messages.FieldError].
func Decode(body []byte, c messages.Channel) (*messages.SendCode, error) {
	if len(body) > MaxBody {
		return nil, &messages.FieldError{Field: "body", Problem: fmt.Sprintf("has %d bytes; it takes at most %d", len(body), MaxBody)}
	}
	m := new(messages.SendCode)
	if err := m.UnmarshalJSON(body); err != nil {
		return m, err
	}
	err := m.Validate(c)
	return m, err
}

// ValidID reports whether id can be a message's id: 1 to 200 printable ASCII characters
// without spaces.
func ValidID(id string) bool { return id != "" && protocol.IDProblem(id) == "" }

// IDTime returns the time in an id of [messages.NewID]. ok is false if NewID can't have made
// the id. The time is only a hint: another id, such as a number of 26 digits, can look like
// one of NewID, and then the time means nothing.
func IDTime(id string) (t time.Time, ok bool) { return ulid.Time(id) }

// Digits returns the digits of a phone number as 0-9, without + and grouping. It reads the
// digits of any script. All forms of a number give the same result: from Mexico's old mobile
// numbers, +52 1 and ten digits, it removes the 1.
func Digits(to string) string { return address.Digits(to) }

// ShowsAddress reports whether a text, such as an id or a subject's key, shows the address
// to: an email address in upper or lower case, or a phone number with any grouping, with or
// without a country code. If to is empty, it reports whether the text is an address. A text
// that shows an address is never stored.
func ShowsAddress(text, to string) bool { return address.Shows(text, to) }
