package worker

import (
	"context"
	"errors"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// settler carries out what was decided. It is the only place that acks, naks, terminates
// or writes dead letters. Its order keeps the promises: it first stores what is known
// about a message, and takes the message out of the stream last.
type settler struct {
	acks        acks
	ledger      settledEntries
	deadLetters deadLetterStore
	// report reports a verdict: outcome, metrics, log.
	report func(ctx context.Context, d *delivery, v verdict)
	// cleaner deletes the entries of messages that are done.
	cleaner cleaner
	// inFlight are the messages that the heartbeat keeps in progress.
	inFlight *inFlight
	// remove deletes from the stream a message that no consumer hands out.
	remove func(ctx context.Context, sequence uint64) error
	// mine reports whether a message still belongs to this worker, and until when.
	mine     func(m *jetpull.Message) (until time.Time, ok bool)
	slots    int
	now      func() time.Time
	log      zerolog.Logger
	deferred prometheus.Counter
	// troubles gets the errors of what can't be stored.
	troubles troubles

	// settling waits for the messages that are done but whose ack the server has not
	// confirmed; unconfirmed counts them.
	settling    sync.WaitGroup
	unconfirmed atomic.Int64
}

// acks takes messages out of the stream.
type acks interface {
	Ack(m *jetpull.Message, done func(error))
	Term(m *jetpull.Message, reason string, done func(error))
}

// settledEntries is the part of the ledger that settle needs.
type settledEntries interface {
	Read(ctx context.Context, r *ledger.Record) (*ledger.Entry, error)
	Write(ctx context.Context, r *ledger.Record, e ledger.Entry) error
	WriteSent(ctx context.Context, r *ledger.Record, e ledger.Entry) error
}

// deadLetterStore stores dead letters.
type deadLetterStore interface {
	store(ctx context.Context, d *delivery, v verdict) error
	storeBare(ctx context.Context, d *delivery, v verdict) error
}

// troubles gets the errors of what can't be stored, and logs them at most once a minute.
type troubles interface {
	ledgerFailed(err error) (ledgersFault bool)
	deadLettersFailed(err error)
	deadLettersStored()
}

// cleaner is notified of messages that are done.
type cleaner interface {
	Settled(r *ledger.Record)
}

// putBackDelay is how long a message waits if it could not be settled: long enough for a
// failure to pass, short enough for the user who waits.
const putBackDelay = 2 * time.Second

// settle carries out a verdict. It calls done when the slot can take another message; that
// can be after settle has returned, and more than once. It also writes at the shutdown:
// the end of ctx only stops the retries of an ack.
func (s *settler) settle(ctx context.Context, d *delivery, v verdict, done func()) { //nolint:gocognit // a case for each action
	defer func() {
		if r := recover(); r != nil {
			s.log.Error().EmbedObject(d).Bytes("stack", debug.Stack()).Msg("settling a message panicked; the message comes again in doubt")
			s.afterPanic(context.WithoutCancel(ctx), d, done)
		}
	}()
	writing := context.WithoutCancel(ctx)
	if v.action == actPanicked {
		if v = s.panicked(writing, d); v.action == actPutBack {
			s.nak(d, v.delay)
			done()
			return
		}
	}
	switch v.action {
	case actSent:
		s.report(ctx, d, v)
		s.takeOut(ctx, d, v, done)
		return
	case actDone:
		s.takeOut(ctx, d, v, done)
		return
	case actSuperseded:
		if s.surelyUnsent(d) {
			s.report(ctx, d, v)
		}
		s.takeOut(ctx, d, v, done)
		return
	case actDead:
		if s.deadLetter(writing, d, v) {
			s.takeOut(ctx, d, v, done)
			return
		}
	case actRetry:
		d.unfilled = v.unfilled
		if s.write(writing, d, ledger.Retrying) {
			s.report(ctx, d, v)
			s.nak(d, v.delay)
		}
	case actDoubt:
		d.inDoubt = true
		if v.suspects != nil {
			d.suspects, d.doubtFor, d.doubtGrace = v.suspects, 0, v.doubtGrace
		}
		d.doubtFor += v.delay
		s.report(ctx, d, v) // even if another worker has taken the message over
		if s.write(writing, d, ledger.InDoubt) {
			s.nak(d, v.delay)
		}
	case actAskAgain:
		d.doubtFor += v.delay // it does not come again earlier
		if s.write(writing, d, ledger.InDoubt) {
			s.nak(d, v.delay)
		}
	case actDefer:
		s.deferred.Inc()
		if s.writeEntry(writing, d, d.putBack(ledger.Released, v)) {
			s.nak(d, max(time.Millisecond, min(v.delay, d.expiresAt.Sub(s.now()))))
		}
	case actRelease:
		if v.state == "" || s.writeEntry(writing, d, d.putBack(v.state, v)) {
			s.nak(d, 0)
		}
	case actPutBack:
		s.warn(v.quiet).EmbedObject(d).Str("why", v.detail).Msg("put back for a moment")
		s.nak(d, v.delay)
	case actDrop:
		if v.state != "" && !s.write(writing, d, v.state) {
			break
		}
		s.log.Warn().EmbedObject(d).Str("why", v.detail).Msg("another worker has the message; this worker does nothing more with it")
	case actPanicked:
	}
	done()
}

// surelyUnsent reports whether no connector can have accepted the message: it was never in
// doubt, and no other worker can have it.
func (s *settler) surelyUnsent(d *delivery) bool {
	_, mine := s.mine(d.msg)
	return mine && d.doubts == 0 && !d.mayHaveBeenSent()
}

// write writes to the ledger what the next worker has to know. It returns false if another
// worker has the message by now: then this worker must do nothing more with it.
func (s *settler) write(ctx context.Context, d *delivery, state ledger.State) bool {
	return s.writeEntry(ctx, d, d.entry(state))
}

// writeEntry is write for an entry that says more.
func (s *settler) writeEntry(ctx context.Context, d *delivery, e ledger.Entry) bool {
	d.identify()
	err := s.ledger.Write(ctx, &d.record, e)
	switch {
	case errors.Is(err, ledger.ErrLost):
		s.log.Warn().EmbedObject(d).Str("state", string(e.State)).Msg("another worker has taken the message over; this worker writes nothing about it")
		return false
	case err != nil:
		// The message still comes again, then in doubt.
		s.warn(s.troubles.ledgerFailed(err)).Err(wire.Unsent(err)).EmbedObject(d).Msg("the ledger does not have this delivery; the message comes again in doubt")
	}
	return true
}

// warn returns a log event: a warning, or a debug line if the cause is logged elsewhere.
func (s *settler) warn(elsewhere bool) *zerolog.Event {
	if elsewhere {
		return s.log.Debug()
	}
	return s.log.Warn()
}

func (s *settler) nak(d *delivery, delay time.Duration) {
	if err := d.msg.Nak(delay); err != nil {
		s.log.Warn().Err(wire.Unsent(err)).EmbedObject(d).Msg("the message could not be put back; it comes again after AckWait")
	}
}

// deadLetter stores the dead letter. If that fails, it puts the message back: the message
// leaves the stream only when its dead letter is stored.
func (s *settler) deadLetter(ctx context.Context, d *delivery, v verdict) bool {
	if _, ok := s.mine(d.msg); !ok && !s.write(ctx, d, stateOf(v)) {
		return false // another worker has it
	}
	if err := s.deadLetters.store(ctx, d, v); err != nil {
		s.troubles.deadLettersFailed(err)
		s.log.Debug().Err(wire.Unsent(err)).EmbedObject(d).Str("reason", string(v.reason)).Msg("the dead letter could not be stored; the message is kept")
		if s.write(ctx, d, stateOf(v)) {
			s.nak(d, putBackDelay)
		}
		return false
	}
	s.troubles.deadLettersStored()
	s.report(ctx, d, v)
	return true
}

// stateOf returns what the ledger keeps of a message whose dead letter could not be
// stored. The next delivery finds the reason again; a doubt stays a doubt.
func stateOf(v verdict) ledger.State {
	switch v.reason {
	case messages.ReasonDoubt:
		return ledger.InDoubt
	case messages.ReasonPoison:
		return ledger.LostWorker
	case messages.ReasonInvalid, messages.ReasonExpired, messages.ReasonRejected, messages.ReasonLimited,
		messages.ReasonUndeliverable, messages.ReasonMisconfigured:
	}
	return ledger.Retrying
}

// takeOut takes a message out of the stream: by a term if it is dead, otherwise by an ack.
// It does not wait for the confirmation; if none comes, it retries the ack. A message that
// waits for its confirmation holds no slot, unless as many messages as there are slots
// already wait. Without a slot, done is called before the ack: an ack that fails at once
// puts the message in flight again, and done takes it out.
func (s *settler) takeOut(ctx context.Context, d *delivery, v verdict, done func()) {
	s.settling.Add(1)
	early := s.unconfirmed.Add(1) <= int64(s.slots)
	settled := func() {
		s.unconfirmed.Add(-1)
		if !early {
			done()
		}
		s.settling.Done()
	}
	retry := func(err error) {
		go func() {
			defer settled()
			s.retryAck(ctx, d, v.reason, err)
		}()
	}
	if v.action == actDone || v.action == actSuperseded {
		// If the message comes again, there is still nothing to do. The ledger's entry
		// stays as it is: it may belong to a newer publish.
		retry = func(error) { settled() }
	}
	if early {
		done()
	}
	if _, ok := s.mine(d.msg); !ok {
		retry(errNotMine) // its ack could end another worker's delivery, or do nothing
		return
	}
	s.ack(d, v.reason, func(err error) {
		if err != nil {
			retry(err)
			return
		}
		s.cleaner.Settled(&d.record)
		settled()
	})
}

// ack acks a message, or terminates it for a reason.
func (s *settler) ack(d *delivery, reason messages.Reason, done func(error)) {
	if reason == "" {
		s.acks.Ack(d.msg, done)
		return
	}
	s.acks.Term(d.msg, string(reason), done)
}

var errNotMine = errors.New("another worker may have the message by now")

// retryAckFor is how long a worker tries to confirm or write down that a message is done.
// While it tries, the message does not have to become one in doubt.
const retryAckFor = 2 * time.Minute

// retryAck handles a message whose ack the server has not confirmed: it writes to the
// ledger that the message is done, or acks it again. It tries until the ledger or the
// server has confirmed, or ctx ends, since no other worker knows. Meanwhile the message
// stays this worker's.
func (s *settler) retryAck(ctx context.Context, d *delivery, reason messages.Reason, err error) {
	s.log.Warn().Err(wire.Unsent(err)).EmbedObject(d).Msg("settled, but the server has not confirmed the ack; writing it to the ledger")
	retries := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(retryAckFor))
	s.inFlight.add(d.msg)
	defer s.inFlight.remove(d.msg)
	err = backoff.Retry(func() error {
		err := s.writeSettled(context.WithoutCancel(ctx), d, reason)
		if errors.Is(err, ledger.ErrLost) {
			return nil // the worker that has it finds out itself
		}
		if err == nil {
			s.ack(d, reason, func(error) {}) // if it arrives, the message does not come again
			return nil
		}
		confirmed := make(chan error, 1)
		s.ack(d, reason, func(err error) { confirmed <- err })
		if <-confirmed == nil {
			s.cleaner.Settled(&d.record)
			return nil
		}
		return err
	}, backoff.WithContext(retries, ctx))
	if err != nil {
		s.log.Error().Err(wire.Unsent(err)).EmbedObject(d).Msg("settled, but neither the server nor the ledger has confirmed it: the message may come again in doubt")
	}
}

// writeSettled writes to the ledger that a message is done. If it was sent, this
// overwrites any entry. If it is dead, this fails if another worker has the message, since
// that worker may still send it.
func (s *settler) writeSettled(ctx context.Context, d *delivery, reason messages.Reason) error {
	d.identify()
	if reason == "" {
		return s.ledger.WriteSent(ctx, &d.record, d.entry(ledger.Sent))
	}
	return s.ledger.Write(ctx, &d.record, d.entry(ledger.Sent))
}

// panicked decides about a message on which codeferry panicked. That counts as a lost
// worker: the third one makes the message poison, whatever the stage.
func (s *settler) panicked(ctx context.Context, d *delivery) verdict {
	if d.record.Revision == 0 { // the ledger was not read, or has no entry
		d.identify()
		r := d.record
		// An entry of this delivery or of a later one belongs to another worker.
		if e, err := s.ledger.Read(ctx, &r); err == nil && e != nil && e.Place == d.place && e.OfEarlierDelivery(&r) {
			tried := d.history
			d.recall(e)
			d.record, d.history = r, append(d.history, tried...)
		}
	}
	d.doubts++
	d.inDoubt = true
	if d.doubts >= maxDoubts {
		return dead(d, messages.ReasonPoison, poisonByPanic)
	}
	if !s.write(ctx, d, ledger.Panicked) {
		return verdict{action: actDrop, detail: "it panicked here, and another worker has the message"}
	}
	return verdict{action: actPutBack, delay: panicDelay}
}

const (
	// panicDelay is how long a message waits after a panic.
	panicDelay    = time.Second
	poisonByPanic = "codeferry failed three times while it worked on the message; the log has the stack"
)

// afterPanic handles a message whose settling panicked. It puts the message back without a
// write to the ledger, so that it counts as one whose worker was lost. If that has
// happened too often, it stores a dead letter without the message.
func (s *settler) afterPanic(ctx context.Context, d *delivery, done func()) {
	defer done()
	defer func() {
		if r := recover(); r != nil {
			s.nak(d, 30*time.Second)
		}
	}()
	if d.doubts < maxDoubts {
		s.nak(d, panicDelay)
		return
	}
	v := dead(d, messages.ReasonPoison, poisonByPanic)
	if err := s.deadLetters.storeBare(ctx, d, v); err != nil {
		s.troubles.deadLettersFailed(err)
		s.log.Debug().Err(wire.Unsent(err)).EmbedObject(d).Msg("the dead letter could not be stored; the message is kept")
		s.nak(d, putBackDelay)
		return
	}
	s.takeOut(ctx, d, v, func() {})
	s.report(ctx, d, v)
}

// reap stores a dead letter for a message that no consumer hands out, and deletes the
// message from the stream.
func (s *settler) reap(ctx context.Context, d *delivery, v verdict) error {
	if err := s.deadLetters.store(ctx, d, v); err != nil {
		s.troubles.deadLettersFailed(err)
		return err
	}
	if err := s.remove(ctx, d.place.Sequence); err != nil {
		return err // its next dead letter is a duplicate of this one
	}
	s.report(ctx, d, v)
	return nil
}
