package messages

import (
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// The names of what codeferry keeps in JetStream.
const (
	StreamName   = "CODEFERRY"
	OutcomesName = "CODEFERRY_OUTCOMES"
	DeadName     = "CODEFERRY_DEAD"
	// LedgerName is the bucket that holds what the happy path can't say.
	LedgerName = "codeferry-ledger"
)

// Defaults of StreamOptions.
const (
	DefaultReplicas = 1
	DefaultMaxBytes = 1 << 30
)

// headerRoom is what a message's headers may take beside MaxBody.
const headerRoom = 1 << 10

// StreamOptions are what an operator may choose about the streams.
type StreamOptions struct {
	// Replicas is how many servers keep each stream. Default: 1; use 3 in a cluster.
	Replicas int
	// MaxBytes bounds the waiting messages, in bytes; a publish beyond it is
	// refused. Default: 1 GiB.
	MaxBytes int64
}

func (o StreamOptions) replicas() int {
	if o.Replicas == 0 {
		return DefaultReplicas
	}
	return o.Replicas
}

// Streams returns the definitions of the three streams.
//
// CODEFERRY takes the two channels and nothing else, so that a message for a
// channel that does not exist is refused at the publish instead of waiting for
// a consumer that never comes. It has no MaxAge: what waits is settled by a
// worker, never dropped by a clock.
func Streams(o StreamOptions) []jetstream.StreamConfig {
	maxBytes := o.MaxBytes
	if maxBytes == 0 {
		maxBytes = DefaultMaxBytes
	}
	return []jetstream.StreamConfig{
		{
			Name:              StreamName,
			Description:       "codeferry: codes that wait to be sent",
			Subjects:          []string{consumerFilter(Email), consumerFilter(SMS)},
			Retention:         jetstream.WorkQueuePolicy,
			Storage:           jetstream.FileStorage,
			Discard:           jetstream.DiscardNew,
			MaxMsgsPerSubject: 1,
			MaxBytes:          maxBytes,
			MaxMsgSize:        MaxBody + headerRoom,
			Duplicates:        5 * time.Minute,
			Replicas:          o.replicas(),
		},
		{
			Name:        OutcomesName,
			Description: "codeferry: what became of each message",
			Subjects:    []string{outcomePrefix + "*.*.*"},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			MaxAge:      72 * time.Hour,
			MaxBytes:    1 << 30,
			Replicas:    o.replicas(),
		},
		{
			Name:        DeadName,
			Description: "codeferry: messages that were not sent, and why",
			Subjects:    []string{deadPrefix + "*.*.*"},
			Retention:   jetstream.LimitsPolicy,
			Storage:     jetstream.FileStorage,
			MaxAge:      7 * 24 * time.Hour,
			Duplicates:  time.Hour,
			AllowDirect: true,
			Replicas:    o.replicas(),
		},
	}
}

// Ledger returns the definition of the key-value bucket that holds what the
// happy path can't say.
func Ledger(o StreamOptions) jetstream.KeyValueConfig {
	return jetstream.KeyValueConfig{
		Bucket:      LedgerName,
		Description: "codeferry: messages that are being retried or in doubt",
		TTL:         24 * time.Hour,
		History:     1,
		Storage:     jetstream.FileStorage,
		Replicas:    o.replicas(),
	}
}

// AckWait is how long the server waits for a worker before it hands a message
// to another.
const AckWait = 30 * time.Second

// Consumer returns the definition of a channel's durable pull consumer. It has
// no BackOff list: together with a delayed nak the delays would add up.
func Consumer(c Channel, o StreamOptions) jetstream.ConsumerConfig {
	return jetstream.ConsumerConfig{
		Durable:       string(c),
		Description:   "codeferry: the workers of channel " + string(c),
		FilterSubject: consumerFilter(c),
		AckPolicy:     jetstream.AckExplicitPolicy,
		DeliverPolicy: jetstream.DeliverAllPolicy,
		AckWait:       AckWait,
		MaxDeliver:    -1,
		MaxAckPending: 100_000,
		Replicas:      o.replicas(),
	}
}

func consumerFilter(c Channel) string { return sendPrefix + "*." + string(c) + ".*.*" }
