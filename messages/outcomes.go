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

	"github.com/codeferry/codeferry/messages/internal/leave"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// OutcomesOptions say which outcomes [SubscribeOutcomes] receives. With the zero value it
// receives every outcome of [DefaultApp] from now on.
type OutcomesOptions struct {
	// App is the app; "*" means every app. Default: DefaultApp.
	App string
	// Channel is the channel. Default: both.
	Channel Channel
	// Statuses are the wanted statuses. Default: all. If there is only one, the server
	// filters; if there are several, SubscribeOutcomes filters.
	Statuses []Status
	// Durable names a place in the stream that outlives this process. After a restart f
	// gets what happened meanwhile (the stream keeps 72 hours). All processes with the
	// same Durable share the outcomes. 1 to 128 of A-Z a-z 0-9 _ -. Default: none; every
	// call receives every outcome while it runs.
	Durable string
	// Since is the time of the first outcome. A Durable that exists ignores it and
	// continues at its place. Default: now.
	Since time.Time
	// Domain is the JetStream domain of the stream, if nc is connected to a leaf node of
	// it. Default: none.
	Domain string
	// APIPrefix is the prefix of JetStream's API subjects, if an account imports the API
	// under another prefix, such as js.codeferry.API. Set it or Domain, not both. Default:
	// $JS.API.
	APIPrefix string
	// ErrorHandler gets each error after which SubscribeOutcomes tries again by itself: f
	// failed, the consumer is gone, or a message is not an outcome. The goroutine that
	// called SubscribeOutcomes calls it. Default: the errors are ignored.
	ErrorHandler func(error)
}

// SubscribeOutcomes calls f with the outcomes of an app's messages, one at a time, each at
// least once. If f returns an error, the outcome comes again: after a second at first, and
// after a minute at most. It also comes again if the process ended before f returned. Other
// outcomes do not wait for it, so they come in their order only while f succeeds. f may
// block. A newer codeferry can have an [Outcome] with a status that you do not know: ignore
// it.
//
// SubscribeOutcomes blocks until ctx ends, and then returns nil. It returns an error if it
// could not begin (a *[FieldError] if an option is wrong), or if the connection was closed
// ([ErrNotConnected]). After any other failure it tries again: if the connection was lost,
// or if the consumer or the stream was deleted. A Durable that was deleted is created again,
// and repeats the outcomes of the last two minutes. A server at which JetStream does not answer
// for six seconds is left for another one.
func SubscribeOutcomes(ctx context.Context, nc *nats.Conn, o OutcomesOptions, f func(context.Context, Outcome) error) error {
	s, err := newSubscription(nc, o, f)
	if err != nil {
		return err
	}
	leaver := leave.New(nc, time.Now, nil)
	for pause := firstPause; ; {
		begun := time.Now()
		consumer, err := s.open(ctx)
		switch {
		case err == nil:
			leaver.Answered()
			pause = firstPause
			err = s.receive(ctx, consumer)
		case s.next == 0 && ctx.Err() == nil: // it could not begin
			return s.wrap(err)
		case noAnswer(err):
			leaver.Silent(begun)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // ctx has ended, as the caller wanted
		}
		if nc.IsClosed() {
			return s.wrap(fmt.Errorf("%w (%w)", ErrNotConnected, err))
		}
		s.opts.ErrorHandler(s.wrap(err))
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause):
		}
		pause = min(2*pause, reopenPause)
	}
}

// Times of a subscription to outcomes.
const (
	// reopenPause is the longest wait before the consumer is opened again.
	reopenPause = 5 * time.Second
	// heartbeat is the interval at which the server confirms that the consumer exists.
	// After two missing heartbeats the consumer is opened again.
	heartbeat = 2 * time.Second
	// openTimeout bounds the opening of the consumer.
	openTimeout = 5 * time.Second
	// outcomeAckWait is how long the server waits for an ack or an in progress before it
	// delivers the outcome again.
	outcomeAckWait = 30 * time.Second
	// idleThreshold is how long the server keeps a consumer without a name after its
	// subscriber is gone.
	idleThreshold = 5 * time.Minute
	// firstRetry and longestRetry are the waits after f returned an error.
	firstRetry   = time.Second
	longestRetry = time.Minute
	// overlap is the time that a Durable repeats after it was deleted. It is longer than
	// longestRetry, since other processes that share the Durable can have failed outcomes.
	overlap = 2 * time.Minute
)

// subscription is one call of SubscribeOutcomes.
type subscription struct {
	js      jetstream.JetStream
	opts    OutcomesOptions
	subject string
	f       func(context.Context, Outcome) error

	// next is the sequence after the last outcome; 0 before the consumer was opened the
	// first time. failed are the sequences before it that come again.
	next   uint64
	failed map[uint64]bool
	// lastAt is the server's time of the last outcome.
	lastAt time.Time
}

func newSubscription(nc *nats.Conn, o OutcomesOptions, f func(context.Context, Outcome) error) (*subscription, error) {
	if o.App == "" {
		o.App = DefaultApp
	}
	if o.App != protocol.Any {
		if err := fieldError("app", protocol.AppProblem(o.App)); err != nil {
			return nil, err
		}
	}
	if o.Channel == "" {
		o.Channel = protocol.Any
	} else if !o.Channel.Valid() {
		return nil, errChannel()
	}
	for _, s := range o.Statuses {
		if !s.Valid() {
			return nil, &FieldError{"status", fmt.Sprintf("%q is not one of %v", s, Statuses())}
		}
	}
	if o.Durable != "" {
		if err := fieldError("durable", protocol.DurableProblem(o.Durable)); err != nil {
			return nil, err
		}
	}
	if o.ErrorHandler == nil {
		o.ErrorHandler = func(error) {}
	}
	js, err := jetStream(nc, o)
	if err != nil {
		return nil, err
	}
	// The consumer has one filter, also for several statuses: a single filter is part of
	// the subject of the request that creates the consumer, so a permission can limit a
	// service to its own app.
	status := Status(protocol.Any)
	if len(o.Statuses) == 1 {
		status = o.Statuses[0]
	}
	return &subscription{js: js, opts: o, subject: protocol.Outcome(o.App, string(o.Channel), string(status)), f: f, failed: make(map[uint64]bool)}, nil
}

// jetStream returns the JetStream that the options name. It does no I/O.
func jetStream(nc *nats.Conn, o OutcomesOptions) (jetstream.JetStream, error) {
	var js jetstream.JetStream
	var err error
	switch {
	case o.Domain != "" && o.APIPrefix != "":
		return nil, &FieldError{"apiPrefix", "can't be set together with a domain, because both set the prefix of the API's subjects; leave one of them out"}
	case o.Domain != "":
		js, err = jetstream.NewWithDomain(nc, o.Domain)
	case o.APIPrefix != "":
		js, err = jetstream.NewWithAPIPrefix(nc, o.APIPrefix)
	default:
		js, err = jetstream.New(nc)
	}
	if err != nil {
		return nil, fmt.Errorf("subscribe to outcomes: JetStream: %w", err)
	}
	return js, nil
}

func (s *subscription) wrap(err error) error {
	return fmt.Errorf("subscribe to outcomes of app %s: %w", s.opts.App, err)
}

// open opens the consumer, and creates it if it is missing.
func (s *subscription) open(ctx context.Context) (jetstream.Consumer, error) {
	ctx, cancel := context.WithTimeout(ctx, openTimeout)
	defer cancel()
	consumer, err := s.consumer(ctx)
	switch {
	case errors.Is(err, jetstream.ErrStreamNotFound):
		return nil, fmt.Errorf("the stream %s does not exist; create it with `codeferry provision`, or start a worker: %w", protocol.OutcomesStream, err)
	case noAnswer(err):
		return nil, fmt.Errorf("JetStream does not answer; if it answers other users, this user lacks a permission: %w", err)
	case err != nil:
		return nil, err
	}
	info := consumer.CachedInfo()
	s.next = max(s.next, info.Delivered.Stream+1)
	if s.lastAt.IsZero() {
		s.lastAt = info.TimeStamp
	}
	return consumer, nil
}

// noAnswer reports whether JetStream did not answer, or answered that it is not available.
func noAnswer(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) || isAPIError(err, protocol.CodeClusterNotAvailable)
}

func (s *subscription) consumer(ctx context.Context) (jetstream.Consumer, error) {
	if s.opts.Durable == "" {
		return s.js.CreateConsumer(ctx, protocol.OutcomesStream, s.config())
	}
	consumer, err := s.js.Consumer(ctx, protocol.OutcomesStream, s.opts.Durable)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		consumer, err = s.js.CreateConsumer(ctx, protocol.OutcomesStream, s.config())
		if errors.Is(err, jetstream.ErrConsumerExists) { // another process was faster
			consumer, err = s.js.Consumer(ctx, protocol.OutcomesStream, s.opts.Durable)
		}
	}
	if err != nil {
		return nil, err
	}
	cfg := consumer.CachedInfo().Config
	if cfg.AckPolicy != jetstream.AckExplicitPolicy {
		return nil, fmt.Errorf("the consumer %s was not made by SubscribeOutcomes, because its ack policy is not explicit; choose another Durable", s.opts.Durable)
	}
	if cfg.FilterSubject == s.subject {
		return consumer, nil
	}
	cfg.FilterSubject, cfg.FilterSubjects = s.subject, nil // it was created with other options
	return s.js.UpdateConsumer(ctx, protocol.OutcomesStream, cfg)
}

func (s *subscription) config() jetstream.ConsumerConfig {
	cfg := jetstream.ConsumerConfig{
		Description:   "codeferry: a listener to the outcomes of app " + s.opts.App,
		FilterSubject: s.subject,
		AckPolicy:     jetstream.AckExplicitPolicy,
		AckWait:       outcomeAckWait,
		MaxDeliver:    -1,
		DeliverPolicy: jetstream.DeliverNewPolicy,
	}
	since := s.opts.Since
	if s.opts.Durable != "" {
		cfg.Durable = s.opts.Durable
		if s.next > 0 {
			since = s.lastAt.Add(-overlap)
		}
	} else {
		cfg.InactiveThreshold, cfg.MemoryStorage, cfg.Replicas = idleThreshold, true, 1
	}
	switch {
	case s.opts.Durable == "" && s.next > 0:
		cfg.DeliverPolicy, cfg.OptStartSeq = jetstream.DeliverByStartSequencePolicy, s.next
		for seq := range s.failed {
			cfg.OptStartSeq = min(cfg.OptStartSeq, seq)
		}
	case !since.IsZero():
		cfg.DeliverPolicy, cfg.OptStartTime = jetstream.DeliverByStartTimePolicy, &since
	}
	return cfg
}

// receive takes outcomes until ctx ends or the consumer fails. It asks for one outcome at a
// time: while f works, the server would deliver a waiting one to another process again.
func (s *subscription) receive(ctx context.Context, consumer jetstream.Consumer) error {
	all, err := consumer.Messages(jetstream.PullMaxMessages(1), jetstream.PullHeartbeat(heartbeat))
	if err != nil {
		return err
	}
	defer all.Stop()
	for {
		msg, err := all.Next(jetstream.NextContext(ctx))
		if err != nil {
			return err
		}
		if err := s.take(ctx, msg, consumer.CachedInfo().Config.AckWait); err != nil {
			return err
		}
	}
}

// take calls f with an outcome and settles it. It returns an error if it can't send the
// ack.
func (s *subscription) take(ctx context.Context, msg jetstream.Msg, ackWait time.Duration) error {
	meta, err := msg.Metadata()
	if err != nil {
		return err
	}
	seq := meta.Sequence.Stream
	s.next, s.lastAt = max(s.next, seq+1), meta.Timestamp
	var o Outcome
	if err := json.Unmarshal(msg.Data(), &o); err != nil || o.ID == "" {
		s.opts.ErrorHandler(s.wrap(fmt.Errorf("message %d of %s is not an outcome", seq, protocol.OutcomesStream)))
		return msg.Term()
	}
	if len(s.opts.Statuses) > 0 && !slices.Contains(s.opts.Statuses, o.Status) {
		return msg.Ack()
	}
	if err := s.call(ctx, msg, o, ackWait); err != nil {
		s.failed[seq] = true
		s.opts.ErrorHandler(s.wrap(fmt.Errorf("the handler failed for outcome %s of %s: %w", o.Status, o.ID, err)))
		if ctx.Err() != nil {
			return msg.Nak() // another process gets it at once
		}
		return msg.NakWithDelay(retryDelay(meta.NumDelivered))
	}
	delete(s.failed, seq)
	return msg.Ack()
}

// call calls f, and meanwhile tells the server that it is in progress.
func (s *subscription) call(ctx context.Context, msg jetstream.Msg, o Outcome, ackWait time.Duration) error {
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
				_ = msg.InProgress() // if it fails, the outcome comes again
			}
		}
	})
	return s.f(ctx, o)
}

// retryDelay is the wait before the next delivery after f failed the nth time.
func retryDelay(n uint64) time.Duration {
	wait := firstRetry
	for ; n > 1 && wait < longestRetry; n-- {
		wait *= 2
	}
	return min(wait, longestRetry)
}
