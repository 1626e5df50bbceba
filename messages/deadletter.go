package messages

import "time"

// Reason says in a word why a message was not sent. See [Reason.Advice].
type Reason string

// The reasons. A message that may have been sent has the reason ReasonDoubt or
// ReasonPoison. More may come.
const (
	// ReasonInvalid: the message itself is wrong.
	ReasonInvalid Reason = "invalid"
	// ReasonExpired: its code expired before it could be sent.
	ReasonExpired Reason = "expired"
	// ReasonRejected: a provider refused it for good.
	ReasonRejected Reason = "rejected"
	// ReasonLimited: the recipient has had too many messages.
	ReasonLimited Reason = "limited"
	// ReasonUndeliverable: every attempt that the configuration allows has failed.
	ReasonUndeliverable Reason = "undeliverable"
	// ReasonDoubt: it may have been sent, so no connector may send it again.
	ReasonDoubt Reason = "doubt"
	// ReasonPoison: it lost its worker three times. It may have been sent, and it may be
	// the cause of the workers' end.
	ReasonPoison Reason = "poison"
	// ReasonMisconfigured: the configuration has no connector that can send it.
	ReasonMisconfigured Reason = "misconfigured"
)

// Reasons lists every reason.
func Reasons() []Reason {
	return []Reason{
		ReasonInvalid, ReasonExpired, ReasonRejected, ReasonLimited,
		ReasonUndeliverable, ReasonDoubt, ReasonPoison, ReasonMisconfigured,
	}
}

// Valid reports whether r is one of [Reasons].
func (r Reason) Valid() bool { return r.Advice() != "" }

// Advice says in a few sentences what to do about a dead letter with this reason. It is
// empty for an unknown reason. If the message may have been sent, the advice says so.
func (r Reason) Advice() string {
	switch r {
	case ReasonInvalid:
		return "See the detail: it names the field of the publisher's message and what it takes, or says why no connector of the app's route can send to this recipient."
	case ReasonExpired:
		return "Let the auth service make a new code. If this one waited long, look at its attempts and at how many messages wait."
	case ReasonRejected:
		return "Look up the error code in the guide of the connector's type, https://github.com/codeferry/codeferry/blob/main/docs/connectors/README.md: it has a table of the usual codes, and links to all. The provider refused the recipient or the content, and would refuse the same message again."
	case ReasonLimited:
		return "The recipient has reached the provider's limit. Offer another way, or wait until the limit allows more."
	case ReasonUndeliverable:
		return "Every attempt failed. Look at the attempts, fix the cause, and let the auth service make a new code."
	case ReasonDoubt:
		return "It may have been sent. Look for it in the provider's console before you send it again."
	case ReasonPoison:
		return "It lost its worker three times, and may have been sent. Look at the workers' logs, and look for it in the provider's console before you send it again."
	case ReasonMisconfigured:
		return "Fix the configuration as the detail says; codeferry check finds what else is wrong. Then replay the dead letter."
	}
	return ""
}

// Attempt is one request to a provider for a message.
type Attempt struct {
	Connector string    `json:"connector"`
	At        time.Time `json:"at"`
	// DurationMS is how long the provider took, in milliseconds.
	DurationMS int64 `json:"durationMs"`
	// Class is the error's class, and Code the provider's own error code. Detail is a
	// sentence without verification codes and addresses.
	Class     string `json:"class"`
	Code      string `json:"code,omitempty"`
	Detail    string `json:"detail,omitempty"`
	RequestID string `json:"requestId,omitempty"`
}

// DeadLetter is what the stream CODEFERRY_DEAD keeps of a message that was not sent. It
// holds no code and no whole address in the clear. `codeferry dead list` shows them.
type DeadLetter struct {
	// ID is the publisher's name for the message. Several messages may have the same
	// one.
	ID string `json:"id"`
	// Epoch counts the message's replays; 0 means it was never replayed.
	Epoch   int     `json:"epoch"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type,omitempty"`
	// Subject is the message's subject. Its key is **** if the key showed the recipient.
	Subject string `json:"subject"`
	// Stream and Sequence are the message's place. Sequence and StoredAt together identify
	// the stored message.
	Stream   string `json:"stream"`
	Sequence uint64 `json:"sequence"`
	// To is the masked recipient. ToHash is a keyed hash of the whole address: with the
	// worker's private key an operator finds an address's dead letters by it.
	To     string `json:"to,omitempty"`
	ToHash string `json:"toHash,omitempty"`
	Reason Reason `json:"reason"`
	// Detail says what happened, and Advice what to do.
	Detail string `json:"detail"`
	Advice string `json:"advice"`
	// Connector and Code are those of the last attempt.
	Connector string    `json:"connector,omitempty"`
	Code      string    `json:"code,omitempty"`
	Attempts  []Attempt `json:"attempts,omitempty"`
	// Deliveries is how often the stream delivered the message to a worker.
	Deliveries uint64     `json:"deliveries"`
	CreatedAt  *time.Time `json:"createdAt,omitempty"`
	StoredAt   time.Time  `json:"storedAt"`
	ExpiresAt  *time.Time `json:"expiresAt,omitempty"`
	DeadAt     time.Time  `json:"deadAt"`
	// TraceParent is the message's W3C trace context: the publisher's, or else that of the
	// delivery, if it was traced.
	TraceParent string `json:"traceparent,omitempty"`
	// Message is the message itself, sealed for the workers, for a replay. If the dead
	// letter does not keep it, Dropped says why.
	Message *SendCode `json:"message,omitempty"`
	Dropped Dropped   `json:"dropped,omitempty"`
}

// Dropped says why a dead letter does not keep its message.
type Dropped string

// The reasons why a dead letter does not keep its message.
const (
	// DroppedExpired: its code had expired.
	DroppedExpired Dropped = "expired"
	// DroppedInvalid: it is invalid, so a replay could not send it either.
	DroppedInvalid Dropped = "invalid"
	// DroppedTooBig: the sealed message is larger than the stream's limit.
	DroppedTooBig Dropped = "too-big"
	// DroppedNoKey: the configuration has no sealing key, and a dead letter never keeps
	// a code in the clear.
	DroppedNoKey Dropped = "no-key"
)
