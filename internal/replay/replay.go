// Package replay sends dead letters' messages again: once each, and only if the code is still
// of use to its recipient.
//
// A replay goes back to the message's subject with the same id, an epoch that is one higher
// and a new Nats-Msg-Id. The stream stores it only if no other message waits for the same
// subject. The dead letter is deleted when the stream has the replay. After an interruption,
// the epoch identifies a replay that was already stored: in an outcome, or in the stream.
package replay

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/time/rate"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender/redact"
)

// Options say what to replay, and how.
type Options struct {
	// Filter chooses the dead letters.
	Filter archive.Filter
	// DryRun only decides, and changes nothing.
	DryRun bool
	// Doubt also replays messages that may have been sent: the reasons doubt and poison.
	Doubt bool
	// Extend makes expired codes valid for this long from now. Default: they are refused.
	Extend time.Duration
	// Reissue asks the auth service for a new code if the old one has expired.
	Reissue bool
	// Rate is the most replays a second. Default: no limit.
	Rate float64
	// Progress is called after each dead letter, with the number of finished ones and the
	// total. Several goroutines call it, one at a time. Default: no call.
	Progress func(done, all int)
	// Each hears what became of each letter, or would, and for Refused the service's reason, as
	// one line without addresses. It is called by several goroutines, one at a time, before
	// Progress. Default: nobody.
	Each func(l archive.Letter, d Decision, reason string)
	// Now is the clock. Default: time.Now.
	Now func() time.Time
}

// Decision is the result for a dead letter.
type Decision string

// The decisions. Replayed, Reissued and AlreadyReplayed delete the dead letter; with any other
// it stays.
const (
	Replayed Decision = "replayed"
	Reissued Decision = "reissued"
	// AlreadyReplayed: an interrupted replay had already stored the message.
	AlreadyReplayed Decision = "already replayed"
	// Expired: its code has expired.
	Expired Decision = "expired"
	// Replaced: a newer code was published for the same subject.
	Replaced Decision = "replaced by a newer code"
	// Delivered: it was sent after all.
	Delivered Decision = "delivered meanwhile"
	// InDoubt: it may have been sent.
	InDoubt Decision = "in doubt"
	// Invalid: it can never be sent.
	Invalid Decision = "invalid"
	// NotKept: the dead letter holds no message, because the worker had no sealing key, or
	// because the code had expired.
	NotKept Decision = "not kept"
	// NoSubject: its subject showed the recipient, and was not kept.
	NoSubject Decision = "subject not kept"
	// Blocked: the stream has seen its Nats-Msg-Id on another message.
	Blocked Decision = "its id is taken"
	// TooBig: sealed, it is larger than the stream allows, so it was not kept or can't be sent.
	TooBig Decision = "too big"
	// NobodyListens: no auth service answered the request for a new code.
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

// Report counts the dead letters by decision.
type Report map[Decision]int

// Total counts all.
func (r Report) Total() int {
	n := 0
	for _, count := range r {
		n += count
	}
	return n
}

// workers is the number of dead letters that are processed at once.
const workers = 64

// apiTimeout limits each step with the server.
const apiTimeout = 10 * time.Second

// Run replays dead letters. It blocks until it has processed all that were stored when it
// began. It ends early with ctx or with the first error; then it finishes those in progress,
// and the report covers all that are done.
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
	if !o.DryRun { // deciding needs neither
		if r.remover, err = archive.NewRemover(ctx, js); err != nil {
			return r.report, err
		}
		if r.stream, err = js.Stream(ctx, wire.StreamName); err != nil {
			return r.report, fmt.Errorf("open %s: %w", wire.StreamName, err)
		}
	}
	work, end := archive.Finish(ctx)
	defer end()
	err = archive.Each(ctx, js, o.Filter, workers, func(ctx context.Context, l archive.Letter) error { return r.letter(ctx, work, l) })
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

	// all is the number of wanted dead letters.
	all int

	mu     sync.Mutex
	report Report
}

func (r *run) count(l archive.Letter, d Decision, reason string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.report[d]++
	if r.opts.Each != nil {
		r.opts.Each(l, d, reason)
	}
	if r.opts.Progress != nil {
		r.opts.Progress(r.report.Total(), r.all)
	}
}

// letter decides about one dead letter and carries the decision out. work is the context of
// what has begun. If the message was published and its dead letter could not be erased, the
// message still counts.
func (r *run) letter(ctx, work context.Context, l archive.Letter) error {
	d := r.decide(l)
	if r.limit != nil && !r.opts.DryRun && (d == Replayed || d == Reissued) {
		if err := r.limit.Wait(ctx); err != nil {
			return err
		}
		d = r.decide(l) // again, because the wait may have been long
	}
	var reason string
	var err error
	if !r.opts.DryRun {
		d, err = r.do(work, l, d)
	}
	if refused, ok := errors.AsType[*wire.ReissueRefusedError](err); ok {
		d, reason, err = Refused, withoutCodes(refused.Reason), nil
	}
	if d != "" {
		r.count(l, d, reason)
	}
	return err
}

// code is what a code of digits looks like.
var code = regexp.MustCompile(`\b\d{4,10}\b`)

// withoutCodes returns a service's sentence as one line without addresses, and without what may be
// a code: it should hold neither (docs/wire.md).
func withoutCodes(reason string) string {
	return code.ReplaceAllString(redact.New(redact.Values{}).Line(reason), redact.Marker)
}

// decide decides about a dead letter from what is known here.
func (r *run) decide(l archive.Letter) Decision {
	subject, err := wire.ParseSubject(l.Subject)
	if err != nil || subject.Key == wire.HiddenKey {
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
		switch {
		case r.opts.Reissue:
			return Reissued
		case r.opts.Extend > 0 && l.Dropped == messages.DroppedTooBig:
			return TooBig
		case r.opts.Extend > 0:
			return NotKept
		}
		return Expired
	case l.Dropped == messages.DroppedTooBig:
		return TooBig
	case len(l.Body) == 0:
		return NotKept
	}
	return Replayed
}

func (r *run) expired(l archive.Letter) bool {
	return l.ExpiresAt != nil && !r.opts.Now().Before(*l.ExpiresAt)
}

// do carries a decision out. An answer of the server can change the decision. It is empty if
// nothing was done.
func (r *run) do(work context.Context, l archive.Letter, d Decision) (Decision, error) {
	if d == Replayed || d == Reissued {
		ctx, cancel := context.WithTimeout(work, apiTimeout)
		defer cancel()
		var err error
		if d == Reissued {
			r.asking <- struct{}{}
			defer func() { <-r.asking }()
			ctx, cancel := context.WithTimeout(work, apiTimeout) // waiting for a turn must not count
			defer cancel()
			d, err = r.reissue(ctx, l)
		} else {
			d, err = r.publish(ctx, l)
		}
		if err != nil {
			return "", err
		}
	}
	if d == Replayed || d == Reissued || d == AlreadyReplayed {
		ctx, cancel := context.WithTimeout(work, apiTimeout)
		defer cancel()
		return d, r.remover.Remove(ctx, l)
	}
	return d, nil
}

// codeTooBig is the server's code for a message beyond the stream's MaxMsgSize
// (JSStreamMessageExceedsMaximumErr).
const codeTooBig = 10054

// publish sends a dead letter's message back to its subject, unless a newer code waits there,
// or has just been there.
//
// A newer code's outcome is published before the stream removes the code. So if the stream
// says that nothing waits, the outcome of an earlier waiting code has arrived on this
// connection before that answer.
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
	msg.Header.Set(wire.EpochHeader, strconv.Itoa(l.Epoch+1))
	if l.TraceParent != "" {
		msg.Header.Set(wire.TraceParentHeader, l.TraceParent)
	}
	// If another message waits, it is a newer code or this replay.
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
			d = Replaced // a newer code has just been there
		}
		return d, err
	}
	return "", fmt.Errorf("replay %s: %w", l.ID, err)
}

// body returns a dead letter's message: unchanged, with the code's expiry added, or with a
// later expiry.
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

// duplicate decides whether the duplicate in the stream is this dead letter's replay: then it
// waits, or its result is known. Otherwise the dead letter stays.
func (r *run) duplicate(ctx context.Context, l archive.Letter, sequence uint64) (Decision, error) {
	m, err := r.stream.GetMsg(ctx, sequence)
	switch {
	case err == nil && m.Subject == l.Subject:
		return AlreadyReplayed, nil
	case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
		return "", fmt.Errorf("replay %s: read its duplicate: %w", l.ID, err)
	}
	if err := r.known.catchUp(); err != nil {
		return "", err
	}
	if r.known.fate(l) == fateReplayed {
		return AlreadyReplayed, nil
	}
	return Blocked, nil
}

// replayID is the Nats-Msg-Id of a dead letter's replay.
func replayID(l archive.Letter) string {
	return l.ID + "." + strconv.Itoa(l.Epoch+1) + "." + strconv.FormatUint(l.Sequence, 10)
}

// whatWaits returns the decision if a message in the stream prevents a replay, or "" if no
// message waits for the subject.
func (r *run) whatWaits(ctx context.Context, l archive.Letter) (Decision, error) {
	m, err := r.stream.GetLastMsgForSubject(ctx, l.Subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("replay %s: read the waiting message: %w", l.ID, err)
	case m.Header.Get(jetstream.MsgIDHeader) == replayID(l):
		return AlreadyReplayed, nil
	}
	return Replaced, nil
}

// reissuers is the number of requests for new codes at once. It is small because an auth
// service answers them one by one, and each in time.
const reissuers = 4

// reissue asks the auth service for a new code.
func (r *run) reissue(ctx context.Context, l archive.Letter) (Decision, error) {
	subject, err := wire.ParseSubject(l.Subject)
	if err != nil {
		return "", fmt.Errorf("reissue %s: %w", l.ID, err)
	}
	err = wire.RequestReissue(ctx, r.nc, messages.Reissue{
		ID: l.ID, App: subject.App, Channel: subject.Channel, Type: subject.Type, Key: subject.Key, To: l.To, DeadAt: l.DeadAt,
	})
	switch {
	case errors.Is(err, wire.ErrNobodyListens):
		return NobodyListens, nil
	case err != nil:
		return "", fmt.Errorf("reissue %s: %w", l.ID, err)
	}
	return Reissued, nil
}
