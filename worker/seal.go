package worker

import (
	"strconv"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// seals opens what publishers have sealed, and seals what is kept.
type seals struct {
	opener *messages.Opener
	// sealer is nil where there is no key.
	sealer  *messages.Sealer
	keys    []messages.PrivateKey
	require bool
}

func newSeals(c config.Sealing) seals {
	s := seals{opener: messages.NewOpener(c.Keys...), keys: c.Keys, require: c.RequireSealed}
	if len(c.Keys) > 0 {
		s.sealer = messages.NewSealer(c.Keys[0].Public())
	}
	return s
}

// decode reads a message's body, and opens it where it is sealed. The message is
// not nil where the body could be read at all.
func (l *lane) decode(msg *message) (*messages.SendCode, error) {
	code, err := messages.Decode(msg.Data, l.channel)
	switch {
	case err != nil:
		return code, err
	case code.Sealed == nil && l.seals.require:
		return code, &messages.FieldError{Field: "body", Problem: "is not sealed, and sealing.requireSealed is on"}
	case code.Sealed == nil:
		return code, nil
	}
	if err := l.seals.opener.Open(msg.Subject, code); err != nil {
		return code, err
	}
	err = code.Validate(l.channel)
	return code, err
}

// epoch returns how often the message was replayed; a header that is no number
// counts as none.
func epoch(msg *message) int {
	const most = 1 << 20 // far more than anybody replays
	n, err := strconv.ParseUint(msg.Header.Get(messages.EpochHeader), 10, 31)
	if err != nil || n > most {
		return 0
	}
	return int(n)
}

// keepMessage puts the message into its dead letter, sealed, where it could be sent
// in another life: what is expired or invalid is kept nowhere. It has the letter
// found by who knows the address and the key.
func (l *lane) keepMessage(d *delivery, letter *messages.DeadLetter) error {
	if len(l.seals.keys) > 0 && d.code.To != "" {
		hash, err := l.seals.keys[0].Lookup(d.code.To)
		if err != nil {
			return err
		}
		letter.ToHash = hash
	}
	kept := *d.code
	kept.ID, kept.ExpiresAt = d.id, d.expiresAt.UTC()
	switch {
	case letter.Reason == messages.ReasonExpired || !l.opts.Now().Before(d.expiresAt):
		letter.Dropped = messages.DroppedExpired
	case letter.Reason == messages.ReasonInvalid:
		letter.Dropped = messages.DroppedInvalid
	case kept.Sealed != nil:
		kept.Extra = nil       // it was not sealed
		letter.Message = &kept // for a key that is not here: as it came
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
		if letter.Message = sealed; len(body) > messages.MaxBody {
			letter.Message, letter.Dropped = nil, messages.DroppedTooBig
		}
	}
	return nil
}
