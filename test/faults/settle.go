package faults

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// settle waits, for at most d, until every message is settled. A consumer may not know yet
// about messages that the stream has just acknowledged, so it is asked twice.
func (r *run) settle(ctx context.Context, d time.Duration) error {
	const looks = 2
	seen := 0
	return within(ctx, d, "settle every message", func(ctx context.Context) error {
		s, err := r.js.Stream(ctx, wire.StreamName)
		if err == nil {
			err = unsettled(ctx, s)
		}
		if err != nil {
			seen = 0
			return err
		}
		seen++
		if seen < looks {
			return errors.New("it seems so, but it is only the first check")
		}
		return nil
	})
}

// unsettled says what the consumers have not settled. Messages that a killed server forgot to
// remove from the stream count as settled: nobody gets them again.
func unsettled(ctx context.Context, s jetstream.Stream) error {
	for _, c := range messages.Channels() {
		consumer, err := s.Consumer(ctx, string(c))
		if err != nil {
			return err
		}
		if i := consumer.CachedInfo(); i.NumPending > 0 || i.NumAckPending > 0 {
			return fmt.Errorf("%s: %d messages wait, %d are with workers or wait for their retry", c, i.NumPending, i.NumAckPending)
		}
	}
	return nil
}
