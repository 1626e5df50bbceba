package sender

import (
	"errors"
	"fmt"
	"time"
)

// Class says what an error means for the message and for the connector. What
// happens next is decided by it, and by nothing else.
type Class int

// The classes. The zero value is the careful one.
const (
	// Unknown: the provider may have accepted the message. This is doubt: it is
	// resolved by asking where the provider can be asked.
	Unknown Class = iota
	// Permanent: this message will never be accepted.
	Permanent
	// RecipientLimited: the recipient has had too many messages; RetryAfter says
	// when the window is over, where that is known.
	RecipientLimited
	// Throttled: not accepted, the account sends too fast.
	Throttled
	// Unavailable: not accepted, the provider can't be reached.
	Unavailable
	// Misconfigured: not accepted, the connector's configuration is wrong.
	Misconfigured
	// AccountDown: not accepted, the account is out: no money, no permission, a
	// wrong key.
	AccountDown
)

var classNames = [...]string{
	Unknown:          "unknown",
	Permanent:        "permanent",
	RecipientLimited: "recipient-limited",
	Throttled:        "throttled",
	Unavailable:      "unavailable",
	Misconfigured:    "misconfigured",
	AccountDown:      "account-down",
}

// Classes lists every class.
func Classes() []Class {
	all := make([]Class, len(classNames))
	for i := range all {
		all[i] = Class(i)
	}
	return all
}

// String returns the class's name, as metrics, outcomes and logs show it.
func (c Class) String() string {
	if c < 0 || int(c) >= len(classNames) {
		return fmt.Sprintf("Class(%d)", int(c))
	}
	return classNames[c]
}

// Advice says in a sentence what an operator can do about an error of the class.
func (c Class) Advice() string {
	switch c {
	case Unknown:
		return "Try again; where it stays, look at what stands between here and the provider."
	case Permanent:
		return "Look the provider's code up: the same message would be refused again."
	case RecipientLimited:
		return "Wait for the recipient's window to pass, or use another recipient."
	case Throttled:
		return "Wait, or set a rateLimit below what the account may send."
	case Unavailable:
		return "Look at the connector's host and port, and at the network between."
	case Misconfigured:
		return "Mend the connector: its sender, signature or template is not what the provider has."
	case AccountDown:
		return "Look at the keys and at the account in the provider's console."
	}
	return ""
}

// Error is why a message was not sent, or may not have been. It is classed
// once, at the provider's border. It holds no code, no secret and no address.
type Error struct {
	Class Class
	// Code is the provider's own error code; without one, a word for what broke.
	Code string
	// Detail is a sentence for a person.
	Detail string
	// RequestID is the provider's name for the request.
	RequestID string
	// RetryAfter is how long the provider asks to wait; 0 where it does not say.
	RetryAfter time.Duration
}

// Error returns one line without the request's id.
func (e *Error) Error() string {
	switch {
	case e.Code == "":
		return e.Class.String() + ": " + e.Detail
	case e.Detail == "":
		return e.Class.String() + ": " + e.Code
	}
	return e.Class.String() + ": " + e.Code + ": " + e.Detail
}

// AsError returns err as an *Error; one that is none is of class Unknown, since
// nothing says that the message was not accepted.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Class: Unknown, Detail: err.Error()}
}

// Invalid returns a Permanent error for a message that does not fit a
// connector.
func Invalid(format string, args ...any) *Error {
	return &Error{Class: Permanent, Code: CodeInvalid, Detail: fmt.Sprintf(format, args...)}
}

// CodeInvalid is the Code of an error that Render found: no provider was asked.
const CodeInvalid = "invalid"
