package messages

import "errors"

// The errors of a publish, beside *[FieldError].
var (
	// ErrNoStream: there is no stream for the message, because nobody has created the
	// streams yet. The message was not stored.
	ErrNoStream = errors.New("there is no stream for the message; create the streams with `codeferry provision`, or start a worker")
	// ErrStreamFull: the stream CODEFERRY is full, or the NATS server has no room left for
	// it. The message was not stored. Try again later, or ask the user to.
	ErrStreamFull = errors.New("CODEFERRY has no room: codes arrive faster than they are sent, or the NATS server's storage is full")
	// ErrNotConnected: there is no connection to NATS. The message was not stored, and
	// will not be published later.
	ErrNotConnected = errors.New("not connected to NATS")
	// ErrNoAnswers: NATS does not permit the user to subscribe to the connection's inboxes,
	// so no acknowledgement can arrive. The message was not stored. Connect with
	// nats.CustomInboxPrefix and a prefix that the user may subscribe to.
	ErrNoAnswers = errors.New("NATS does not permit this user to receive answers at the connection's inboxes, so the message was not published; " +
		"set their prefix with nats.CustomInboxPrefix, such as _INBOX_publisher (docs/roles.md)")
	// ErrInDoubt: no acknowledgement came in time. The message may have been stored, and
	// its code may be sent. Publish it again with Ack.ID as its ID: then it is stored once.
	ErrInDoubt = errors.New("no acknowledgement came, and the message may have been stored")
)

// FieldError says what is wrong with a field of a message, or with an option. It never holds
// an address or a code.
type FieldError struct {
	// Field is the field's name on the wire, such as to or payload.code.
	Field string
	// Problem completes the sentence that Field begins: is missing; …
	Problem string
}

// Error returns one line such as `to is missing; it is the recipient's address`.
func (e *FieldError) Error() string { return e.Field + " " + e.Problem }

// fieldError returns a *FieldError, and nil if there is no problem.
func fieldError(field, problem string) error {
	if problem == "" {
		return nil
	}
	return &FieldError{field, problem}
}
