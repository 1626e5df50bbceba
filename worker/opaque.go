package worker

import (
	"crypto/sha256"
	"encoding/hex"
	"strings"

	"github.com/codeferry/codeferry/messages"
)

// holds tells whether text shows an address: an email's, or a phone number's last
// nine digits. Without an address to look for, it tells whether text is one.
func holds(text, to string) bool {
	const national = 9
	digits := messages.Digits(text)
	switch {
	case to == "":
		return strings.Contains(text, "@") || messages.CheckAddress(messages.SMS, text) == nil
	case strings.Contains(to, "@"):
		return strings.Contains(strings.ToLower(text), strings.ToLower(to))
	}
	number := messages.Digits(to)
	return len(number) >= national && strings.Contains(digits, number[len(number)-national:])
}

// opaque returns an id, or a hash of it where it shows the recipient: an id
// stands in logs, outcomes and dead letters.
func opaque(id, to string) string {
	if !holds(id, to) {
		return id
	}
	sum := sha256.Sum256([]byte(id))
	return "sha256-" + hex.EncodeToString(sum[:16])
}

// shownKey returns a subject's key, and nothing where it shows the recipient.
func shownKey(key, to string) string {
	if holds(key, to) {
		return ""
	}
	return key
}

// shownSubject returns a message's subject as it may be stored: without a key
// that shows the recipient, and without tokens that are none.
func shownSubject(subject, to string) string {
	s, err := messages.ParseSubject(subject)
	if err != nil || holds(s.Key, to) {
		s.Key = messages.HiddenKey
	}
	if !s.Type.Valid() {
		s.Type = "****"
	}
	if !messages.ValidApp(s.App) {
		s.App = "****"
	}
	return s.String()
}
