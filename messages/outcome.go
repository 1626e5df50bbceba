package messages

import (
	"slices"
	"time"
)

// Status is what became of a message, as far as is known.
type Status string

// The statuses. Sent and Dead are final for the worker; Delivered and
// Undelivered come from a provider's receipt, after Sent.
const (
	// StatusSent: a provider has accepted the code.
	StatusSent Status = "sent"
	// StatusRetrying: no provider accepted it; it is tried again at RetryAt.
	StatusRetrying Status = "retrying"
	// StatusUnknown: whether a provider accepted it is not known. At RetryAt the
	// doubt is resolved.
	StatusUnknown Status = "unknown"
	// StatusDead: it is not going to be sent; a dead letter says why.
	StatusDead Status = "dead"
	// StatusDelivered: the provider says that it has arrived.
	StatusDelivered Status = "delivered"
	// StatusUndelivered: the provider says that it has not arrived.
	StatusUndelivered Status = "undelivered"
)

// Statuses lists every status.
func Statuses() []Status {
	return []Status{StatusSent, StatusRetrying, StatusUnknown, StatusDead, StatusDelivered, StatusUndelivered}
}

// Valid tells whether s is one of Statuses.
func (s Status) Valid() bool { return slices.Contains(Statuses(), s) }

// Final tells whether the worker is done with the message.
func (s Status) Final() bool { return s == StatusSent || s == StatusDead }

// Outcome is one step of a message's way, as CODEFERRY_OUTCOMES keeps it. It
// holds no code and no whole address.
type Outcome struct {
	ID      string  `json:"id"`
	App     string  `json:"app"`
	Channel Channel `json:"channel"`
	Type    Type    `json:"type"`
	// Key is the subject's: for whom the code was. It is left out where it shows the
	// recipient.
	Key    string `json:"key,omitempty"`
	Status Status `json:"status"`
	// To is the masked recipient.
	To string `json:"to,omitempty"`
	// Epoch counts the message's replays; 0 is the first life.
	Epoch int `json:"epoch,omitempty"`
	// Connector is the one that was tried last.
	Connector string `json:"connector,omitempty"`
	// ProviderID is the provider's name for what it accepted: Aliyun's BizId or EnvId.
	ProviderID string `json:"providerId,omitempty"`
	// RequestID is the provider's name for the request.
	RequestID string `json:"requestId,omitempty"`
	// Attempt counts the requests made for the message, this one included.
	Attempt int `json:"attempt,omitempty"`
	// Class and Code say why the attempt failed: the error's class and the
	// provider's own code. Detail is a sentence for a person.
	Class  string `json:"class,omitempty"`
	Code   string `json:"code,omitempty"`
	Detail string `json:"detail,omitempty"`
	// Reason is a dead letter's.
	Reason Reason `json:"reason,omitempty"`
	// RetryAt is when the message is taken up again.
	RetryAt *time.Time `json:"retryAt,omitempty"`
	// StoredAt is when the stream stored the message, At when this happened.
	StoredAt time.Time `json:"storedAt"`
	At       time.Time `json:"at"`
	// DurationMS is how long the provider took to answer, in milliseconds.
	DurationMS int64 `json:"durationMs,omitempty"`
}
