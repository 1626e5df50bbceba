package archive

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// FollowOptions say who is told what while outcomes are followed.
type FollowOptions struct {
	// CaughtUp is called once, when all outcomes were read that were there at the beginning.
	// Its error ends the following. Default: nobody.
	CaughtUp func() error
	// Trouble is told of each error after which the following tries again by itself: the
	// connection is away, or the consumer is gone. Default: nobody.
	Trouble func(error)
	// Recovered is called when the following goes on after a trouble. Default: nobody.
	Recovered func()
}

// FollowOutcomes calls f with every outcome that the filter takes: those that are kept, oldest
// first, and then as they come. It keeps none of them. It blocks until ctx ends, and then
// returns nil; an error of f ends it, and so does a connection that was closed for good.
// Otherwise it goes on after the last outcome that it has read, whatever breaks meanwhile.
func FollowOutcomes(ctx context.Context, js jetstream.JetStream, want OutcomeFilter, o FollowOptions, f func(messages.Outcome) error) error {
	if o.CaughtUp == nil {
		o.CaughtUp = func() error { return nil }
	}
	if o.Trouble == nil {
		o.Trouble = func(error) {}
	}
	if o.Recovered == nil {
		o.Recovered = func() {}
	}
	t := follower{js: js, want: want, opts: o, f: f}
	for {
		err := t.hear(ctx)
		var ended *endError
		switch {
		case errors.As(err, &ended):
			return ended.cause
		case ctx.Err() != nil:
			return nil //nolint:nilerr // it was told to end
		case !t.began:
			return noStream(wire.OutcomesName, err)
		case js.Conn().IsClosed():
			return fmt.Errorf("follow %s: %w", wire.OutcomesName, err)
		}
		t.troubled = true
		o.Trouble(err)
		select {
		case <-ctx.Done():
		case <-time.After(followPause):
		}
	}
}

// Times of following.
const (
	// followPause is the wait before a consumer is made again.
	followPause = time.Second
	// followOpen bounds the making of a consumer.
	followOpen = 5 * time.Second
	// followHeartbeat is how often the server says that it still knows of the consumer.
	followHeartbeat = 2 * time.Second
	// followIdle is how long a consumer outlives its follower.
	followIdle = time.Minute
	// followBatch bounds what is read ahead.
	followBatch = 256
)

// endError ends the following.
type endError struct{ cause error }

func (e *endError) Error() string { return e.cause.Error() }

func (e *endError) Unwrap() error { return e.cause }

// follower is one call of FollowOutcomes. It makes its consumers itself: an ordered consumer
// of the library deletes the one before, which takes a permission, and can't be interrupted
// while NATS is away.
type follower struct {
	js   jetstream.JetStream
	want OutcomeFilter
	opts FollowOptions
	f    func(messages.Outcome) error

	// next is the sequence after the last one that was read; 0 before the first.
	next     uint64
	began    bool
	caughtUp bool
	troubled bool
}

func (t *follower) open(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, followOpen)
	defer cancel()
	cfg := jetstream.ConsumerConfig{
		FilterSubject: t.want.subject(), AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: followIdle,
	}
	switch {
	case t.next > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, t.next
	case !t.want.Since.IsZero():
		since := t.want.Since.Add(-skew) // by another clock
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	return t.js.CreateConsumer(ctx, wire.OutcomesName, cfg)
}

func (t *follower) hear(ctx context.Context) error {
	consumer, err := t.open(ctx)
	if err != nil {
		return err
	}
	t.began = true
	if t.troubled {
		t.troubled = false
		t.opts.Recovered()
	}
	if err := t.pending(consumer.CachedInfo().NumPending); err != nil {
		return err
	}
	all, err := consumer.Messages(jetstream.PullHeartbeat(followHeartbeat), jetstream.PullMaxMessages(followBatch))
	if err != nil {
		return err
	}
	defer all.Stop()
	for seen := uint64(0); ; {
		msg, err := t.await(ctx, consumer, all)
		if err != nil {
			return err
		}
		if msg == nil {
			continue
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		seen++
		if meta.Sequence.Consumer != seen {
			return errGap
		}
		t.next = meta.Sequence.Stream + 1
		if o, ok := t.want.decode(msg.Data()); ok {
			if err := t.f(o); err != nil {
				return &endError{err}
			}
		}
		if err := t.pending(meta.NumPending); err != nil {
			return err
		}
	}
}

// errGap says that something got lost on its way from the server.
var errGap = errors.New("outcomes got lost on their way; they are read again")

// await waits for the next message. It returns none if nothing came for a while, and the
// server was asked whether anything will.
func (t *follower) await(ctx context.Context, consumer jetstream.Consumer, all jetstream.MessagesContext) (jetstream.Msg, error) {
	if t.caughtUp {
		return all.Next(jetstream.NextContext(ctx))
	}
	msg, err := soon(ctx, all)
	if err == nil || !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
		return msg, err
	}
	info, err := consumer.Info(ctx) // what was there may have been taken away meanwhile
	if err != nil {
		return nil, err
	}
	return nil, t.pending(info.NumPending)
}

// pending is told how many outcomes are still to come of those that are there.
func (t *follower) pending(n uint64) error {
	if n > 0 || t.caughtUp {
		return nil
	}
	t.caughtUp = true
	if err := t.opts.CaughtUp(); err != nil {
		return &endError{err}
	}
	return nil
}
