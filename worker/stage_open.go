package worker

import (
	"context"
	"errors"
	"fmt"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// openStage decodes and unseals a message, and finds its app, id and expiry. It never
// decides: what is wrong with a message counts only if no worker can have sent it.
type openStage struct {
	channel messages.Channel
	apps    map[string]config.App
	seals   seals
}

func (s openStage) handle(_ context.Context, d *delivery) (verdict, bool) {
	d.opened = s.open(d)
	return pass()
}

func (s openStage) open(d *delivery) opened {
	m := d.msg
	o := opened{code: new(messages.SendCode), place: placeOf(m), epoch: wire.Epoch(m.Header)}
	o.subject, o.wrong = wire.ParseSubject(m.Subject)
	if o.subject.Channel == "" {
		o.subject.Channel = s.channel
	}
	if !wire.ValidApp(o.subject.App) {
		o.subject.App = wire.HiddenKey // it can hold anything, and will be shown
	}
	code, unreadable, err := s.decode(d)
	if code != nil {
		o.code = code
	}
	if o.wrong == nil {
		o.wrong, o.unreadable = err, unreadable
	}
	if subject, body := o.subject.Type.Canonical(), o.code.Type.Canonical(); o.wrong == nil && subject != body {
		o.wrong = &messages.FieldError{Field: "type", Problem: fmt.Sprintf("is %s in the message and %s in its subject", body, subject)}
	}
	if !o.code.Type.Valid() {
		o.code.Type = "" // the same
	}
	o.code.Type = o.code.Type.Canonical()
	o.id = maskID(wire.MessageID(m.Header, o.code, m.Sequence), o.code.To)
	o.code.ID = o.id
	o.app, o.appKnown = s.apps[o.subject.App]
	o.expiresAt = o.code.ExpiresAt
	if o.expiresAt.IsZero() {
		ttl := o.app.CodeTTL
		if ttl == 0 {
			ttl = config.DefaultCodeTTL
		}
		o.expiresAt = m.StoredAt.Add(ttl)
	}
	return o
}

// decode reads the body, and opens it if it is sealed. The code is nil if the body could
// not be read at all. unreadable is true if this worker's configuration is the cause:
// another worker may have been able to read the message.
func (s openStage) decode(d *delivery) (code *messages.SendCode, unreadable bool, err error) {
	code, err = wire.Decode(d.msg.Data, s.channel)
	switch {
	case err != nil:
		return code, false, err
	case code.Sealed == nil && s.seals.require:
		return code, true, &messages.FieldError{Field: "body", Problem: "is not sealed, and sealing.requireSealed is on"}
	case code.Sealed == nil:
		return code, false, nil
	}
	if err := s.seals.opener.Open(d.msg.Subject, code); err != nil {
		return code, errors.Is(err, wire.ErrNoKey), err
	}
	err = code.Validate(s.channel)
	return code, false, err
}
