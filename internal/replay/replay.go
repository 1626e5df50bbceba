// Package replay sends dead letters' messages again: once each, and only those
// that are still of use to whoever waits for them.
//
// A replay goes back to its origin subject with its id, an epoch more and a
// Nats-Msg-Id of its own, and is stored only where no other message waits for the
// same subject. Its letter goes when the stream has it. What was begun and
// interrupted is found again by the epoch: as an outcome, or waiting.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

// Options say what is replayed, and how.
type Options struct {
	// Filter chooses the dead letters.
	Filter archive.Filter
	// DryRun decides, and does nothing.
	DryRun bool
	// Doubt replays also what may have been sent: the reasons doubt and poison.
	Doubt bool
	// Extend gives codes that have expired so much longer from now on. Default:
	// they are refused.
	Extend time.Duration
	// Reissue asks the auth service for a new code where the old one has expired.
	Reissue bool
	// Rate is the most replays a second. Default: no limit.
	Rate float64
	// Progress hears, after each letter, how many of how many are done. It is called
	// by several goroutines, one at a time. Default: nobody.
	Progress func(done, all int)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Decision is what becomes of a dead letter.
type Decision string

// The decisions. Those that are neither Replayed, Reissued nor AlreadyReplayed
// leave the letter where it is.
const (
	Replayed Decision = "replayed"
	Reissued Decision = "reissued"
	// AlreadyReplayed: an interrupted replay had come so far; its letter goes.
	AlreadyReplayed Decision = "already replayed"
	// Expired: its code is no longer good.
	Expired Decision = "expired"
	// Replaced: a newer code was published for the same subject.
	Replaced Decision = "replaced by a newer code"
	// Delivered: it was sent after all.
	Delivered Decision = "delivered meanwhile"
	// InDoubt: it may have been sent.
	InDoubt Decision = "in doubt"
	// Invalid: it could not be sent in any life.
	Invalid Decision = "invalid"
	// NotKept: the letter holds no message, for want of a sealing key.
	NotKept Decision = "not kept"
	// NoSubject: its subject showed the recipient, and was not kept.
	NoSubject Decision = "subject not kept"
	// Blocked: the stream has seen its Nats-Msg-Id on another message.
	Blocked Decision = "its id is taken"
	// TooBig: sealed, it is more than the stream takes.
	TooBig Decision = "too big"
	// NobodyListens: no auth service has taken the request for a new code.
	NobodyListens Decision = "nobody listens"
	// Refused: the auth service makes no new code.
	Refused Decision = "refused by the auth service"
)

// Decisions lists every decision, in the order in which they are shown.
func Decisions() []Decision {
	return []Decision{
		Replayed, Reissued, AlreadyReplayed, Expired, Replaced, Delivered, InDoubt, Invalid, NotKept, NoSubject, Blocked, TooBig, NobodyListens, Refused,
	}
}

// Report counts the letters by what became of them.
type Report map[Decision]int

// Total counts all.
func (r Report) Total() int {
	n := 0
	for _, count := range r {
		n += count
	}
	return n
}

// workers is how many letters are on their way at once.
const workers = 64

// apiTimeout bounds each step with the server.
const apiTimeout = 10 * time.Second

// Run replays dead letters. It blocks until all are done that were there at the
// beginning. ctx and the first error end it; what is under way is finished, and
// the report tells how far it came.
func Run(ctx context.Context, nc *nats.Conn, js jetstream.JetStream, o Options) (Report, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	r := &run{nc: nc, js: js, opts: o, report: make(Report), known: newKnown(), asking: make(chan struct{}, reissuers)}
	if o.Rate > 0 {
		r.limit = rate.NewLimiter(rate.Limit(o.Rate), 1)
	}
	if err := r.known.follow(nc); err != nil {
		return r.report, err
	}
	defer r.known.leave()
	var err error
	if r.all, err = r.known.learn(ctx, js, o.Filter); err != nil || r.all == 0 {
		return r.report, err
	}
	if r.remover, err = archive.NewRemover(ctx, js); err != nil {
		return r.report, err
	}
	if r.stream, err = js.Stream(ctx, messages.StreamName); err != nil {
		return r.report, fmt.Errorf("open %s: %w", messages.StreamName, err)
	}
	err = archive.Each(ctx, js, o.Filter, workers, r.letter)
	return r.report, err
}

type run struct {
	nc      *nats.Conn
	js      jetstream.JetStream
	opts    Options
	limit   *rate.Limiter
	known   *known
	asking  chan struct{}
	remover *archive.Remover
	stream  jetstream.Stream

	// all is how many letters are wanted.
	all int

	mu     sync.Mutex
	report Report
}

func (r *run) count(d Decision) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report[d]++
	if r.opts.Progress != nil {
		r.opts.Progress(r.report.Total(), r.all)
	}
}

// letter decides about one letter and does it.
func (r *run) letter(ctx context.Context, l archive.Letter) error {
	d := r.decide(l)
	if r.limit != nil && !r.opts.DryRun && (d == Replayed || d == Reissued) {
		if err := r.limit.Wait(ctx); err != nil {
			return err
		}
		d = r.decide(l) // the wait may have been long
	}
	if !r.opts.DryRun {
		var err error
		if d, err = r.do(context.WithoutCancel(ctx), l, d); err != nil {
			return err
		}
	}
	r.count(d)
	return nil
}

// decide says what is to become of a letter, as far as is known here.
func (r *run) decide(l archive.Letter) Decision {
	subject, err := messages.ParseSubject(l.Subject)
	if err != nil || subject.Key == messages.HiddenKey {
		return NoSubject
	}
	switch r.known.fate(l) {
	case fateReplayed:
		return AlreadyReplayed
	case fateDelivered:
		return Delivered
	case fateReplaced:
		return Replaced
	case fateUnknown:
		if !r.opts.Doubt {
			return InDoubt
		}
	case fateOpen:
	}
	switch {
	case (l.Reason == messages.ReasonDoubt || l.Reason == messages.ReasonPoison) && !r.opts.Doubt:
		return InDoubt
	case l.Dropped == messages.DroppedInvalid:
		return Invalid
	case l.Dropped == messages.DroppedExpired, r.expired(l) && (len(l.Body) == 0 || r.opts.Extend <= 0):
		if r.opts.Reissue {
			return Reissued
		}
		return Expired
	case len(l.Body) == 0:
		return NotKept
	}
	return Replayed
}

func (r *run) expired(l archive.Letter) bool {
	return l.ExpiresAt != nil && !r.opts.Now().Before(*l.ExpiresAt)
}

// do carries a decision out. What the server knows better changes it.
func (r *run) do(ctx context.Context, l archive.Letter, d Decision) (Decision, error) {
	if d == Replayed || d == Reissued {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		var err error
		if d == Reissued {
			r.asking <- struct{}{}
			defer func() { <-r.asking }()
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), apiTimeout) // the wait was not the service's
			defer cancel()
			d, err = r.reissue(ctx, l)
		} else {
			d, err = r.publish(ctx, l)
		}
		if err != nil {
			return d, err
		}
	}
	if d == Replayed || d == Reissued || d == AlreadyReplayed {
		ctx, cancel := context.WithTimeout(ctx, apiTimeout)
		defer cancel()
		return d, r.remover.Remove(ctx, l)
	}
	return d, nil
}

// codeTooBig is the server's code for a message beyond the stream's MaxMsgSize
// (JSStreamMessageExceedsMaximumErr).
const codeTooBig = 10054

// publish sends a letter's message back to where it came from, unless a newer one
// is waiting there, or was a moment ago.
//
// A newer code's outcome is published before the stream lets it go. So where the
// stream says that nothing waits, the outcome of whatever waited before is on this
// connection already, ahead of that answer.
func (r *run) publish(ctx context.Context, l archive.Letter) (Decision, error) {
	if d, err := r.whatWaits(ctx, l); d != "" || err != nil {
		return d, err
	}
	if err := r.known.catchUp(); err != nil {
		return "", err
	}
	if d := r.decide(l); d != Replayed {
		return d, nil
	}
	body, err := r.body(l)
	if err != nil {
		return "", fmt.Errorf("replay %s: %w", l.ID, err)
	}
	msg := nats.NewMsg(l.Subject)
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, replayID(l))
	msg.Header.Set(messages.EpochHeader, strconv.Itoa(l.Epoch+1))
	if l.TraceParent != "" {
		msg.Header.Set("traceparent", l.TraceParent)
	}
	// Where another message waits, it is newer, or this one already.
	ack, err := r.js.PublishMsg(ctx, msg, jetstream.WithExpectLastSequencePerSubject(0))
	var api *jetstream.APIError
	switch {
	case err == nil && ack.Duplicate:
		return r.duplicate(ctx, l, ack.Sequence)
	case err == nil:
		return Replayed, nil
	case errors.Is(err, nats.ErrMaxPayload), errors.As(err, &api) && api.ErrorCode == codeTooBig:
		return TooBig, nil
	case errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence:
		d, err := r.whatWaits(ctx, l)
		if d == "" {
			d = Replaced // it was there a moment ago
		}
		return d, err
	}
	return "", fmt.Errorf("replay %s: %w", l.ID, err)
}

// body returns a letter's message: as it is stored, with the time at which its code
// expires, or with more of it.
func (r *run) body(l archive.Letter) ([]byte, error) {
	if !r.expired(l) {
		return l.Body, nil
	}
	var m messages.SendCode
	if err := json.Unmarshal(l.Body, &m); err != nil {
		return nil, err
	}
	m.ExpiresAt = r.opts.Now().Add(r.opts.Extend).UTC()
	return m.Encode()
}

// duplicate tells whether it is this letter's message that the stream had before:
// it waits, or what became of it is known. Otherwise the letter stays.
func (r *run) duplicate(ctx context.Context, l archive.Letter, sequence uint64) (Decision, error) {
	m, err := r.stream.GetMsg(ctx, sequence)
	switch {
	case err == nil && m.Subject == l.Subject:
		return AlreadyReplayed, nil
	case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
		return "", fmt.Errorf("replay %s: look at its duplicate: %w", l.ID, err)
	}
	if err := r.known.catchUp(); err != nil {
		return "", err
	}
	if r.known.fate(l) == fateReplayed {
		return AlreadyReplayed, nil
	}
	return Blocked, nil
}

// replayID is the Nats-Msg-Id of a letter's replay.
func replayID(l archive.Letter) string {
	return l.ID + "." + strconv.Itoa(l.Epoch+1) + "." + strconv.FormatUint(l.Sequence, 10)
}

// whatWaits says what stands against a replay in the stream; nothing where no
// message waits for the subject.
func (r *run) whatWaits(ctx context.Context, l archive.Letter) (Decision, error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, l.Subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("replay %s: look at what waits: %w", l.ID, err)
	case m.Header.Get(jetstream.MsgIDHeader) == replayID(l):
		return AlreadyReplayed, nil
	}
	return Replaced, nil
}

// reissuers is how many requests for new codes are on their way at once: an auth
// service answers them one by one, and each has to be answered in time.
const reissuers = 4

// reissue asks the auth service for a new code.
func (r *run) reissue(ctx context.Context, l archive.Letter) (Decision, error) {
	subject, err := messages.ParseSubject(l.Subject)
	if err != nil {
		return "", fmt.Errorf("reissue %s: %w", l.ID, err)
	}
	err = messages.RequestReissue(ctx, r.nc, messages.Reissue{
		ID: l.ID, App: subject.App, Channel: subject.Channel, Type: subject.Type, Key: subject.Key, To: l.To, DeadAt: l.DeadAt,
	})
	switch {
	case errors.Is(err, messages.ErrNobodyListens):
		return NobodyListens, nil
	case errors.Is(err, messages.ErrReissueRefused):
		return Refused, nil
	case err != nil:
		return "", fmt.Errorf("reissue %s: %w", l.ID, err)
	}
	return Reissued, nil
}
