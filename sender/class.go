package sender

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// Class says what an error means for the message and for the connector. It alone decides
// what happens next.
type Class int

// The classes. The zero value is the most careful one.
const (
	// Unknown: the provider may have accepted the message. This is doubt. It is resolved
	// by asking the provider, if that can be asked.
	Unknown Class = iota
	// Permanent: this message will never be accepted.
	Permanent
	// RecipientLimited: the recipient got too many messages. RetryAfter is how long the
	// limit lasts, if that is known.
	RecipientLimited
	// Throttled: not accepted, the account sends too fast.
	Throttled
	// Unavailable: not accepted, the provider can't be reached.
	Unavailable
	// Misconfigured: not accepted, the connector's configuration is wrong.
	Misconfigured
	// AccountDown: not accepted, the account can't send: no money, no permission, a wrong
	// key.
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
		return "Try again. If the error stays, check the network between this machine and the provider."
	case Permanent:
		return "Look up the error code in the guide of the connector's type, https://github.com/codeferry/codeferry/blob/main/docs/connectors/README.md. The same message would be refused again."
	case RecipientLimited:
		return "Wait until the recipient's limit is over, or use another recipient."
	case Throttled:
		return "Wait, or set a rateLimit below the account's limit."
	case Unavailable:
		return "Check the connector's endpoint, or its host and port, and the network between."
	case Misconfigured:
		return "Fix the connector: the provider does not have its sender, signature or template."
	case AccountDown:
		return "Check the connector's keys or password, and the account in the provider's console."
	}
	return ""
}

// Error is why a message was not sent, or may not have been sent. The connector classes
// it once. It holds no code, no secret and no address.
type Error struct {
	Class Class
	// Scope is whom it speaks of; the zero value leaves that to the class.
	Scope Scope
	// Code is the provider's own error code or, if there is none, the connector's name for
	// what failed.
	Code string
	// Detail is a sentence for a person.
	Detail string
	// Advice says what an operator can do about it, and names the setting. It is empty if
	// Class.Advice says enough. It holds nothing of the provider's text.
	Advice string
	// RequestID is the provider's ID of the request.
	RequestID string
	// RetryAfter is how long the provider asks to wait; 0 if it does not say.
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

// WhatToDo returns the error's own advice or, if there is none, that of its class and
// scope.
func (e *Error) WhatToDo() string {
	if e.Advice == "" && e.Class == Misconfigured && e.Scope == ScopeTemplate {
		return "Fix the template or signature: the provider does not have it, or it does not fit its values."
	}
	return cmp.Or(e.Advice, e.Class.Advice())
}

// AsError returns err as an *Error. Any other error becomes one of class Unknown, since
// nothing says that the message was not accepted.
func AsError(err error) *Error {
	if e, ok := errors.AsType[*Error](err); ok {
		return e
	}
	return &Error{Class: Unknown, Detail: err.Error()}
}

// Invalid returns a Permanent error of ScopeMessage, for a message that does not fit a
// connector.
func Invalid(format string, args ...any) *Error {
	return &Error{Class: Permanent, Scope: ScopeMessage, Code: CodeInvalid, Detail: fmt.Sprintf(format, args...)}
}

// Expired returns an Unavailable error for a message that was not handed over before its
// NotAfter. It speaks of the message alone, since it was that message's time that was
// short.
func Expired(detail string) *Error {
	return &Error{Class: Unavailable, Scope: ScopeMessage, Code: CodeExpired, Detail: detail}
}

const (
	// CodeInvalid is the Code of an error of Render: no request was made.
	CodeInvalid = "invalid"
	// CodeExpired is the Code of an error for a message whose NotAfter came before it
	// was handed over: no provider has it.
	CodeExpired = "expired"
)
