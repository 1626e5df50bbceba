package faults

import (
	"context"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// provisionWait limits one try to make what is missing; the next try continues from there.
const provisionWait = 2 * time.Second

// The sizes of the streams in a plan's store.
const (
	maxBytes, outcomesBytes, deadBytes, ledgerBytes = 64 << 20, 32 << 20, 16 << 20, 8 << 20
	allBytes                                        = maxBytes + outcomesBytes + deadBytes + ledgerBytes
)

// options are those of the streams, the same as in the workers' configuration.
func (r *run) options() wire.StreamOptions {
	return wire.StreamOptions{
		Replicas: r.replicas(), AckWait: ackWait,
		MaxBytes: maxBytes, OutcomesBytes: outcomesBytes, DeadBytes: deadBytes, LedgerBytes: ledgerBytes,
	}
}

// provision makes the streams and consumers that are missing.
func (r *run) provision(ctx context.Context) error {
	return within(ctx, time.Minute, "provision", func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, provisionWait)
		defer cancel()
		return broker.Ensure(ctx, r.js, r.options())
	})
}

// ready waits until a worker asks for the messages of each channel.
func (r *run) ready(ctx context.Context) error {
	return within(ctx, time.Minute, "see the workers ask for messages", func(ctx context.Context) error {
		for _, c := range messages.Channels() {
			consumer, err := r.js.Consumer(ctx, wire.StreamName, string(c))
			if err != nil {
				return err
			}
			if consumer.CachedInfo().NumWaiting == 0 {
				return fmt.Errorf("nobody asks for %s", c)
			}
		}
		return nil
	})
}
