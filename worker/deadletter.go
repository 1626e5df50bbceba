package worker

import (
	"cmp"
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

// deadLetters makes and stores dead letters. Only settle calls it.
type deadLetters struct {
	channel messages.Channel
	seals   seals
	now     func() time.Time
	// publish stores a message in CODEFERRY_DEAD and returns once the server has it.
	publish func(ctx context.Context, m *nats.Msg) error
}

// store makes the dead letter and stores it. Its Nats-Msg-Id belongs to the stored
// message, so if an earlier delivery has stored the dead letter already, it is not stored
// twice.
func (l deadLetters) store(ctx context.Context, d *delivery, v verdict) error {
	letter := l.letter(d, v)
	if err := l.keepMessage(d, letter); err != nil {
		return fmt.Errorf("seal the message: %w", err)
	}
	err := l.put(ctx, letter)
	if letter.Message != nil && tooBig(err) {
		// The server's limit is lower than codeferry's. Without the message the dead
		// letter still says what happened, and the message does not come again and again.
		letter.Message, letter.Dropped = nil, messages.DroppedTooBig
		err = l.put(ctx, letter)
	}
	return err
}

// exceedsMaximum is JetStream's error code for a message that is too big for its stream.
const exceedsMaximum jetstream.ErrorCode = 10054

// tooBig reports whether the server will never accept a message of this size.
func tooBig(err error) bool {
	var refused *jetstream.APIError
	return errors.As(err, &refused) && refused.ErrorCode == exceedsMaximum || errors.Is(err, nats.ErrMaxPayload)
}

// storeBare stores a dead letter without the message, for a message that makes everything
// else panic.
func (l deadLetters) storeBare(ctx context.Context, d *delivery, v verdict) error {
	letter := l.letter(d, v)
	letter.Dropped = messages.DroppedInvalid
	return l.put(ctx, letter)
}

func (l deadLetters) put(ctx context.Context, letter *messages.DeadLetter) error {
	body, err := json.Marshal(letter)
	if err != nil {
		return fmt.Errorf("encode the dead letter: %w", err)
	}
	msg := nats.NewMsg(wire.DeadSubject(letter.App, letter.Channel, letter.Reason))
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, wire.DeadMsgID(letter))
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	if err := l.publish(ctx, msg); err != nil {
		return fmt.Errorf("store the dead letter: %w", err)
	}
	return nil
}

func (l deadLetters) letter(d *delivery, v verdict) *messages.DeadLetter {
	letter := &messages.DeadLetter{
		ID: d.id, Epoch: d.epoch, App: d.subject.App, Channel: l.channel, Type: d.code.Type,
		Subject: maskSubject(d.msg.Subject, d.code.To), Stream: wire.StreamName, Sequence: d.place.Sequence,
		To: mask(d.code.To), Reason: v.reason, Detail: v.detail, Advice: v.advice(),
		Attempts: d.history, Deliveries: d.msg.Delivered,
		CreatedAt: stamp(d.code.CreatedAt), StoredAt: d.msg.StoredAt.UTC(), ExpiresAt: stamp(d.expiresAt),
		DeadAt: l.now().UTC(), TraceParent: cmp.Or(traceParent(d.msg.Header), d.traced.parent()),
	}
	if last := d.lastAttempt(); last != nil {
		letter.Connector, letter.Code = last.Connector, last.Code
	}
	return letter
}

// keepMessage puts the message, sealed, into its dead letter if a replay could send it. An
// invalid message, or one whose code has expired by now, is kept nowhere.
func (l deadLetters) keepMessage(d *delivery, letter *messages.DeadLetter) (err error) {
	if letter.ToHash, err = l.seals.lookup(d.code.To); err != nil {
		return err
	}
	kept := *d.code
	kept.ID, kept.ExpiresAt = d.id, d.expiresAt.UTC()
	switch {
	case d.expired(l.now()):
		letter.Dropped = messages.DroppedExpired
	case letter.Reason == messages.ReasonInvalid, d.wrong != nil && !d.unreadable:
		letter.Dropped = messages.DroppedInvalid
	case kept.Sealed != nil:
		kept.Extra = nil       // this part was not sealed
		letter.Message = &kept // this worker does not have its key, so it stays as it came
	case l.seals.sealer == nil:
		letter.Dropped = messages.DroppedNoKey
	default:
		sealed, err := l.seals.sealer.Seal(letter.Subject, &kept)
		if err != nil {
			return err
		}
		body, err := sealed.Encode()
		if err != nil {
			return err
		}
		if letter.Message = sealed; len(body) > wire.MaxBody {
			letter.Message, letter.Dropped = nil, messages.DroppedTooBig
		}
	}
	return nil
}

func stamp(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}
