package worker

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// delivery is one message in a worker's hands, and what its stages found out.
type delivery struct {
	msg *message
	// received is when it came.
	received time.Time

	subject messages.Subject
	// wrong is what the subject or the body lacks.
	wrong error
	code  *messages.SendCode
	id    string
	// epoch counts the message's replays.
	epoch int
	app   config.App
	// appKnown is false for an app that the configuration does not have.
	appKnown bool

	sequence   uint64
	deliveries uint64
	// behind is how many messages of the channel were waiting when this one was
	// handed out; they are all newer than any that was never handed out before.
	behind    uint64
	storedAt  time.Time
	expiresAt time.Time

	// history is every attempt of the message, also those of earlier deliveries
	// and of other workers.
	history []messages.Attempt
	// doubts counts the deliveries whose worker was never heard of again.
	doubts int
	// claim is the ledger's revision of the message's entry, as far as this worker
	// has written it.
	claim uint64
	// doubtSince is when the message came to be in doubt. Where the provider can be
	// asked, it is asked until doubtUntil; then the message counts as not sent.
	doubtSince, doubtUntil time.Time
}

// open decodes and validates what can be of a message. It decides nothing.
func (l *lane) open(msg *message) *delivery {
	meta, err := msg.Metadata()
	if err != nil {
		// Only a message that no consumer delivered has no metadata.
		meta = &nats.MsgMetadata{Timestamp: l.opts.Now(), NumDelivered: 1}
	}
	return l.read(msg, *meta)
}

// read is open for a message whose metadata are known.
func (l *lane) read(msg *message, meta nats.MsgMetadata) *delivery {
	d := &delivery{
		msg: msg, received: msg.arrived, code: new(messages.SendCode),
		sequence: meta.Sequence.Stream, deliveries: meta.NumDelivered, storedAt: meta.Timestamp, behind: meta.NumPending,
	}
	d.subject, d.wrong = messages.ParseSubject(msg.Subject)
	if d.subject.Channel == "" {
		d.subject.Channel = l.channel
	}
	if !messages.ValidApp(d.subject.App) {
		d.subject.App = messages.HiddenKey // it may be anything, and is about to be shown
	}
	code, err := l.decode(msg)
	if code != nil {
		d.code = code
	}
	if d.wrong == nil {
		d.wrong = err
	}
	d.epoch = epoch(msg)
	if subject, body := d.subject.Type.Canonical(), d.code.Type.Canonical(); d.wrong == nil && subject != body {
		d.wrong = &messages.FieldError{Field: "type", Problem: fmt.Sprintf("is %s in the message and %s in its subject", body, subject)}
	}
	if !d.code.Type.Valid() {
		d.code.Type = "" // it may be anything, and is about to be shown
	}
	d.code.Type = d.code.Type.Canonical()
	d.id = opaque(messageID(msg, d.code, d.wrong, d.sequence), d.code.To)
	d.code.ID = d.id
	d.app, d.appKnown = l.opts.Config.Apps[d.subject.App]
	d.expiresAt = d.code.ExpiresAt
	if d.expiresAt.IsZero() {
		ttl := d.app.CodeTTL
		if ttl == 0 {
			ttl = config.DefaultCodeTTL
		}
		d.expiresAt = d.storedAt.Add(ttl)
	}
	return d
}

// messageID returns the body's id, or the Nats-Msg-Id, or the place in the
// stream: the first that is there and can be one.
func messageID(msg *message, code *messages.SendCode, wrong error, sequence uint64) string {
	var field *messages.FieldError
	badID := errors.As(wrong, &field) && field.Field == "id"
	if code.ID != "" && !badID {
		return code.ID
	}
	if id := msg.Header.Get(jetstream.MsgIDHeader); messages.ValidID(id) {
		return id
	}
	return messages.StreamName + "-" + strconv.FormatUint(sequence, 10)
}

// receive dead-letters what can't be a message, or can't be read here.
func (*lane) receive(_ context.Context, d *delivery) (verdict, bool) {
	switch {
	case errors.Is(d.wrong, messages.ErrNoKey):
		return dead(messages.ReasonMisconfigured, d.wrong.Error()+"; give sealing.keys its private key, and replay the dead letter"), true
	case d.wrong != nil:
		return dead(messages.ReasonInvalid, d.wrong.Error()), true
	}
	return verdict{}, false
}
