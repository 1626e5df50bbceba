package messages

import "github.com/codeferry/codeferry/messages/internal/protocol"

// DefaultApp is the app of a system that has only one.
const DefaultApp = "default"

// Channel is the way to send a code.
type Channel string

// The channels.
const (
	// Email: To is an email address.
	Email Channel = "email"
	// SMS: To is a phone number.
	SMS Channel = "sms"
)

// Channels lists every channel, in the order to show them.
func Channels() []Channel { return []Channel{Email, SMS} }

// Valid reports whether c is one of [Channels].
func (c Channel) Valid() bool { return c == Email || c == SMS }

// Subject is the subject of a message: codeferry.send.<app>.<channel>.<type>.<key>. A newer
// message with the same subject supersedes one that still waits, also for its retry.
type Subject struct {
	// App chooses the connectors and templates. Default: [DefaultApp].
	App     string
	Channel Channel
	Type    Type
	// Key is an opaque id such as the user's or the session's, never the address itself.
	Key string
}

// String returns the subject's text. It does not validate it.
func (s Subject) String() string {
	return protocol.Send(s.App, string(s.Channel), string(s.Type), s.Key)
}

// Validate checks the tokens of the subject. The error is a *[FieldError] that shows none of
// them: if they are mixed up, any of them can be the key.
func (s Subject) Validate() error {
	if err := fieldError("app", protocol.AppProblem(s.App)); err != nil {
		return err
	}
	if !s.Channel.Valid() {
		return errChannel()
	}
	if !s.Type.Valid() {
		return errType(s.Type)
	}
	return fieldError("key", protocol.KeyProblem(s.Key))
}

func errChannel() error { return &FieldError{"channel", "is neither email nor sms"} }
