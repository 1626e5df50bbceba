package messages

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// OutcomesOptions say which outcomes are heard, and by whom. The zero value hears
// every outcome of DefaultApp from now on.
type OutcomesOptions struct {
	// App is the app whose outcomes are heard; "*" for every app's. Default:
	// DefaultApp.
	App string
	// Channel is the channel. Default: both.
	Channel Channel
	// Statuses are those that are wanted. Default: all. With one of them the server
	// sends no others; of several they are chosen here.
	Statuses []Status
	// Durable names a place in the stream that outlives this process: what happened
	// meanwhile is heard after a restart (the stream keeps 72 hours), and all who
	// name the same one share the outcomes. 1 to 128 of A-Z a-z 0-9 _ -. Default:
	// none; every caller hears every outcome, for as long as it listens.
	Durable string
	// Since is how far back the first one lies. Default: now. A Durable that is there
	// goes on where it was instead.
	Since time.Time
	// Trouble hears what is mended by trying again: that f has failed, that the
	// consumer is gone, that what came is no outcome. It is called by the goroutine
	// that called Outcomes. Default: nobody.
	Trouble func(error)
}

// Outcomes calls f with what becomes of an app's messages, one at a time, and each
// at least once: an outcome for which f returns an error comes again, after a
// second at first and a minute at most, and so does one whose process ended before
// f had returned. Others are not held up by it, so the order is that in which they
// happened only as long as f succeeds. f may take its time. An outcome with a
// status that is not known here is to be expected of a newer codeferry.
//
// It blocks until ctx ends, and then returns nil. An error says that it could not
// begin, or that the connection was closed for good (ErrNotConnected). What breaks
// later is mended by trying again: a connection that comes back, and a consumer or
// stream that was deleted. A Durable that was deleted is made again, and repeats
// the last two minutes.
func Outcomes(ctx context.Context, js jetstream.JetStream, o OutcomesOptions, f func(context.Context, Outcome) error) error {
	h, err := newHearing(js, o, f)
	if err != nil {
		return err
	}
	consumer, err := h.open(ctx)
	for pause := firstPause; ; {
		if err == nil {
			pause = firstPause
			err = h.hear(ctx, consumer)
		} else if h.next == 0 && ctx.Err() == nil { // it has never begun
			return h.wrap(err)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // it was told to end
		}
		if js.Conn().IsClosed() {
			return h.wrap(fmt.Errorf("%w (%w)", ErrNotConnected, err))
		}
		h.trouble(h.wrap(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, hearingPause)
		consumer, err = h.open(ctx)
	}
}

// Times of hearing outcomes.
const (
	// hearingPause is the longest wait before a consumer is looked for again.
	hearingPause = 5 * time.Second
	// hearingHeartbeat is how often the server says that it still knows of the
	// consumer; after two that did not come it is looked for.
	hearingHeartbeat = 2 * time.Second
	// hearingOpen bounds the opening of the consumer.
	hearingOpen = 5 * time.Second
	// hearingIdle is how long a consumer without a name outlives its hearer.
	hearingIdle = 5 * time.Minute
	// firstAgain and longAgain are the waits for an outcome that f did not take.
	firstAgain = time.Second
	longAgain  = time.Minute
	// hearingOverlap is what a Durable repeats that was deleted: more than longAgain,
	// since others who share it may have had outcomes that were to come again.
	hearingOverlap = 2 * time.Minute
)

// hearing is one call of Outcomes.
type hearing struct {
	js      jetstream.JetStream
	opts    OutcomesOptions
	subject string
	f       func(context.Context, Outcome) error

	// next is the sequence after the last one that was heard; 0 before the consumer
	// has stood once. failed are those before it that are to come again.
	next   uint64
	failed map[uint64]bool
	// heard is the server's time of the last one.
	heard time.Time
}

func newHearing(js jetstream.JetStream, o OutcomesOptions, f func(context.Context, Outcome) error) (*hearing, error) {
	if o.App == "" {
		o.App = DefaultApp
	}
	if o.App != anyToken {
		if err := checkApp(o.App); err != nil {
			return nil, err
		}
	}
	if o.Channel == "" {
		o.Channel = anyToken
	} else if !o.Channel.Valid() {
		return nil, errChannel()
	}
	for _, s := range o.Statuses {
		if !s.Valid() {
			return nil, &FieldError{"status", fmt.Sprintf("%q is none of %v", s, Statuses())}
		}
	}
	if o.Durable != "" && checkApp(o.Durable) != nil {
		return nil, &FieldError{"durable", fmt.Sprintf("is no name; it takes 1 to %d of A-Z a-z 0-9 _ -", maxToken)}
	}
	if o.Trouble == nil {
		o.Trouble = func(error) {}
	}
	// There is one subject, however many statuses: a consumer's only filter stands in
	// the subject of the request that makes it, where a permission can hold a service
	// to its own app.
	status := Status(anyToken)
	if len(o.Statuses) == 1 {
		status = o.Statuses[0]
	}
	return &hearing{js: js, opts: o, subject: OutcomeSubject(o.App, o.Channel, status), f: f, failed: make(map[uint64]bool)}, nil
}

// anyToken stands for any token of a subject.
const anyToken = "*"

func (h *hearing) wrap(err error) error {
	return fmt.Errorf("hear outcomes of app %s: %w", h.opts.App, err)
}

func (h *hearing) trouble(err error) { h.opts.Trouble(err) }

// open looks for the consumer, and makes it where it is missing.
func (h *hearing) open(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, hearingOpen)
	defer cancel()
	consumer, err := h.consumer(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("the stream %s is not there; create it with `codeferry provision`, or start a worker: %w", OutcomesName, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return nil, fmt.Errorf("JetStream does not answer; where it does answer others, a permission is missing: %w", err)
	case err != nil:
		return nil, err
	}
	info := consumer.CachedInfo()
	h.next = max(h.next, info.Delivered.Stream+1)
	if h.heard.IsZero() {
		h.heard = info.TimeStamp
	}
	return consumer, nil
}

func (h *hearing) consumer(ctx context.Context) (jetstream.Consumer, error) {
	if h.opts.Durable == "" {
		return h.js.CreateConsumer(ctx, OutcomesName, h.config())
	}
	consumer, err := h.js.Consumer(ctx, OutcomesName, h.opts.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = h.js.CreateConsumer(ctx, OutcomesName, h.config())
		if errors.Is(err, jetstream.ErrConsumerExists) { // another one was quicker
			consumer, err = h.js.Consumer(ctx, OutcomesName, h.opts.Durable)
		}
	}
	if err != nil {
		return nil, err
	}
	cfg := consumer.CachedInfo().Config
	if cfg.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("the consumer %s is another's: its outcomes are not acknowledged one by one", h.opts.Durable)
	}
	if cfg.FilterSubject == h.subject {
		return consumer, nil
	}
	cfg.FilterSubject, cfg.FilterSubjects = h.subject, nil // the options were others when it was made
	return h.js.UpdateConsumer(ctx, OutcomesName, cfg)
}

func (h *hearing) config() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Description:   "codeferry: who hears the outcomes of app " + h.opts.App,
		FilterSubject: h.subject,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       AckWait,
		MaxDeliver:    -1,
		DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	since := h.opts.Since
	if h.opts.Durable != "" {
		cfg.Durable = h.opts.Durable
		if h.next > 0 {
			since = h.heard.Add(-hearingOverlap)
		}
	} else {
		cfg.InactiveThreshold, cfg.MemoryStorage, cfg.Replicas = hearingIdle, true, 1
	}
	switch {
	case h.opts.Durable == "" && h.next > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, h.next
		for seq := range h.failed {
			cfg.OptStartSeq = min(cfg.OptStartSeq, seq)
		}
	case !since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	return cfg
}

// hear takes outcomes until ctx ends or the consumer gives no more. One at a time
// is asked for: what waits here while f works would come again elsewhere.
func (h *hearing) hear(ctx context.Context, consumer jetstream.Consumer) error {
	all, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(hearingHeartbeat))
	if err != nil {
		return err
	}
	defer all.Stop()
	for {
		msg, err := all.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := h.take(ctx, msg, consumer.CachedInfo().Config.AckWait); err != nil {
			return err
		}
	}
}

// take calls f with an outcome and settles it. An error says that the server does
// not hear of it.
func (h *hearing) take(ctx context.Context, msg jetstream.Msg, ackWait time.Duration) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	seq := meta.Sequence.Stream
	h.next, h.heard = max(h.next, seq+1), meta.Timestamp
	var o Outcome
	if err := json.Unmarshal(msg.Data(), &o); err != nil || o.ID == "" {
		h.trouble(h.wrap(fmt.Errorf("what stands at %d of %s is no outcome", seq, OutcomesName)))
		return msg.Term()
	}
	if len(h.opts.Statuses) > 0 && !slices.Contains(h.opts.Statuses, o.Status) {
		return msg.Ack()
	}
	if err := h.call(ctx, msg, o, ackWait); err != nil {
		h.failed[seq] = true
		h.trouble(h.wrap(fmt.Errorf("outcome %s of %s was not taken: %w", o.Status, o.ID, err)))
		if ctx.Err() != nil {
			return msg.Nak() // for whoever takes over
		}
		return msg.NakWithDelay(again(meta.NumDelivered))
	}
	delete(h.failed, seq)
	return msg.Ack()
}

// call calls f, and tells the server meanwhile that the outcome is worked on.
func (h *hearing) call(ctx context.Context, msg jetstream.Msg, o Outcome, ackWait time.Duration) error {
	done := make(chan struct{})
	var wg sync.WaitGroup
	defer wg.Wait()
	defer close(done)
	wg.Go(func() {
		tick := time.NewTicker(max(ackWait/3, time.Millisecond))
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				_ = msg.InProgress() // where the connection is away, it comes again
			}
		}
	})
	return h.f(ctx, o)
}

// again is how long an outcome waits that f did not take the nth time.
func again(n uint64) time.Duration {
	wait := firstAgain
	for ; n > 1 && wait < longAgain; n-- {
		wait *= 2
	}
	return min(wait, longAgain)
}
