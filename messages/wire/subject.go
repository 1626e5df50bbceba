package wire

import (
	"strings"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// ParseSubject splits a send subject into its tokens. It does not change the type: Test
// stays Test. The error is a *[messages.FieldError] that shows nothing of the subject.
func ParseSubject(subject string) (messages.Subject, error) {
	rest, ok := strings.CutPrefix(subject, protocol.SendPrefix)
	tokens := strings.Split(rest, ".")
	if !ok || len(tokens) != 4 {
		return messages.Subject{}, &messages.FieldError{Field: "subject", Problem: "does not have the form codeferry.send.<app>.<channel>.<type>.<key>"}
	}
	s := messages.Subject{App: tokens[0], Channel: messages.Channel(tokens[1]), Type: messages.Type(tokens[2]), Key: tokens[3]}
	return s, s.Validate()
}

// OutcomeSubject returns the subject of an app's outcomes. "*" matches any token.
func OutcomeSubject(app string, c messages.Channel, s messages.Status) string {
	return protocol.Outcome(app, string(c), string(s))
}

// OutcomePrefix is what the subjects of all outcomes begin with.
const OutcomePrefix = protocol.OutcomePrefix

// DeadSubject returns the subject of an app's dead letters. "*" matches any token.
func DeadSubject(app string, c messages.Channel, r messages.Reason) string {
	return protocol.DeadPrefix + app + "." + string(c) + "." + string(r)
}

// ValidApp reports whether app can be an app's name: 1 to 128 of A-Z a-z 0-9 _ -.
func ValidApp(app string) bool { return protocol.AppProblem(app) == "" }
