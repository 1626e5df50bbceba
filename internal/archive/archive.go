// Package archive reads what the streams keep about messages: outcomes and dead letters.
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

// skew is how far the clocks of publishers, workers and servers may differ.
const skew = 5 * time.Minute

// Outcomes calls f with every kept outcome that the filter takes, oldest first. It blocks until
// it has read all that were stored when it began; an error of f ends it.
//
// An id does not say when its message was published. The part that looks like a time
// (wire.IDTime) can be anything, and a read from that time on could miss earlier outcomes.
func Outcomes(ctx context.Context, js jetstream.JetStream, want OutcomeFilter, f func(messages.Outcome) error) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{want.subject()}}
	from(&cfg, want.Since)
	return read(ctx, js, wire.OutcomesName, cfg, func(_ uint64, _ string, data []byte) error {
		if o, ok := want.decode(data); ok {
			return f(o)
		}
		return nil
	})
}

// OutcomesSince calls f with every outcome since a time and of some minutes before, or with all
// if the time is zero. It blocks until it has read all that were stored when it began; an error
// of f ends it.
func OutcomesSince(ctx context.Context, js jetstream.JetStream, since time.Time, f func(messages.Outcome) error) error {
	var all OutcomeFilter
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{all.subject()}}
	from(&cfg, since)
	return read(ctx, js, wire.OutcomesName, cfg, func(_ uint64, _ string, data []byte) error {
		if o, ok := all.decode(data); ok {
			return f(o)
		}
		return nil
	})
}

// OutcomesFrom returns the time since which every outcome is kept; the zero time if none was
// deleted yet.
func OutcomesFrom(ctx context.Context, js jetstream.JetStream) (time.Time, error) {
	s, err := js.Stream(ctx, wire.OutcomesName)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at %s: %w", wire.OutcomesName, err)
	}
	state := s.CachedInfo().State
	switch {
	case state.FirstSeq <= 1:
		return time.Time{}, nil
	case state.Msgs == 0:
		return time.Now(), nil
	}
	return state.FirstTime, nil
}

// noStream wraps an error of a stream's, and says what makes the stream if it is missing.
func noStream(stream string, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the stream %s is not there; create it with `codeferry provision`, or start a worker: %w", stream, err)
	}
	return fmt.Errorf("read %s: %w", stream, err)
}

// from makes a consumer begin at a time.
func from(cfg *jetstream.OrderedConsumerConfig, t time.Time) {
	if !t.IsZero() {
		t = t.Add(-skew)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &t
	}
}

// read calls f with every message of a stream that the consumer's filter takes and that is
// stored when read begins.
func read(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.OrderedConsumerConfig, f func(seq uint64, subject string, data []byte) error) error {
	wrap := func(err error) error { return noStream(stream, err) }
	consumer, last, err := begin(ctx, js, stream, cfg)
	if err != nil {
		return wrap(err)
	}
	if last == 0 {
		return nil
	}
	all, err := consumer.Messages()
	if err != nil {
		return wrap(err)
	}
	defer all.Stop()
	for meta := new(jetstream.MsgMetadata); ; {
		var msg jetstream.Msg
		if msg, meta, err = next(ctx, consumer, all, meta.Sequence.Consumer); err != nil {
			return wrap(err)
		}
		if msg == nil || meta.Sequence.Stream > last {
			return nil
		}
		if err := f(meta.Sequence.Stream, msg.Subject(), msg.Data()); err != nil {
			return err
		}
		if meta.NumPending == 0 || meta.Sequence.Stream == last {
			return nil
		}
	}
}

// unread is the error of a stream that could not be read.
func unread(stream string, err error) error {
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the stream %s is not there; create it with `codeferry provision`, or start a worker: %w", stream, err)
	}
	return fmt.Errorf("read %s: %w", stream, err)
}

// begin makes a consumer, and returns the last sequence that read has to read; 0 if there is
// no message for the consumer.
func begin(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.OrderedConsumerConfig) (c jetstream.Consumer, last uint64, err error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, 0, err
	}
	last = s.CachedInfo().State.LastSeq
	if c, err = s.OrderedConsumer(ctx, cfg); err != nil {
		return nil, 0, err
	}
	info, err := c.Info(ctx)
	if err != nil || info.NumPending == 0 {
		return nil, 0, err
	}
	return c, last, nil
}

// quiet is how long next waits for a message before it asks the server whether one will come.
const quiet = 2 * time.Second

// next waits for the next message after those that were seen. It returns none if no more
// will come: somebody may have deleted the rest.
func next(ctx context.Context, c jetstream.Consumer, all jetstream.MessagesContext, seen uint64) (jetstream.Msg, *jetstream.MsgMetadata, error) {
	for {
		msg, err := soon(ctx, all)
		if err == nil {
			meta, err := msg.Metadata()
			return msg, meta, err
		}
		if !errors.Is(err, context.DeadlineExceeded) || ctx.Err() != nil {
			return nil, nil, err
		}
		info, err := c.Info(ctx)
		if err != nil || info.NumPending == 0 && info.Delivered.Consumer <= seen {
			return nil, nil, err
		}
	}
}

func soon(ctx context.Context, all jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	return all.Next(jetstream.NextContext(ctx))
}
