package messages

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/internal/address"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// NewMsg returns the NATS message that a [Publisher] with these options publishes for s and
// m. It checks m as Publish does, and sets the defaults and the Nats-Msg-Id. It seals the
// message if the options have a Sealer. Use it for a publisher of your own, for example to
// publish from an outbox table: publish the message with JetStream, and wait for the
// acknowledgement. The error is a *[FieldError]. NewMsg does not change m.
func NewMsg(s Subject, m *SendCode, o PublisherOptions) (*nats.Msg, error) {
	if o.Now == nil {
		o.Now = time.Now
	}
	out, err := prepare(context.Background(), s, m, o)
	return out.msg, err
}

// outgoing is a message that is ready to be published.
type outgoing struct {
	msg     *nats.Msg
	subject Subject
	id      string
}

// prepare checks s and a copy of given, and makes the message to publish.
func prepare(ctx context.Context, s Subject, given *SendCode, o PublisherOptions) (outgoing, error) {
	m := *given
	if s.App == "" {
		s.App = DefaultApp
	}
	if s.Type == "" {
		s.Type = m.Type
	}
	if m.Type == "" {
		m.Type = s.Type
	}
	if err := s.Validate(); err != nil {
		return outgoing{}, err
	}
	if err := m.Validate(s.Channel); err != nil {
		return outgoing{}, err
	}
	if s.Type.Canonical() != m.Type.Canonical() {
		return outgoing{}, &FieldError{"type", fmt.Sprintf("is %s in the message and %s in its subject", m.Type, s.Type)}
	}
	if address.Shows(s.Key, m.To) {
		return outgoing{}, &FieldError{"key", "is the recipient's address; it takes an opaque id such as the user's or the session's"}
	}
	now := o.Now()
	if !m.ExpiresAt.IsZero() && !now.Before(m.ExpiresAt) {
		return outgoing{}, &FieldError{"expiresAt", "is in the past; an expired code is not sent"}
	}
	if m.ID == "" {
		m.ID = NewID(now)
	}
	if m.CreatedAt.IsZero() {
		m.CreatedAt = now.UTC()
	}
	sent := &m
	if o.Sealer != nil && m.Sealed == nil {
		sealed, err := o.Sealer.Seal(s.String(), &m)
		if err != nil {
			return outgoing{}, err
		}
		sent = sealed
	}
	body, err := sent.Encode()
	if err != nil {
		return outgoing{}, err
	}
	if len(body) > protocol.MaxBody {
		return outgoing{}, &FieldError{"body", fmt.Sprintf("has %d bytes; it takes at most %d", len(body), protocol.MaxBody)}
	}
	msg := nats.NewMsg(s.String())
	msg.Header.Set(jetstream.MsgIDHeader, msgID(msg.Subject, m.ID))
	if o.TraceParent != nil {
		if parent := o.TraceParent(ctx); protocol.TraceID(parent) != "" {
			msg.Header.Set(protocol.TraceParentHeader, parent)
		}
	}
	msg.Data = body
	return outgoing{msg, s, m.ID}, nil
}

// msgID returns the Nats-Msg-Id of a message: its id, and 16 hexadecimal digits of its
// subject's SHA-256. The stream looks for duplicates in all subjects. With the id alone it
// would drop a mail as a duplicate of the SMS of the same login, and an app's code as a
// duplicate of another app's. The result has at most MaxID+17 bytes. That can be longer
// than an id may be, but a worker takes the id from the body.
func msgID(subject, id string) string {
	sum := sha256.Sum256([]byte(subject))
	return id + "." + hex.EncodeToString(sum[:8])
}
