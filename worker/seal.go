package worker

import (
	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// seals opens sealed messages, and seals the messages that dead letters keep.
type seals struct {
	opener *wire.Opener
	// sealer is nil if there is no key.
	sealer  *messages.Sealer
	keys    []wire.PrivateKey
	require bool
}

func newSeals(c config.Sealing) seals {
	s := seals{opener: wire.NewOpener(c.Keys...), keys: c.Keys, require: c.RequireSealed}
	if len(c.Keys) > 0 {
		s.sealer = messages.NewSealer(c.Keys[0].Public())
	}
	return s
}

// lookup returns a keyed hash of an address. With the address and the key, an operator can
// find its dead letters. It is empty if there is no key.
func (s seals) lookup(to string) (string, error) {
	if len(s.keys) == 0 || to == "" {
		return "", nil
	}
	return s.keys[0].Lookup(to)
}
