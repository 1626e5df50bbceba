package faults

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// stories is what the workers report about the messages.
type stories struct {
	dead []messages.DeadLetter
	// doubts are the outcomes of doubts. resent are those of messages that were sent again
	// after a doubt, and say so.
	doubts, resent []messages.Outcome
}

// add adds a dead letter or an outcome.
func (s *stories) add(stream string, data []byte) error {
	if stream == wire.DeadName {
		var d messages.DeadLetter
		err := json.Unmarshal(data, &d)
		s.dead = append(s.dead, d)
		return err
	}
	var o messages.Outcome
	err := json.Unmarshal(data, &o)
	switch {
	case o.Status == messages.StatusUnknown:
		s.doubts = append(s.doubts, o)
	case o.Status == messages.StatusSent && strings.HasPrefix(o.Detail, "it may arrive twice"):
		s.resent = append(s.resent, o)
	}
	return err
}

// storyLog keeps the stories of streams that were deleted.
type storyLog struct {
	mu sync.Mutex
	// heard are the stories since the last delete of their stream, gone the earlier ones.
	heard map[string][][]byte
	gone  stories
	// outcomesGone says that the outcomes' stream was deleted.
	outcomesGone bool
}

// listen begins to receive all stories.
func (t *storyLog) listen(nc *nats.Conn) error {
	for stream, subject := range map[string]string{
		wire.DeadName: wire.DeadSubject("*", "*", "*"), wire.OutcomesName: wire.OutcomeSubject("*", "*", "*"),
	} {
		if _, err := nc.Subscribe(subject, func(m *nats.Msg) {
			t.mu.Lock()
			defer t.mu.Unlock()
			if t.heard == nil {
				t.heard = make(map[string][][]byte)
			}
			t.heard[stream] = append(t.heard[stream], m.Data)
		}); err != nil {
			return err
		}
	}
	return nil
}

// deleted must be called after the delete of a stream: its stories so far count although the
// stream is gone. Later ones count only if the next stream has them at the end.
func (t *storyLog) deleted(stream string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, data := range t.heard[stream] {
		if err := t.gone.add(stream, data); err != nil {
			return err
		}
	}
	delete(t.heard, stream)
	t.outcomesGone = t.outcomesGone || stream == wire.OutcomesName
	return nil
}

// keep reads a stream before its delete, because it may have stories that were not received.
func (r *run) keep(ctx context.Context, stream string) error {
	if stream != wire.DeadName && stream != wire.OutcomesName {
		return nil
	}
	err := r.each(ctx, stream, func(data []byte) error {
		r.heard.mu.Lock()
		defer r.heard.mu.Unlock()
		return r.heard.gone.add(stream, data)
	})
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil
	}
	return err
}

// rest returns the received stories that count at the end of the plan. Outcomes that were
// published while their stream did not exist count; dead letters have to be stored.
func (t *storyLog) rest() (stories, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.outcomesGone {
		for _, data := range t.heard[wire.OutcomesName] {
			if err := t.gone.add(wire.OutcomesName, data); err != nil {
				return stories{}, err
			}
		}
	}
	return t.gone, nil
}

// stories reads the streams, and adds the stories of deleted ones.
func (r *run) stories(ctx context.Context) (s stories, err error) {
	if s, err = r.heard.rest(); err != nil {
		return s, err
	}
	for _, stream := range []string{wire.DeadName, wire.OutcomesName} {
		if err := r.each(ctx, stream, func(data []byte) error { return s.add(stream, data) }); err != nil {
			return s, err
		}
	}
	return s, nil
}

// madeAgain waits until the workers have made the deleted streams again.
func (r *run) madeAgain(ctx context.Context) error {
	for _, stream := range []string{wire.DeadName, wire.OutcomesName, "KV_" + wire.LedgerName} {
		if err := within(ctx, time.Minute, "see "+stream+" made again", func(ctx context.Context) error {
			_, err := r.js.Stream(ctx, stream)
			return err
		}); err != nil {
			return err
		}
	}
	return nil
}

// firstSequence returns the first sequence of the last stream, if the plan has deleted streams.
// In a cluster, the leader of a deleted stream may not know for a moment, and acknowledge
// messages for it. Their sequences are lower: a stream that replaces another begins beyond it.
func (r *run) firstSequence(ctx context.Context) (first uint64, err error) {
	if r.streams.last() == 0 {
		return 0, nil
	}
	err = within(ctx, time.Minute, "read where the stream begins", func(ctx context.Context) error {
		s, err := r.js.Stream(ctx, wire.StreamName)
		if err == nil {
			first = s.CachedInfo().Config.FirstSeq
		}
		return err
	})
	return first, err
}

// givenUp returns the messages, by sequence, that the stream has and no consumer hands out any
// more, because of an operator's max_deliver. A worker makes a dead letter of each when its
// code has expired; no plan waits for that.
func (r *run) givenUp(ctx context.Context) (map[uint64]bool, error) {
	all := make(map[uint64]bool)
	if r.plan.Times[ConsumerLimit] == 0 {
		return all, nil
	}
	err := within(ctx, time.Minute, "read what the stream has", func(ctx context.Context) error {
		s, err := r.js.Stream(ctx, wire.StreamName)
		if err != nil {
			return err
		}
		for seq := s.CachedInfo().State.FirstSeq; ; seq++ {
			m, err := s.GetMsg(ctx, seq, jetstream.WithGetMsgSubject("codeferry.send.>"))
			if errors.Is(err, jetstream.ErrMsgNotFound) {
				return nil
			}
			if err != nil {
				return err
			}
			seq = m.Sequence
			all[seq] = true
		}
	})
	return all, err
}

// each reads every message of a stream.
func (r *run) each(ctx context.Context, stream string, f func([]byte) error) error {
	return within(ctx, time.Minute, "read "+stream, func(ctx context.Context) error {
		c, err := r.js.OrderedConsumer(ctx, stream, jetstream.OrderedConsumerConfig{})
		if err != nil {
			return err
		}
		info, err := c.Info(ctx)
		if err != nil || info.NumPending == 0 {
			return err
		}
		all, err := c.Messages()
		if err != nil {
			return err
		}
		defer all.Stop()
		return drain(ctx, all, f)
	})
}

// drain calls f with every message up to the last one.
func drain(ctx context.Context, all jetstream.MessagesContext, f func([]byte) error) error {
	for {
		msg, err := all.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		meta, err := msg.Metadata()
		if err != nil {
			return err
		}
		if err := f(msg.Data()); err != nil {
			return err
		}
		if meta.NumPending == 0 {
			return nil
		}
	}
}
