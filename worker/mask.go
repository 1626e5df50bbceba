package worker

import (
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// maskReceipt returns a provider's receipt in a form that may be shown.
func maskReceipt(r sender.Receipt, to string) sender.Receipt {
	return sender.Receipt{ProviderID: maskID(r.ProviderID, to), RequestID: maskID(r.RequestID, to)}
}

// maskID returns an id, or its hash if the id shows the recipient.
func maskID(id, to string) string { return wire.MaskID(id, to) }

// maskKey returns a subject's key; empty if the key shows the recipient.
func maskKey(key, to string) string {
	if wire.ShowsAddress(key, to) {
		return ""
	}
	return key
}

// maskSubject returns a message's subject in a form that may be stored: without a key that
// shows the recipient, and without invalid tokens.
func maskSubject(subject, to string) string {
	s, err := wire.ParseSubject(subject)
	if err != nil || wire.ShowsAddress(s.Key, to) {
		s.Key = wire.HiddenKey
	}
	if !s.Type.Valid() {
		s.Type = wire.HiddenKey
	}
	if !wire.ValidApp(s.App) {
		s.App = wire.HiddenKey
	}
	return s.String()
}

// mask returns an address in a form that may be shown.
func mask(to string) string {
	if to == "" {
		return ""
	}
	return messages.Mask(to)
}
