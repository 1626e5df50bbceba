package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// backlog holds recent numbers about the messages of a channel that are not settled.
type backlog struct {
	// pending counts the messages that are in flight or wait for their retry.
	pending atomic.Int64
	// limit is the consumer's MaxAckPending; 0 or less if it has none.
	limit atomic.Int64
	// newest is when the newest message was stored (Unix, in nanoseconds).
	newest atomic.Int64
}

func (b *backlog) newestStored() time.Time { return time.Unix(0, b.newest.Load()) }

// halfFull reports whether half of MaxAckPending is used.
func (b *backlog) halfFull() bool {
	limit := b.limit.Load()
	return limit > 0 && b.pending.Load() >= limit/2
}

// watcher keeps a backlog and codeferry_waiting up to date.
type watcher struct {
	js      jetstream.JetStream
	stream  jetstream.Stream
	channel messages.Channel
	every   time.Duration
	now     func() time.Time
	backlog *backlog
	// seen is called with when the consumer was made, and when its lookup began.
	seen func(created, began time.Time)
	// keep is called with when the consumer was made, and keeps it noted in the ledger.
	keep    func(ctx context.Context, created time.Time) error
	waiting prometheus.Gauge
	// oldest is for how long the oldest message waits.
	oldest prometheus.Gauge
}

// watchEvery is the interval at which codeferry_waiting and the backlog are updated; half
// the patience if that is shorter.
const watchEvery = 5 * time.Second

func (w watcher) run(ctx context.Context) {
	repeat(ctx, max(time.Millisecond, w.every), func(ctx context.Context) {
		if n, err := w.look(ctx); err == nil {
			w.waiting.Set(float64(n))
		} else if ctx.Err() == nil {
			w.waiting.Set(-1)
		}
	})
}

func (w watcher) look(ctx context.Context) (waiting uint64, err error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	began := time.Now()
	consumer, err := w.js.Consumer(ctx, wire.StreamName, string(w.channel))
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo() // Consumer has just fetched it
	w.seen(info.Created, began)
	if err := w.keep(ctx, info.Created); err != nil {
		return 0, err
	}
	newest, err := w.stream.GetLastMsgForSubject(ctx, info.Config.FilterSubject)
	switch {
	case err == nil:
		w.backlog.newest.Store(newest.Time.UnixNano())
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, err
	}
	oldest, err := w.stream.GetMsg(ctx, 1, jetstream.WithGetMsgSubject(info.Config.FilterSubject))
	switch {
	case err == nil:
		w.oldest.Set(max(0, w.now().Sub(oldest.Time).Seconds()))
	case errors.Is(err, jetstream.ErrMsgNotFound):
		w.oldest.Set(0)
	default:
		return 0, err
	}
	w.backlog.pending.Store(int64(info.NumAckPending))
	w.backlog.limit.Store(int64(info.Config.MaxAckPending))
	return info.NumPending + uint64(max(info.NumAckPending, 0)), nil
}
