package wire

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// The names of codeferry's streams and of its key-value bucket.
const (
	StreamName   = "CODEFERRY"
	OutcomesName = protocol.OutcomesStream // CODEFERRY_OUTCOMES
	DeadName     = "CODEFERRY_DEAD"
	// LedgerName is the key-value bucket of the ledger: it has entries of messages that
	// workers claim, retry, defer or have in doubt.
	LedgerName = "codeferry-ledger"
	// LedgerStream is the stream of that bucket.
	LedgerStream = "KV_" + LedgerName
)

// Defaults of StreamOptions. Together the streams take 480 MiB of each server's store.
const (
	DefaultReplicas      = 1
	DefaultMaxBytes      = 256 << 20
	DefaultOutcomesBytes = 128 << 20
	DefaultDeadBytes     = 64 << 20
	DefaultLedgerBytes   = 32 << 20
)

// headerRoom is the room for a message's headers, in bytes, beside MaxBody.
const headerRoom = 1 << 10

// StreamOptions are an operator's options for the streams. A size of 0 creates a stream with
// the default, and does not change a stream that exists.
type StreamOptions struct {
	// Replicas is how many servers keep each stream. Default: 1; use 3 in a cluster.
	Replicas int
	// MaxBytes is the limit for waiting messages, in bytes; the server refuses a publish
	// beyond it. Default: 256 MiB.
	MaxBytes int64
	// OutcomesBytes is the limit for outcomes, in bytes; beyond it the server deletes the
	// oldest. Default: 128 MiB.
	OutcomesBytes int64
	// DeadBytes is the limit for dead letters, in bytes; beyond it the server deletes the
	// oldest. Default: 64 MiB.
	DeadBytes int64
	// LedgerBytes is the limit for the ledger, in bytes; beyond it the server deletes the
	// oldest entries. Their messages are in doubt if they are delivered again. Default:
	// 32 MiB.
	LedgerBytes int64
	// AckWait is how long the server waits for an ack before it delivers a message again.
	// It is a setting of the consumers: one that exists keeps its own until the next
	// provisioning. Default: AckWait (30s).
	AckWait time.Duration
}

func (o StreamOptions) replicas() int {
	if o.Replicas == 0 {
		return DefaultReplicas
	}
	return o.Replicas
}

func (o StreamOptions) ackWait() time.Duration {
	if o.AckWait == 0 {
		return AckWait
	}
	return o.AckWait
}

func size(given, otherwise int64) int64 {
	if given > 0 {
		return given
	}
	return otherwise
}

// StreamConfigs returns the definitions of the four streams: CODEFERRY, CODEFERRY_OUTCOMES,
// CODEFERRY_DEAD, and the stream of the ledger, a key-value bucket.
//
// CODEFERRY takes only the two channels, so the server refuses a publish for another channel,
// which no consumer would take. It has no MaxAge: a worker settles each waiting message, and
// none is dropped because of its age.
//
// Each stream has a MaxBytes. The server reserves it, so other streams can't take it. Beyond
// it the server deletes the oldest messages, except in CODEFERRY: a new dead letter or entry
// is more important than an old one.
func StreamConfigs(o StreamOptions) []jetstream.StreamConfig {
	return []jetstream.StreamConfig{
		{
			Name:              StreamName,
			Description:       "codeferry: codes that wait to be sent",
			Subjects:          []string{consumerFilter(messages.Email), consumerFilter(messages.SMS)},
			Retention:         jetstream.WorkQueuePolicy,
			Storage:           jetstream.FileStorage,
			Discard:           jetstream.DiscardNew,
			MaxMsgsPerSubject: 1,
			MaxBytes:          size(o.MaxBytes, DefaultMaxBytes),
			MaxMsgSize:        MaxBody + headerRoom,
			Duplicates:        5 * time.Minute,
			Replicas:          o.replicas(),
		},
		{
			Name:        OutcomesName,
			Description: "codeferry: what became of each message",
			Subjects:    []string{protocol.OutcomePrefix + "*.*.*"},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			MaxAge:      72 * time.Hour,
			MaxBytes:    size(o.OutcomesBytes, DefaultOutcomesBytes),
			Replicas:    o.replicas(),
		},
		{
			Name:        DeadName,
			Description: "codeferry: messages that were not sent, and why",
			Subjects:    []string{protocol.DeadPrefix + "*.*.*"},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			MaxAge:      7 * 24 * time.Hour,
			MaxBytes:    size(o.DeadBytes, DefaultDeadBytes),
			Duplicates:  time.Hour,
			AllowDirect: true,
			Replicas:    o.replicas(),
		},
		LedgerConfig(o),
	}
}

// LedgerConfig returns the definition of the ledger's stream. It is the one that
// jetstream.CreateKeyValue would make, but when it is full the server deletes the oldest
// entries.
func LedgerConfig(o StreamOptions) jetstream.StreamConfig {
	return jetstream.StreamConfig{
		Name:              LedgerStream,
		Description:       "codeferry: messages that are being retried or in doubt",
		Subjects:          []string{"$KV." + LedgerName + ".>"},
		Retention:         jetstream.LimitsPolicy,
		Storage:           jetstream.FileStorage,
		Discard:           jetstream.DiscardOld,
		MaxMsgsPerSubject: 1,
		MaxAge:            24 * time.Hour,
		MaxBytes:          size(o.LedgerBytes, DefaultLedgerBytes),
		Duplicates:        2 * time.Minute,
		AllowDirect:       true,
		AllowRollup:       true,
		DenyDelete:        true,
		Replicas:          o.replicas(),
	}
}

// RecreatedConfig returns the definition of a stream that replaces a deleted one. Its
// sequences begin after those of the deleted stream: an ack has only the sequence, and an
// ack in flight must not remove a message from the new stream. The ledger's revisions are
// sequences, too.
func RecreatedConfig(cfg jetstream.StreamConfig, now time.Time) jetstream.StreamConfig {
	cfg.FirstSeq = uint64(now.UnixMicro())
	return cfg
}

// AckWait is how long the server waits for an ack before it delivers a message again, unless
// StreamOptions say otherwise.
const AckWait = 30 * time.Second

// ConsumerConfig returns the definition of a channel's durable pull consumer. It has no
// BackOff list: its delays would add to those of a delayed nak.
func ConsumerConfig(c messages.Channel, o StreamOptions) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       string(c),
		Description:   "codeferry: the workers of channel " + string(c),
		FilterSubject: consumerFilter(c),
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait:       o.ackWait(),
		MaxDeliver:    -1,
		MaxAckPending: 100_000,
		Replicas:      o.replicas(),
	}
}

func consumerFilter(c messages.Channel) string {
	return protocol.SendPrefix + "*." + string(c) + ".*.*"
}
