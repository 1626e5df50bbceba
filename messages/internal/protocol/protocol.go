// Package protocol holds the names and limits of the wire format that packages messages
// and wire share.
package protocol

import (
	"fmt"
	"strings"
)

// The first tokens of codeferry's subjects.
const (
	SendPrefix    = "codeferry.send."
	OutcomePrefix = "codeferry.outcome."
	DeadPrefix    = "codeferry.dead."
	ReissuePrefix = "codeferry.reissue."
)

// Any matches any token of a subject in a subscription.
const Any = "*"

// OutcomesStream is the stream that keeps the outcomes.
const OutcomesStream = "CODEFERRY_OUTCOMES"

// ReissueDone is the answer of an auth service that has done a request for a new code. Any
// other answer says why it has not.
const ReissueDone = "ok"

// Limits in bytes.
const (
	// MaxBody is the limit of a message's body.
	MaxBody = 16 << 10
	// MaxToken is the limit of a subject's token. It keeps subjects well below the server's
	// limits.
	MaxToken = 128
	// MaxID is the limit of an id, below the limit of Aliyun's OutId (255 bytes).
	MaxID = 200
)

// Send returns the subject of a message.
func Send(app, channel, typ, key string) string {
	return SendPrefix + app + "." + channel + "." + typ + "." + key
}

// Outcome returns the subject of an app's outcomes.
func Outcome(app, channel, status string) string {
	return OutcomePrefix + app + "." + channel + "." + status
}

// AppProblem says what is wrong with an app's name. It is empty for a valid name.
func AppProblem(app string) string {
	if isName(app) {
		return ""
	}
	return fmt.Sprintf("is not an app name; it takes 1 to %d of A-Z a-z 0-9 _ -", MaxToken)
}

// DurableProblem says what is wrong with the name of a durable consumer. It is empty for a
// valid name.
func DurableProblem(name string) string {
	if isName(name) {
		return ""
	}
	return fmt.Sprintf("is not a name; it takes 1 to %d of A-Z a-z 0-9 _ -", MaxToken)
}

func isName(s string) bool {
	return s != "" && len(s) <= MaxToken && !strings.ContainsFunc(s, func(r rune) bool { return !isWord(r) })
}

func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_' || r == '-'
}

// KeyProblem says what is wrong with a subject's key. It is empty for a valid key. It never
// shows the key: it can be an address, which no log may show.
func KeyProblem(key string) string {
	switch {
	case key == "":
		return "is empty; it takes an opaque id such as the user's or the session's"
	case len(key) > MaxToken:
		return fmt.Sprintf("has %d bytes; it takes at most %d", len(key), MaxToken)
	case strings.Contains(key, "@"):
		return "looks like an address; it takes an opaque id such as the user's or the session's"
	}
	for _, r := range key {
		if r <= ' ' || r > '~' || r == '.' || r == '*' || r == '>' {
			return fmt.Sprintf("holds %q; it takes printable ASCII, but no space, '.', '*' or '>'", r)
		}
	}
	return ""
}

// IDProblem says what is wrong with a message's id. It is empty for a valid id and for no
// id.
func IDProblem(id string) string {
	if len(id) > MaxID {
		return fmt.Sprintf("has %d bytes; it takes at most %d", len(id), MaxID)
	}
	if strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return "holds something other than printable ASCII without spaces"
	}
	return ""
}
