package worker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// sentOutcomes reads from CODEFERRY_OUTCOMES which messages were sent.
type sentOutcomes struct {
	js jetstream.JetStream
}

// How sentOutcomes reads.
const (
	// outcomesAtOnce is how many outcomes are asked for at once.
	outcomesAtOnce = 500
	// outcomesWait is how long the server waits for them.
	outcomesWait = time.Second
	// outcomesUnread is after how long the server deletes the consumer of a reader that
	// has ended.
	outcomesUnread = 30 * time.Second
)

// read calls sent for each message that was sent in a span of time, and then upToDate.
// After that it calls sent for each message that is sent from then on, until the span or
// ctx ends. It fails if it can't read the outcomes.
func (s sentOutcomes) read(ctx context.Context, of span, sent func(publish, time.Time), upToDate func()) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("read what was sent: %w", err)
		}
	}()
	consumer, err := s.js.CreateConsumer(ctx, wire.OutcomesName, jetstream.ConsumerConfig{
		Description:   "codeferry: what was sent before a restart",
		FilterSubject: wire.OutcomeSubject("*", "*", messages.StatusSent),
		DeliverPolicy: jetstream.DeliverByStartTimePolicy, OptStartTime: &of.from,
		AckPolicy: jetstream.AckNonePolicy, MemoryStorage: true, Replicas: 1, InactiveThreshold: outcomesUnread,
	})
	if err != nil {
		return err
	}
	if consumer.CachedInfo().NumPending == 0 {
		upToDate()
	}
	for ctx.Err() == nil {
		err := s.fetch(ctx, consumer, of, sent, upToDate)
		if errors.Is(err, errSpanRead) {
			upToDate()
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// errSpanRead means that the next outcomes are later than the span.
var errSpanRead = errors.New("all of the span is read")

// fetch reads the outcomes that exist, and waits for more until outcomesWait is over or
// ctx ends.
func (s sentOutcomes) fetch(ctx context.Context, consumer jetstream.Consumer, of span, sent func(publish, time.Time), upToDate func()) error {
	ctx, stop := context.WithTimeout(ctx, outcomesWait)
	defer stop()
	batch, err := consumer.Fetch(outcomesAtOnce, jetstream.FetchContext(ctx))
	if err != nil {
		return err
	}
	for msg := range batch.Messages() {
		if err := s.take(msg, of, sent, upToDate); err != nil {
			return err
		}
	}
	if err := batch.Error(); err != nil && ctx.Err() == nil && !errors.Is(err, nats.ErrTimeout) {
		return err
	}
	return nil
}

func (s sentOutcomes) take(msg jetstream.Msg, of span, sent func(publish, time.Time), upToDate func()) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	if !of.to.IsZero() && meta.Timestamp.After(of.to) {
		return errSpanRead
	}
	var o struct {
		Publish  string    `json:"publish"`
		StoredAt time.Time `json:"storedAt"`
	}
	// Ignore what other programs have published here.
	if err := json.Unmarshal(msg.Data(), &o); err == nil {
		if name, ok := parsePublish(o.Publish); ok {
			sent(name, o.StoredAt)
		}
	}
	if meta.NumPending == 0 {
		upToDate()
	}
	return nil
}
