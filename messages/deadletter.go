package messages

import (
	"strconv"
	"time"
)

// Reason says in a word why a message was not sent. The set is closed.
type Reason string

// The reasons.
const (
	// ReasonInvalid: the message itself is wrong.
	ReasonInvalid Reason = "invalid"
	// ReasonExpired: its code was no longer good when it could have been sent.
	ReasonExpired Reason = "expired"
	// ReasonRejected: a provider refused it for good.
	ReasonRejected Reason = "rejected"
	// ReasonLimited: the recipient has had too many messages.
	ReasonLimited Reason = "limited"
	// ReasonUndeliverable: every attempt that the configuration allows has failed.
	ReasonUndeliverable Reason = "undeliverable"
	// ReasonDoubt: whether it was sent is not known, and the connector's onDoubt is dead.
	ReasonDoubt Reason = "doubt"
	// ReasonPoison: it was in doubt three times; it may be what ends the workers.
	ReasonPoison Reason = "poison"
	// ReasonMisconfigured: the configuration has no way for it.
	ReasonMisconfigured Reason = "misconfigured"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalid, ReasonExpired, ReasonRejected, ReasonLimited,
		ReasonUndeliverable, ReasonDoubt, ReasonPoison, ReasonMisconfigured,
	}
}

// Valid tells whether r is one of Reasons.
func (r Reason) Valid() bool { return r.Advice() != "" }

// Advice says in a sentence what to do about a dead letter with this reason.
func (r Reason) Advice() string {
	switch r {
	case ReasonInvalid:
		return "Mend the publisher: the detail names the field and what it takes."
	case ReasonExpired:
		return "Have the auth service make a new code; if this one waited long, look at the attempts and at the backlog."
	case ReasonRejected:
		return "Look the provider's code up: the recipient or the content was refused, and the same message would be again."
	case ReasonLimited:
		return "The recipient has reached the provider's limit; offer another way, or wait for the window to pass."
	case ReasonUndeliverable:
		return "The provider kept failing; look at the attempts, mend the cause, and have a new code made."
	case ReasonDoubt:
		return "It may have been sent: ask the provider's console before sending it again."
	case ReasonPoison:
		return "Its worker died or lost track of it three times; look at the workers' logs before sending it again."
	case ReasonMisconfigured:
		return "Mend the configuration as the detail says; codeferry check finds what else is wrong."
	}
	return ""
}

// Attempt is one request that was made for a message.
type Attempt struct {
	Connector string    `json:"connector"`
	At        time.Time `json:"at"`
	// DurationMS is how long the provider took, in milliseconds.
	DurationMS int64 `json:"durationMs"`
	// Class is the error's class, Code the provider's own code; Detail a
	// sentence without codes and addresses.
	Class     string `json:"class"`
	Code      string `json:"code,omitempty"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}

// DeadLetter is what CODEFERRY_DEAD keeps of a message that was not sent. It
// holds no code and no whole address in the clear.
type DeadLetter struct {
	ID string `json:"id"`
	// Epoch counts the message's replays; 0 is the first life.
	Epoch   int     `json:"epoch"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type,omitempty"`
	// Subject is where the message came from; its key is HiddenKey where it showed
	// the recipient.
	Subject string `json:"subject"`
	// Stream and Sequence are where the message stood.
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	// To is the masked recipient, ToHash PrivateKey.Lookup's hash of the whole
	// address, where the worker has a key.
	To     string `json:"to,omitempty"`
	ToHash string `json:"toHash,omitempty"`
	Reason Reason `json:"reason"`
	// Detail says what happened, Advice what to do about it.
	Detail string `json:"detail"`
	Advice string `json:"advice"`
	// Connector and Code are those of the last attempt.
	Connector string    `json:"connector,omitempty"`
	Code      string    `json:"code,omitempty"`
	Attempts  []Attempt `json:"attempts,omitempty"`
	// Deliveries is how often the stream handed the message to a worker.
	Deliveries uint64     `json:"deliveries"`
	CreatedAt  *time.Time `json:"createdAt,omitempty"`
	StoredAt   time.Time  `json:"storedAt"`
	ExpiresAt  *time.Time `json:"expiresAt,omitempty"`
	DeadAt     time.Time  `json:"deadAt"`
	// TraceParent is the message's W3C trace context.
	TraceParent string `json:"traceparent,omitempty"`
	// Message is the message itself, sealed for the workers, for a replay. Dropped
	// says why where it is not kept.
	Message *SendCode `json:"message,omitempty"`
	Dropped Dropped   `json:"dropped,omitempty"`
}

// Dropped says why a dead letter holds no message.
type Dropped string

// Why a message was dropped from its dead letter.
const (
	// DroppedExpired: its code was no longer good, and is kept nowhere.
	DroppedExpired Dropped = "expired"
	// DroppedInvalid: it could not be sent in any life.
	DroppedInvalid Dropped = "invalid"
	// DroppedTooBig: sealed, it is more than the stream takes.
	DroppedTooBig Dropped = "too-big"
	// DroppedNoKey: the configuration has no sealing key, and codes are not kept
	// in the clear.
	DroppedNoKey Dropped = "no-key"
)

// HiddenKey stands in a dead letter's subject for a key that showed the recipient.
const HiddenKey = "****"

// EpochHeader counts a message's replays: the header of a replayed message. One
// without is in its first life.
const EpochHeader = "Codeferry-Epoch"

// MsgID is the letter's Nats-Msg-Id, dead.<id>.<epoch>: a crash between
// publishing it and settling the message leaves one letter, not two.
func (d *DeadLetter) MsgID() string {
	return "dead." + d.ID + "." + strconv.Itoa(d.Epoch)
}
