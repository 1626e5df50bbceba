// Package messagestest has a fake publisher for the tests of services that publish codes.
// It needs no server.
//
// A service declares the interface that it uses, and takes either publisher:
//
//	type codePublisher interface {
//		Publish(ctx context.Context, s messages.Subject, m *messages.SendCode) (messages.Ack, error)
//	}
//
// See the example of [Publisher].
package messagestest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// Publisher is a fake of [messages.Publisher]. It records the messages, refuses the same
// messages as the real one with the same *[messages.FieldError], and fails as Fail and
// FailNext say. The zero value is ready to use. It is safe for concurrent use; set Options
// before the first publish.
type Publisher struct {
	// Options are the options of the real publisher. The fake uses Sealer and Now. It
	// records a sealed message as a worker reads it after opening.
	Options messages.PublisherOptions

	mu       sync.Mutex
	records  []record
	sequence uint64
	// once are the errors of the next publishes, one each. After them, always is the error
	// of every publish.
	once   []error
	always error
}

// Published is a message that the stream would have stored.
type Published struct {
	// Subject is the message's subject, with its defaults.
	Subject messages.Subject
	// Message is a copy as a worker reads it: with ID and CreatedAt, times in UTC, and the
	// numbers of the payload as json.Number.
	Message messages.SendCode
	// Sequence is its place in the stream, from 1.
	Sequence uint64
}

// record is a published message with its time.
type record struct {
	Published
	at time.Time
}

// duplicateWindow is how long the stream recognizes a duplicate by id and subject.
const duplicateWindow = 5 * time.Minute

// Publish checks and records a message. As with the real publisher, the same ID for the same
// subject within five minutes is a duplicate, and Publish does not record it again. If ctx
// has ended, the error wraps [messages.ErrInDoubt] and ctx's error, and Publish records
// nothing.
func (p *Publisher) Publish(ctx context.Context, s messages.Subject, m *messages.SendCode) (messages.Ack, error) {
	out, err := p.prepare(s, m)
	if err != nil {
		return messages.Ack{}, err
	}
	if err := ctx.Err(); err != nil {
		return messages.Ack{ID: out.Message.ID}, fmt.Errorf("publish %s: %w: %w", out.Message.ID, messages.ErrInDoubt, err)
	}
	return p.publish(out)
}

// PublishAsync checks and records a message at once. Of the errors set by Fail and FailNext
// it returns *[messages.FieldError], [messages.ErrNotConnected] and [messages.ErrNoAnswers]
// itself, like the real publisher. Wait returns the others.
func (p *Publisher) PublishAsync(s messages.Subject, m *messages.SendCode) (messages.Pending, error) {
	out, err := p.prepare(s, m)
	if err != nil {
		return nil, err
	}
	ack, err := p.publish(out)
	if wrong := (*messages.FieldError)(nil); errors.As(err, &wrong) || errors.Is(err, messages.ErrNotConnected) || errors.Is(err, messages.ErrNoAnswers) {
		return nil, err
	}
	return &pending{id: out.Message.ID, ack: ack, err: err}, nil
}

// Fail makes every publish fail with err, until Fail(nil). It takes [messages.ErrNoStream],
// [messages.ErrStreamFull], [messages.ErrNotConnected], [messages.ErrNoAnswers],
// [messages.ErrInDoubt], a *[messages.FieldError], or any other error. The publish returns an error that wraps it.
//
// With ErrInDoubt the message is recorded: the stream has stored it, and its acknowledgement
// was lost. If it is published again with its ID, it is a duplicate. With another ID it is a
// second message, as with the real publisher. With every other error nothing is recorded.
func (p *Publisher) Fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.always = err
}

// FailNext makes the next publishes fail, one with each of the errors, like [Publisher.Fail].
// With nil that publish succeeds. A publish of a wrong message does not count.
func (p *Publisher) FailNext(errs ...error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.once = append(p.once, errs...)
}

// Published returns the published messages, in the order of the stream.
func (p *Publisher) Published() []Published {
	p.mu.Lock()
	defer p.mu.Unlock()
	all := make([]Published, len(p.records))
	for i, r := range p.records {
		all[i] = r.Published
	}
	return all
}

// Reset removes the published messages and the errors. Sequences continue.
func (p *Publisher) Reset() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.records, p.once, p.always = nil, nil, nil
}

// prepare checks a message as the real publisher does, and returns what it would publish.
func (p *Publisher) prepare(s messages.Subject, m *messages.SendCode) (record, error) {
	msg, err := messages.NewMsg(s, m, p.Options)
	if err != nil {
		return record{}, err
	}
	subject, err := wire.ParseSubject(msg.Subject)
	if err != nil {
		return record{}, err
	}
	sent, err := wire.Decode(msg.Data, subject.Channel)
	if err != nil {
		return record{}, err
	}
	if sent.Sealed != nil && m.Sealed == nil { // record it as it is after opening
		given := *m
		given.ID, given.Type, given.CreatedAt = sent.ID, sent.Type, sent.CreatedAt
		body, err := given.Encode()
		if err != nil {
			return record{}, err
		}
		sent = new(messages.SendCode)
		if err := sent.UnmarshalJSON(body); err != nil {
			return record{}, err
		}
	}
	return record{Published{Subject: subject, Message: *sent}, p.now()}, nil
}

func (p *Publisher) now() time.Time {
	if p.Options.Now != nil {
		return p.Options.Now()
	}
	return time.Now()
}

// publish records a message, or fails as it was told to.
func (p *Publisher) publish(out record) (messages.Ack, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fail := p.always
	if len(p.once) > 0 {
		fail, p.once = p.once[0], p.once[1:]
	}
	ack := messages.Ack{ID: out.Message.ID}
	switch wrong := (*messages.FieldError)(nil); {
	case fail == nil:
		ack.Sequence, ack.Duplicate = p.store(out)
		return ack, nil
	case errors.As(fail, &wrong):
		return messages.Ack{}, fail
	case errors.Is(fail, messages.ErrInDoubt):
		p.store(out)
		return ack, fmt.Errorf("publish %s: %w", ack.ID, fail)
	}
	return ack, fmt.Errorf("publish a code (%s, app %s): %w", out.Subject.Channel, out.Subject.App, fail)
}

// store records a message unless it is a duplicate.
func (p *Publisher) store(out record) (sequence uint64, duplicate bool) {
	for _, before := range p.records {
		if before.Subject == out.Subject && before.Message.ID == out.Message.ID && out.at.Sub(before.at) < duplicateWindow {
			return before.Sequence, true
		}
	}
	p.sequence++
	out.Sequence = p.sequence
	p.records = append(p.records, out)
	return out.Sequence, false
}

// pending is a publish that has already ended.
type pending struct {
	id  string
	ack messages.Ack
	err error
}

func (w *pending) ID() string { return w.id }

func (w *pending) Wait(context.Context) (messages.Ack, error) { return w.ack, w.err }
