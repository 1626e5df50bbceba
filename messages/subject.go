package messages

import (
	"fmt"
	"strings"
)

// The first tokens of every subject of codeferry's.
const (
	sendPrefix    = "codeferry.send."
	outcomePrefix = "codeferry.outcome."
	deadPrefix    = "codeferry.dead."
)

// DefaultApp is the app of a system that has only one.
const DefaultApp = "default"

// maxToken bounds a subject's token, so that a subject stays well below the
// server's limits.
const maxToken = 128

// Channel is the way a code travels.
type Channel string

// The channels.
const (
	Email Channel = "email"
	SMS   Channel = "sms"
)

// Channels lists every channel, in the order in which they are shown.
func Channels() []Channel { return []Channel{Email, SMS} }

// Valid tells whether c is one of Channels.
func (c Channel) Valid() bool { return c == Email || c == SMS }

// Subject says where a message goes: codeferry.send.<app>.<channel>.<type>.<key>.
// A newer message with the same subject replaces one that still waits, also one
// that waits for its retry.
type Subject struct {
	// App names the connectors and templates to use; DefaultApp where there is one.
	App     string
	Channel Channel
	Type    Type
	// Key says for whom: an opaque id such as the user's or the session's,
	// never the address itself.
	Key string
}

// String returns the subject as it is published; it does not check it.
func (s Subject) String() string {
	return sendPrefix + s.App + "." + string(s.Channel) + "." + string(s.Type) + "." + s.Key
}

// Validate says what is wrong with a token of the subject, as a *FieldError. It
// shows none of the tokens: where they are mixed up, any may be the key.
func (s Subject) Validate() error {
	if err := checkApp(s.App); err != nil {
		return err
	}
	if !s.Channel.Valid() {
		return errChannel()
	}
	if !s.Type.Valid() {
		return errType(s.Type)
	}
	return checkKey(s.Key)
}

// ParseSubject takes a send subject apart. Its type is kept as it stands: Test
// is not yet read as Generic. The error is a *FieldError that shows nothing of
// the subject.
func ParseSubject(subject string) (Subject, error) {
	rest, ok := strings.CutPrefix(subject, sendPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 4 {
		return Subject{}, &FieldError{"subject", "is not of the form codeferry.send.<app>.<channel>.<type>.<key>"}
	}
	s := Subject{App: tokens[0], Channel: Channel(tokens[1]), Type: Type(tokens[2]), Key: tokens[3]}
	return s, s.Validate()
}

// OutcomeSubject returns the subject of an app's outcomes; "*" stands for any token.
func OutcomeSubject(app string, c Channel, s Status) string {
	return outcomePrefix + app + "." + string(c) + "." + string(s)
}

// DeadSubject returns the subject of an app's dead letters; "*" stands for any token.
func DeadSubject(app string, c Channel, r Reason) string {
	return deadPrefix + app + "." + string(c) + "." + string(r)
}

func errChannel() error { return &FieldError{"channel", "is neither email nor sms"} }

func checkApp(app string) error {
	if app == "" || len(app) > maxToken || strings.ContainsFunc(app, func(r rune) bool { return !isWord(r) }) {
		return &FieldError{"app", fmt.Sprintf("is no app name; it takes 1 to %d of A-Z a-z 0-9 _ -", maxToken)}
	}
	return nil
}

// ValidApp tells whether app can stand in a subject: 1 to 128 of A-Z a-z 0-9 _ -.
func ValidApp(app string) bool { return checkApp(app) == nil }

func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// checkKey refuses what no subject can hold, and never shows the key: whoever
// put an address there does not want to read it in a log.
func checkKey(key string) error {
	switch {
	case key == "":
		return &FieldError{"key", "is empty; it takes an opaque id such as the user's or the session's"}
	case len(key) > maxToken:
		return &FieldError{"key", fmt.Sprintf("has %d bytes; it takes at most %d", len(key), maxToken)}
	case strings.Contains(key, "@"):
		return &FieldError{"key", "looks like an address; it takes an opaque id such as the user's or the session's"}
	}
	for _, r := range key {
		if r <= ' ' || r > '~' || r == '.' || r == '*' || r == '>' {
			return &FieldError{"key", fmt.Sprintf("holds %q; it takes printable ASCII without spaces, '.', '*' and '>'", r)}
		}
	}
	return nil
}
