package faults

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// The faults of streams and consumers.
const (
	// ConsumerDelete deletes a consumer. The workers make it again.
	ConsumerDelete Kind = "consumer deletes"
	// ConsumerLimit sets a limit on a consumer that it should not have, as an operator may.
	ConsumerLimit Kind = "consumer limits"
	// StreamDelete deletes the stream of the codes, in pairs: a worker may still hold
	// messages of the stream before the last one. The plan or a worker makes it again.
	StreamDelete Kind = "stream deletes"
	// LedgerDelete, DeadDelete and OutcomesDelete delete one of the other streams. Only the
	// workers make it again.
	LedgerDelete   Kind = "ledger deletes"
	DeadDelete     Kind = "dead letter deletes"
	OutcomesDelete Kind = "outcome deletes"
)

var streamFaults = []fault{
	{
		kind: ConsumerDelete, moments: soon(ConsumerDelete), doubts: everyWorker,
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			name := someConsumer(m)
			from := time.Now()
			err := remove(ctx, "consumer "+name, func(ctx context.Context) error {
				return r.js.DeleteConsumer(ctx, wire.StreamName, name)
			})
			r.diary.begin(from, ConsumerDelete, "consumer %s deleted", name)()
			return done, err
		},
	},
	{
		kind: ConsumerLimit, moments: withAftermath(ConsumerLimit), doubts: everyWorker,
		begin: func(ctx context.Context, r *run, i int, m moment) (func() error, error) {
			limit, name := consumerLimits[(i+int(r.plan.Seed%uint64(len(consumerLimits))))%len(consumerLimits)], someConsumer(m)
			over := r.diary.begin(time.Now(), ConsumerLimit, "consumer %s given %s", name, limit.name)
			return func() error { over(); return nil }, r.limitConsumer(ctx, name, limit)
		},
	},
	{
		kind: StreamDelete, moments: streamDeletes,
		begin: func(ctx context.Context, r *run, _ int, _ moment) (func() error, error) {
			if !r.reachable(ctx) {
				return done, nil
			}
			from := time.Now()
			r.streams.willBeDeleted()
			err := remove(ctx, "the stream", func(ctx context.Context) error {
				return r.js.DeleteStream(ctx, wire.StreamName)
			})
			r.streams.deleted()
			r.diary.begin(from, StreamDelete, "stream deleted")()
			return func() error { return r.provision(ctx) }, err
		},
	},
	deletes(LedgerDelete, "KV_"+wire.LedgerName),
	deletes(DeadDelete, wire.DeadName),
	deletes(OutcomesDelete, wire.OutcomesName),
}

// deletes is the fault of deleting any other stream.
func deletes(k Kind, stream string) fault {
	return fault{
		kind: k, moments: withAftermath(k), doubts: everyWorker,
		begin: func(ctx context.Context, r *run, _ int, _ moment) (func() error, error) {
			over := r.diary.begin(time.Now(), k, "%s deleted", stream)
			err := within(ctx, patience, "delete "+stream, func(ctx context.Context) error {
				if err := r.keep(ctx, stream); err != nil {
					return err
				}
				return removeOnce(ctx, func(ctx context.Context) error { return r.js.DeleteStream(ctx, stream) })
			})
			pause(ctx, clockSlack) // until its last stories have arrived
			return func() error { over(); return nil }, errors.Join(err, r.heard.deleted(stream))
		},
	}
}

// consumerLimit is a limit that an operator may set on a consumer.
type consumerLimit struct {
	name string
	set  func(*jetstream.ConsumerConfig)
}

var consumerLimits = []consumerLimit{
	{"max_batch 2", func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 2 }},
	{"max_deliver 2", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 2 }},
	{"max_expires 1s", func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = time.Second }},
	{"max_ack_pending 1", func(c *jetstream.ConsumerConfig) { c.MaxAckPending = 1 }},
}

// limitConsumer sets a limit on a consumer, which has to exist.
func (r *run) limitConsumer(ctx context.Context, name string, limit consumerLimit) error {
	return within(ctx, patience, "give consumer "+name+" "+limit.name, func(ctx context.Context) error {
		c, err := r.js.Consumer(ctx, wire.StreamName, name)
		if err != nil {
			return err
		}
		cfg := c.CachedInfo().Config
		limit.set(&cfg)
		_, err = r.js.UpdateConsumer(ctx, wire.StreamName, cfg)
		return err
	})
}

func someConsumer(m moment) string {
	return string(messages.Channels()[m.which%len(messages.Channels())])
}

// patience limits a plan's requests to NATS, which may be down itself.
const patience = 30 * time.Second

// reachable waits for the stream, but only for a short time: nothing is promised for messages
// that are published during a slow delete, or before a late one, and these must be few.
func (r *run) reachable(ctx context.Context) bool {
	return within(ctx, removeWait, "reach the stream", func(ctx context.Context) error {
		_, err := r.js.Stream(ctx, wire.StreamName)
		return err
	}) == nil
}

// removeWait limits one try to delete something: a killed server does not answer.
const removeWait = time.Second

// remove deletes something in NATS, or finds that it is gone.
func remove(ctx context.Context, what string, f func(context.Context) error) error {
	return within(ctx, patience, "delete "+what, func(ctx context.Context) error { return removeOnce(ctx, f) })
}

func removeOnce(ctx context.Context, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, removeWait)
	defer cancel()
	err := f(ctx)
	if errors.Is(err, jetstream.ErrConsumerNotFound) || errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}
