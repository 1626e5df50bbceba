package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// orphanEvery is how often is looked for orphans.
const orphanEvery = 30 * time.Second

// clear looks for orphans until ctx ends: messages that the stream holds and that
// its consumer has settled. A server that is killed may not have written down
// that a message was acknowledged, or replaced by a newer code; afterwards it is
// there again, and nobody is ever handed it. It must not be sent, since it may
// have been; once its code has expired it becomes a dead letter that says so.
//
// The look is cheap: where all is well, the channel's first message lies behind
// everything that is acknowledged.
func (l *lane) clear(ctx context.Context) {
	for {
		if err := l.buryOrphans(ctx); err != nil && ctx.Err() == nil {
			l.log.Debug().Err(err).Msg("looking for orphans")
		}
		sleep(ctx, orphanEvery)
		if ctx.Err() != nil {
			return
		}
	}
}

func (l *lane) buryOrphans(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, orphanEvery)
	defer cancel()
	consumer, err := l.js.Consumer(ctx, messages.StreamName, string(l.channel))
	if err != nil {
		return fmt.Errorf("look at the consumer: %w", err)
	}
	settled := consumer.CachedInfo().AckFloor.Stream
	for seq := uint64(1); ; {
		m, err := l.stream.GetMsg(ctx, seq, jetstream.WithGetMsgSubject(consumer.CachedInfo().Config.FilterSubject))
		if errors.Is(err, jetstream.ErrMsgNotFound) || err == nil && m.Sequence > settled {
			return nil
		}
		if err != nil {
			return fmt.Errorf("look at the stream: %w", err)
		}
		if err := l.buryOrphan(ctx, m); err != nil {
			return err
		}
		seq = m.Sequence + 1
	}
}

// buryOrphan makes a dead letter of an orphan whose code has expired.
func (l *lane) buryOrphan(ctx context.Context, m *jetstream.RawStreamMsg) error {
	d := l.read(&message{Msg: &nats.Msg{Subject: m.Subject, Data: m.Data, Header: m.Header}},
		nats.MsgMetadata{Timestamp: m.Time, Sequence: nats.SequencePair{Stream: m.Sequence}, NumDelivered: 2}) // at the least
	if l.opts.Now().Before(d.expiresAt) {
		return nil // a newer code for its subject may still take it away
	}
	v := dead(messages.ReasonDoubt, "the server lost track of it when it crashed: it was sent, or replaced by a newer code, or neither")
	if err := l.storeDeadLetter(ctx, d, v); err != nil {
		return err
	}
	if err := l.stream.DeleteMsg(ctx, m.Sequence); err != nil {
		return fmt.Errorf("delete an orphan: %w", err) // its next letter will be known for a duplicate
	}
	l.story(d, v)
	return nil
}
