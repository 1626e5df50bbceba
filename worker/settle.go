package worker

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// verdict is what the stages decided about a message.
type verdict struct {
	status  messages.Status
	receipt sender.Receipt
	// err is why the last attempt failed.
	err *sender.Error
	// reason and detail are a dead letter's.
	reason messages.Reason
	detail string
	// connector is the one that sent it, where that was found by asking.
	connector string
	// delay is how long a message waits for its next attempt.
	delay time.Duration
}

// Verdicts that are no outcome: the message's story does not go on by them.
const (
	// statusSettled: it was sent before, and only its ack was missing.
	statusSettled messages.Status = "settled"
	// statusOvertaken: a newer code has replaced it.
	statusOvertaken messages.Status = "overtaken"
	// statusParked: it is to wait, and nothing has happened to it.
	statusParked messages.Status = "parked"
	// statusInDoubt: it is not known yet whether it was sent.
	statusInDoubt messages.Status = "in doubt"
	// statusHandBack: nothing could be found out; later, then.
	statusHandBack messages.Status = "handed back"
)

func dead(reason messages.Reason, detail string) verdict {
	return verdict{status: messages.StatusDead, reason: reason, detail: detail}
}

// shortWindow is the longest flow-control window that a message waits for.
const shortWindow = time.Minute

// decide says what becomes of a message after an attempt that failed. It goes
// by the error's class and nothing else.
func (l *lane) decide(d *delivery, err *sender.Error) verdict {
	v := verdict{err: err, status: messages.StatusRetrying, delay: l.backoff(len(d.history))}
	exhausted := dead(messages.ReasonUndeliverable, fmt.Sprintf("all %d attempts failed; the last: %s", l.opts.Config.Worker.Retry.MaxAttempts, said(err)))
	switch err.Class {
	case sender.Permanent:
		v.status, v.reason, v.detail = messages.StatusDead, messages.ReasonRejected, said(err)
		if err.Code == sender.CodeInvalid {
			v.reason, v.detail = messages.ReasonInvalid, err.Detail
		}
		return v
	case sender.RecipientLimited:
		if err.RetryAfter <= 0 || err.RetryAfter > shortWindow {
			return dead(messages.ReasonLimited, said(err)).because(err)
		}
		v.delay = err.RetryAfter
	case sender.Throttled, sender.Unavailable:
		v.delay = max(v.delay, err.RetryAfter)
		if l.attemptsUsed(d) {
			return exhausted.because(err)
		}
	case sender.Unknown:
		return l.doubted(d, v, err)
	case sender.Misconfigured, sender.AccountDown:
		// These cost no attempt: the message is fine, and waits for an operator.
		if chain, _ := l.route(d); len(chain) > 0 {
			v.delay = max(v.delay, spread(reopens(chain)))
		}
	}
	if next := l.opts.Now().Add(v.delay); !next.Before(d.expiresAt) {
		return dead(messages.ReasonExpired, l.tooLate(d, err)).because(err)
	}
	return v
}

// said returns what the provider said; its class is what was made of it.
func said(err *sender.Error) string {
	if err.Code == "" {
		return err.Detail
	}
	return err.Code + ": " + err.Detail
}

// doubted says what becomes of a message whose attempt may have been accepted.
func (l *lane) doubted(d *delivery, v verdict, err *sender.Error) verdict {
	v.status = messages.StatusUnknown
	d.doubtSince = l.opts.Now()
	suspects := l.suspects(d)
	if len(suspects) == 0 {
		return dead(messages.ReasonDoubt, "whether it was sent is not known, and the configuration has no way for it: "+said(err)).because(err)
	}
	c := suspects[0]
	if _, ok := c.sender.(sender.Asker); ok {
		// It is asked about however many attempts it has had, and whether or not its
		// code expires meanwhile; the next attempt comes after the grace and the backoff.
		d.doubtUntil = d.doubtSince.Add(c.askGrace + max(v.delay, err.RetryAfter))
		v.delay = c.askFirst()
		return v
	}
	if c.onDoubt == config.Dead {
		return dead(messages.ReasonDoubt, fmt.Sprintf("whether connector %s has sent it is not known, and its onDoubt is dead; it said: %s", c.name, said(err))).because(err)
	}
	if l.attemptsUsed(d) {
		return dead(messages.ReasonDoubt, fmt.Sprintf("all %d attempts failed, and one of them may have sent it; the last: %s", l.opts.Config.Worker.Retry.MaxAttempts, said(err))).because(err)
	}
	v.delay = max(v.delay, err.RetryAfter)
	if next := l.opts.Now().Add(v.delay); !next.Before(d.expiresAt) {
		return dead(messages.ReasonExpired, l.tooLate(d, err)).because(err)
	}
	return v
}

// tooLate says that no attempt can come in time.
func (*lane) tooLate(d *delivery, err *sender.Error) string {
	return fmt.Sprintf("the code expires at %s, before another attempt could be made; the last: %s", d.expiresAt.UTC().Format(time.RFC3339), said(err))
}

func (v verdict) because(err *sender.Error) verdict {
	v.err = err
	return v
}

// attemptsUsed tells whether a message has had its attempts. Those that failed
// for the operator's sake do not count.
func (l *lane) attemptsUsed(d *delivery) bool {
	n := 0
	for _, a := range d.history {
		if a.Class != sender.Misconfigured.String() && a.Class != sender.AccountDown.String() {
			n++
		}
	}
	return n >= l.opts.Config.Worker.Retry.MaxAttempts
}

// backoff returns the wait after the nth failure.
func (l *lane) backoff(n int) time.Duration {
	r := l.opts.Config.Worker.Retry
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.InitialInterval), backoff.WithMultiplier(r.Multiplier),
		backoff.WithMaxInterval(r.MaxInterval), backoff.WithRandomizationFactor(r.RandomizationFactor),
		backoff.WithMaxElapsedTime(0))
	wait := b.NextBackOff()
	for range n - 1 {
		wait = b.NextBackOff()
	}
	return wait
}

// handBackDelay is how long a message waits that could not be settled: long
// enough for what is broken to come back, short enough for who waits for it.
const handBackDelay = 2 * time.Second

// settle does what was decided. It is the only place that acks, naks or
// dead-letters a message, and the order in it is what keeps the promises: word
// of it is stored first, and the message let go of last. It calls done once, when the
// slot may take another message; that may be after it has returned.
func (l *lane) settle(ctx context.Context, d *delivery, v verdict, done func()) {
	working := ctx
	ctx = context.WithoutCancel(ctx) // what was done is written down, also at the shutdown
	switch v.status {
	case messages.StatusSent:
		l.story(d, v)
		l.letGo(working, d, wordAck, done)
		return
	case statusSettled, statusOvertaken:
		l.letGo(working, d, wordAck, done)
		return
	case messages.StatusDead:
		if l.bury(ctx, d, v) {
			l.letGo(working, d, wordTerm+string(v.reason), done)
			return
		}
	case messages.StatusRetrying:
		l.handBack(ctx, d, v, stateRetrying)
	case messages.StatusUnknown:
		l.handBack(ctx, d, v, stateUnknown)
	case statusParked:
		l.opts.Metrics.parked.WithLabelValues(string(l.channel)).Inc()
		if err := l.ledger.write(ctx, d, stateReleased); err != nil {
			l.log.Warn().Err(err).Str("id", d.id).Msg("put aside, and the next worker will take it for one in doubt")
		}
		l.nak(d, max(time.Millisecond, min(v.delay, d.expiresAt.Sub(l.opts.Now()))))
	case statusInDoubt:
		if err := l.ledger.write(ctx, d, stateUnknown); err != nil {
			l.log.Warn().Err(err).Str("id", d.id).Msg("in doubt, and the next worker will take it for lost")
		}
		l.nak(d, v.delay)
	case statusHandBack:
		l.log.Warn().Str("id", d.id).Str("why", v.detail).Msg("handed back for a moment")
		l.nak(d, handBackDelay)
	default:
		panic("settle: no verdict " + string(v.status))
	}
	done()
}

// letGo takes a message out of the stream by a word, without waiting for the
// confirmation; where none comes, it insists. done is called once the word is on its
// way: what the server is to confirm holds no slot, unless as many messages as there
// are slots wait for that already.
func (l *lane) letGo(ctx context.Context, d *delivery, word string, done func()) {
	l.settling.Add(1)
	early := l.unconfirmed.Add(1) <= int64(len(l.slots))
	settled := func() {
		l.unconfirmed.Add(-1)
		if !early {
			done()
		}
		l.settling.Done()
	}
	l.confirm.ask(d.msg, word, func(err error) {
		if err != nil {
			go func() {
				defer settled()
				l.insist(ctx, d, word, err)
			}()
			return
		}
		l.forget.settled(d.claim)
		settled()
	})
	if early {
		done()
	}
}

// insistence is how long a worker keeps at telling that it is done with a
// message: while it lives, nobody has to be in doubt.
const insistence = 2 * time.Minute

// insist has the ledger tell the next worker that nothing is left to do for a
// message, where the server has not confirmed that it is taken out; or has it taken
// out after all. It tries until one of them knows, since nobody else does; ctx ends
// the trying.
func (l *lane) insist(ctx context.Context, d *delivery, word string, err error) {
	l.log.Warn().Err(err).Str("id", d.id).Msg("settled, but the server has not confirmed it; the ledger is to say so")
	l.kept.add(d.msg)
	defer l.kept.remove(d.msg)
	again := backoff.NewExponentialBackOff(backoff.WithInitialInterval(50*time.Millisecond),
		backoff.WithMaxInterval(time.Second), backoff.WithMaxElapsedTime(insistence))
	err = backoff.Retry(func() error {
		err := l.ledger.write(context.WithoutCancel(ctx), d, stateSent)
		if err != nil && l.confirm.askAndWait(d.msg, word) == nil {
			l.forget.settled(d.claim)
			return nil
		}
		return err
	}, backoff.WithContext(again, ctx))
	if err != nil {
		l.log.Error().Err(err).Str("id", d.id).Msg("settled, and nothing says so: the message may come again in doubt")
	}
}

// handBack tells and writes down why a message comes again, and then lets it come
// again.
func (l *lane) handBack(ctx context.Context, d *delivery, v verdict, s state) {
	l.story(d, v)
	if err := l.ledger.write(ctx, d, s); err != nil {
		// It comes again all the same, then as one in doubt.
		l.log.Warn().Err(err).Str("id", d.id).Msg("the next attempt will know nothing of this one")
	}
	l.nak(d, v.delay)
}

func (l *lane) nak(d *delivery, delay time.Duration) {
	if err := d.msg.nak(delay); err != nil {
		l.log.Warn().Err(err).Str("id", d.id).Msg("not handed back; it comes again when the server stops waiting for it")
	}
}

// bury stores the dead letter. Where the server does not have it, the message is
// handed back: it is let go of only when it has.
func (l *lane) bury(ctx context.Context, d *delivery, v verdict) (buried bool) {
	if err := l.storeDeadLetter(ctx, d, v); err != nil {
		l.log.Error().Err(err).Str("id", d.id).Str("reason", string(v.reason)).Msg("the dead letter could not be stored; the message is kept")
		l.keep(ctx, d, v)
		return false
	}
	l.story(d, v)
	return true
}

// keep hands a message back whose dead letter could not be stored. What made it
// dead is found again; a doubt stays one.
func (l *lane) keep(ctx context.Context, d *delivery, v verdict) {
	s := stateRetrying
	switch v.reason {
	case messages.ReasonDoubt:
		s = stateUnknown
	case messages.ReasonPoison:
		s = stateDoubt
	case messages.ReasonInvalid, messages.ReasonExpired, messages.ReasonRejected, messages.ReasonLimited,
		messages.ReasonUndeliverable, messages.ReasonMisconfigured:
	}
	if err := l.ledger.write(ctx, d, s); err != nil {
		l.log.Warn().Err(err).Str("id", d.id).Msg("the next delivery will know nothing of this one")
	}
	l.nak(d, handBackDelay)
}

func (l *lane) storeDeadLetter(ctx context.Context, d *delivery, v verdict) error {
	letter := l.deadLetter(d, v)
	if err := l.keepMessage(d, letter); err != nil {
		return fmt.Errorf("seal the message: %w", err)
	}
	body, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("encode the dead letter: %w", err)
	}
	msg := nats.NewMsg(messages.DeadSubject(d.subject.App, l.channel, v.reason))
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, letter.MsgID())
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	ack, err := l.js.PublishMsg(ctx, msg)
	if err == nil && ack.Duplicate && !l.sameLetter(ctx, ack.Sequence, letter) {
		// Another message bears the same id; this one's letter is not to be lost for it.
		msg.Header.Set(jetstream.MsgIDHeader, fmt.Sprintf("%s.%d", letter.MsgID(), d.sequence))
		_, err = l.js.PublishMsg(ctx, msg)
	}
	if err != nil {
		return fmt.Errorf("store the dead letter: %w", err)
	}
	return nil
}

// sameLetter tells whether the letter that stands already is of the same message:
// then an earlier delivery stored it. One that can't be read is taken for another.
func (l *lane) sameLetter(ctx context.Context, sequence uint64, letter *messages.DeadLetter) bool {
	s, err := l.js.Stream(ctx, messages.DeadName)
	if err != nil {
		return false
	}
	m, err := s.GetMsg(ctx, sequence)
	var stands messages.DeadLetter
	return err == nil && json.Unmarshal(m.Data, &stands) == nil && stands.Sequence == letter.Sequence
}

func (l *lane) deadLetter(d *delivery, v verdict) *messages.DeadLetter {
	letter := &messages.DeadLetter{
		ID: d.id, Epoch: d.epoch, App: d.subject.App, Channel: l.channel, Type: d.code.Type,
		Stream: messages.StreamName, Sequence: d.sequence,
		To: masked(d.code.To), Reason: v.reason, Detail: v.detail, Advice: v.reason.Advice(),
		Attempts: d.history, Deliveries: d.deliveries,
		CreatedAt: stamp(d.code.CreatedAt), StoredAt: d.storedAt.UTC(), ExpiresAt: stamp(d.expiresAt),
		DeadAt: l.opts.Now().UTC(), TraceParent: traceParent(d.msg),
	}
	letter.Subject = shownSubject(d.msg.Subject, d.code.To)
	if n := len(d.history); n > 0 {
		letter.Connector, letter.Code = d.history[n-1].Connector, d.history[n-1].Code
	}
	return letter
}

// traceContext is W3C's traceparent; anything else may be anything.
var traceContext = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

func traceParent(msg *message) string {
	if v := msg.Header.Get("traceparent"); traceContext.MatchString(v) {
		return v
	}
	return ""
}

func masked(to string) string {
	if to == "" {
		return ""
	}
	return messages.Mask(to)
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// release hands back a message that no slot has begun, at the shutdown.
func (l *lane) release(ctx context.Context, msg *message) {
	d := l.open(msg)
	if l.claims {
		l.nak(d, 0) // unclaimed by this worker: the ledger says all that is known
		return
	}
	s := stateReleased
	if d.deliveries > 1 {
		// What the ledger knows of it has to survive one delivery more.
		e, err := l.ledger.read(ctx, d)
		if err != nil || e == nil || e.Delivery != d.deliveries-1 || e.State != stateRetrying && e.State != stateReleased && e.State != stateUnknown {
			l.nak(d, 0)
			return
		}
		d.history, d.doubts, d.doubtSince, d.doubtUntil = e.History, e.Doubts, e.DoubtSince, e.DoubtUntil
		if e.State == stateUnknown {
			s = stateUnknown // handing it back resolves nothing
		}
	}
	if err := l.ledger.write(ctx, d, s); err != nil {
		l.log.Warn().Err(err).Str("id", d.id).Msg("handed back, and the next worker will take it for one in doubt")
	}
	l.nak(d, 0)
}
