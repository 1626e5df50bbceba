// Package archive reads what the streams keep of messages: their outcomes and
// their dead letters.
package archive

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// skew is how far the clocks of publishers, workers and servers may differ.
const skew = 5 * time.Minute

// Outcomes calls f with every outcome of a message that is still kept, oldest
// first. It blocks until all are read; an error of f ends it.
func Outcomes(ctx context.Context, js jetstream.JetStream, id string, f func(messages.Outcome) error) error {
	since, _ := messages.IDTime(id) // a message has no outcome before its id was made
	return OutcomesSince(ctx, js, since, func(o messages.Outcome) error {
		if o.ID != id {
			return nil
		}
		return f(o)
	})
}

// OutcomesSince calls f with every outcome from a time on; from the first one
// where that is zero. It blocks until all are read that were there at the
// beginning; an error of f ends it.
func OutcomesSince(ctx context.Context, js jetstream.JetStream, since time.Time, f func(messages.Outcome) error) error {
	cfg := jetstream.OrderedConsumerConfig{FilterSubjects: []string{messages.OutcomeSubject("*", "*", "*")}}
	from(&cfg, since)
	return read(ctx, js, messages.OutcomesName, cfg, func(_ uint64, _ string, data []byte) error {
		var o messages.Outcome
		if err := json.Unmarshal(data, &o); err != nil {
			return nil //nolint:nilerr // what is no outcome is no message's
		}
		return f(o)
	})
}

// OutcomesFrom tells from when on every outcome is kept; the zero time where none
// has gone yet.
func OutcomesFrom(ctx context.Context, js jetstream.JetStream) (time.Time, error) {
	s, err := js.Stream(ctx, messages.OutcomesName)
	if err != nil {
		return time.Time{}, fmt.Errorf("look at %s: %w", messages.OutcomesName, err)
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

// from has a consumer begin at a time.
func from(cfg *jetstream.OrderedConsumerConfig, t time.Time) {
	if !t.IsZero() {
		t = t.Add(-skew)
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &t
	}
}

// read calls f with every message of a stream that the consumer is to see and
// that is there when it begins.
func read(ctx context.Context, js jetstream.JetStream, stream string, cfg jetstream.OrderedConsumerConfig, f func(seq uint64, subject string, data []byte) error) error {
	wrap := func(err error) error { return fmt.Errorf("read %s: %w", stream, err) }
	s, err := js.Stream(ctx, stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return fmt.Errorf("the stream %s is not there; create it with `codeferry provision`, or start a worker: %w", stream, err)
	}
	if err != nil {
		return wrap(err)
	}
	last := s.CachedInfo().State.LastSeq
	consumer, err := s.OrderedConsumer(ctx, cfg)
	if err != nil {
		return wrap(err)
	}
	info, err := consumer.Info(ctx)
	if err != nil {
		return wrap(err)
	}
	if info.NumPending == 0 {
		return nil
	}
	all, err := consumer.Messages()
	if err != nil {
		return wrap(err)
	}
	defer all.Stop()
	var seen uint64
	for {
		msg, err := next(ctx, all)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
			// What was still to come may have been taken away meanwhile.
			if info, err := consumer.Info(ctx); err != nil {
				return wrap(err)
			} else if info.NumPending == 0 && info.Delivered.Consumer <= seen {
				return nil
			}
			continue
		}
		if err != nil {
			return wrap(err)
		}
		meta, err := msg.Metadata()
		if err != nil {
			return wrap(err)
		}
		seen = meta.Sequence.Consumer
		if meta.Sequence.Stream > last {
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

// quiet is how long nothing may come before it is looked whether anything will.
const quiet = 2 * time.Second

func next(ctx context.Context, all jetstream.MessagesContext) (jetstream.Msg, error) {
	ctx, cancel := context.WithTimeout(ctx, quiet)
	defer cancel()
	return all.Next(jetstream.NextContext(ctx))
}
