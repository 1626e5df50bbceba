package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// reapEvery is the interval between two scans for orphans.
const reapEvery = 30 * time.Second

// reaper finds orphaned messages: the stream holds them, but the consumer counts them as
// settled. A server that is killed may not have stored that a message was acked or
// superseded. Afterwards the message is in the stream again, but no worker ever receives
// it. It must not be sent, since it may have been sent already. Once its code has expired,
// settle stores a dead letter that says so.
//
// A scan is cheap: if all is well, the channel's first message comes after all messages
// that are acked.
type reaper struct {
	channel messages.Channel
	js      jetstream.JetStream
	stream  jetstream.Stream
	open    openStage
	reap    func(ctx context.Context, d *delivery, v verdict) error
	now     func() time.Time
	log     zerolog.Logger

	// seen are the orphans of the last scan: the stream may still be deleting a message
	// that was acked a moment ago, so one is reaped only if two scans find it.
	seen map[uint64]bool
}

// run looks for orphans until ctx ends.
func (r *reaper) run(ctx context.Context) {
	for {
		if err := r.look(ctx); err != nil && ctx.Err() == nil {
			r.log.Debug().Err(err).Msg("could not look for orphaned messages")
		}
		sleep(ctx, reapEvery)
		if ctx.Err() != nil {
			return
		}
	}
}

// look scans the messages that the consumer counts as settled.
func (r *reaper) look(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, reapEvery)
	defer cancel()
	consumer, err := r.js.Consumer(ctx, wire.StreamName, string(r.channel))
	if err != nil {
		return fmt.Errorf("get the consumer: %w", err)
	}
	settled, seen := consumer.CachedInfo().AckFloor.Stream, make(map[uint64]bool)
	defer func() { r.seen = seen }()
	for seq := uint64(1); ; {
		m, err := r.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(consumer.CachedInfo().Config.FilterSubject))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > settled {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the stream: %w", err)
		}
		seen[m.Sequence] = true
		if r.seen[m.Sequence] {
			if err := r.orphan(ctx, m); err != nil {
				return err
			}
		}
		seq = m.Sequence + 1
	}
}

// orphan reaps an orphan whose code has expired.
func (r *reaper) orphan(ctx context.Context, m *jetstream.RawStreamMsg) error {
	d := &delivery{msg: &jetpull.Message{
		Subject: m.Subject, Header: m.Header, Data: m.Data, Sequence: m.Sequence, StoredAt: m.Time,
		Delivered: 1, // at least
	}}
	r.open.handle(ctx, d)
	d.inDoubt = true
	if !d.expired(r.now()) {
		return nil // a newer code for its subject can still supersede it
	}
	return r.reap(ctx, d, dead(d, messages.ReasonDoubt, "the server lost track of it when it crashed: it was sent, or superseded by a newer code, or neither"))
}
