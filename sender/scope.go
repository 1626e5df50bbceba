package sender

// Scope is whom an error speaks of: every message in the scope would be refused as well,
// and no other one. Circuit breakers, rates and pauses act on this scope alone.
type Scope int

// The scopes. With the zero value, the error's class decides (Error.SpeaksOf).
const (
	ScopeByClass Scope = iota
	// ScopeMessage: this message.
	ScopeMessage
	// ScopeRecipient: this recipient's mailbox or number.
	ScopeRecipient
	// ScopeDomain: the recipient's domain, or the network of the number. Its servers'
	// opinion of us counts for that domain alone, unless several domains in a row say the
	// same.
	ScopeDomain
	// ScopeTemplate: the template or signature (Message.Template).
	ScopeTemplate
	// ScopeConnector: the provider or the connection to it.
	ScopeConnector
	// ScopeAccount: the account at the provider.
	ScopeAccount
)

var scopeNames = [...]string{
	ScopeByClass:   "by class",
	ScopeMessage:   "message",
	ScopeRecipient: "recipient",
	ScopeDomain:    "domain",
	ScopeTemplate:  "template",
	ScopeConnector: "connector",
	ScopeAccount:   "account",
}

// String returns the scope's name, as logs show it.
func (s Scope) String() string {
	if s < 0 || int(s) >= len(scopeNames) {
		return "Scope(?)"
	}
	return scopeNames[s]
}

// SpeaksOf returns whom the error speaks of. If Scope is not set, the class decides:
// Permanent speaks of the message, RecipientLimited of the recipient, AccountDown of the
// account, and every other class of the connector.
func (e *Error) SpeaksOf() Scope {
	if e.Scope != ScopeByClass {
		return e.Scope
	}
	switch e.Class {
	case Permanent:
		return ScopeMessage
	case RecipientLimited:
		return ScopeRecipient
	case AccountDown:
		return ScopeAccount
	case Unknown, Throttled, Unavailable, Misconfigured:
	}
	return ScopeConnector
}
