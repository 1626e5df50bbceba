package messages

import (
	"slices"
	"time"
)

// Status is the state of a message after an outcome.
type Status string

// The statuses. After StatusSent, StatusDead and StatusSuperseded the worker does nothing more.
// StatusDelivered and StatusUndelivered come from a provider's receipt, after StatusSent.
// New versions may add more.
const (
	// StatusSent: a provider has accepted the code.
	StatusSent Status = "sent"
	// StatusRetrying: no provider accepted it; the worker tries again at RetryAt at the
	// earliest, unless a newer code supersedes it.
	StatusRetrying Status = "retrying"
	// StatusUnknown: the message is in doubt: a provider may have accepted it. At RetryAt at the
	// earliest, the worker asks the provider, or does what onDoubt says. If a newer code
	// supersedes it before, the doubt stays, and no outcome follows.
	StatusUnknown Status = "unknown"
	// StatusDead: it will not be sent; a dead letter says why.
	StatusDead Status = "dead"
	// StatusSuperseded: it was not sent, because a newer code for its subject was stored. Most
	// superseded messages have no such outcome: the stream drops them, and no worker sees them
	// again. So stop waiting for an outcome when the code expires, or when you publish a newer
	// one for its subject.
	StatusSuperseded Status = "superseded"
	// StatusDelivered: the provider says that it arrived.
	StatusDelivered Status = "delivered"
	// StatusUndelivered: the provider says that it did not arrive.
	StatusUndelivered Status = "undelivered"
)

// Statuses lists every status.
func Statuses() []Status {
	return []Status{StatusSent, StatusRetrying, StatusUnknown, StatusDead, StatusSuperseded, StatusDelivered, StatusUndelivered}
}

// Valid reports whether s is one of [Statuses].
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Final reports whether the worker does nothing more with the message.
func (s Status) Final() bool {
	return s == StatusSent || s == StatusDead || s == StatusSuperseded
}

// Outcome is one event of a message, as the stream CODEFERRY_OUTCOMES keeps it. It holds no
// code and no whole address. [SubscribeOutcomes] receives outcomes.
type Outcome struct {
	// ID is the publisher's name for the message. Several messages can have the same
	// one; Sequence and StoredAt together identify one of them.
	ID      string  `json:"id"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type"`
	// Key is the key of the message's subject: the opaque id of the user. It is left out
	// if it shows the recipient.
	Key    string `json:"key,omitempty"`
	Status Status `json:"status"`
	// To is the masked recipient.
	To string `json:"to,omitempty"`
	// Epoch counts the message's replays; 0 means it was never replayed.
	Epoch int `json:"epoch,omitempty"`
	// Connector is the connector of the last attempt.
	Connector string `json:"connector,omitempty"`
	// ProviderID is the provider's name for what it accepted: Aliyun's BizId or EnvId.
	ProviderID string `json:"providerId,omitempty"`
	// RequestID is the provider's name for the request.
	RequestID string `json:"requestId,omitempty"`
	// Attempt counts the requests made for the message, this one included.
	Attempt int `json:"attempt,omitempty"`
	// Class and Code say why the attempt failed: the error's class and the provider's own
	// error code. Detail is a sentence for a person.
	Class  string `json:"class,omitempty"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Reason is the reason of a dead letter.
	Reason Reason `json:"reason,omitempty"`
	// RetryAt is when a worker continues with the message, at the earliest. If the circuit
	// breakers of its connectors are open then, it checks again later without an outcome.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// Publish identifies the publish, if Status is StatusSent. A repeated publish has the
	// same Nats-Msg-Id and subject, and so the same Publish.
	Publish string `json:"publish,omitempty"`
	// Sequence is the message's sequence in CODEFERRY; 0 from an old worker that did not
	// set it.
	Sequence uint64 `json:"sequence,omitempty"`
	// StoredAt is when the stream stored the message. At is when the outcome happened.
	StoredAt time.Time `json:"storedAt"`
	At       time.Time `json:"at"`
	// DurationMS is how long the provider took to answer, in milliseconds.
	DurationMS int64 `json:"durationMs,omitempty"`
}
