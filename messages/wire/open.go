package wire

import (
	"crypto/cipher"
	"crypto/hpke"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"sync"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/sealing"
)

// The errors of Opener.Open.
var (
	// ErrNoKey: the message was sealed for a key that the Opener does not have.
	ErrNoKey = errors.New("it is sealed for a key that this worker does not have")
	// ErrTampered: the box does not have this format, was changed, or was sealed for
	// another subject or id.
	ErrTampered = errors.New("it was changed after it was sealed, or sealed for another subject or id")
)

// Opener opens sealed messages with the workers' private keys. It is safe for concurrent
// use.
type Opener struct {
	keys map[string]hpke.PrivateKey

	mu sync.Mutex
	// recent and older are ciphers by the key's id and the encapsulated key, since a
	// publisher uses one for several messages. When recent is full, it replaces older.
	recent, older map[string]cipher.AEAD
}

// maxRecent is the most ciphers in each of recent and older.
const maxRecent = 1024

// NewOpener returns an Opener for keys. Several keys allow a rotation without loss.
func NewOpener(keys ...PrivateKey) *Opener {
	o := &Opener{keys: make(map[string]hpke.PrivateKey, len(keys)), recent: make(map[string]cipher.AEAD)}
	for _, k := range keys {
		o.keys[k.Public().ID()] = k.key
	}
	return o
}

// known returns a remembered cipher, nil if there is none.
func (o *Opener) known(name string) cipher.AEAD {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.recent[name]; ok {
		return c
	}
	return o.older[name]
}

// remember stores a cipher that has opened a message.
func (o *Opener) remember(name string, c cipher.AEAD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) >= maxRecent {
		o.recent, o.older = make(map[string]cipher.AEAD), o.recent
	}
	o.recent[name] = c
}

// decrypt opens a box with a key.
func (o *Opener) decrypt(key hpke.PrivateKey, sealed *messages.Sealed, data []byte) ([]byte, error) {
	if len(sealed.Box) < sealing.LeastBox {
		return nil, ErrTampered
	}
	enc := sealed.Box[:sealing.EncSize]
	name := sealed.Key + string(enc)
	c := o.known(name)
	fresh := c == nil
	if fresh {
		var err error
		if c, err = sealing.NewRecipient(enc, key); err != nil {
			return nil, ErrTampered
		}
	}
	plain, err := sealing.Open(sealed.Box, c, data)
	if err != nil {
		return nil, ErrTampered
	}
	if fresh {
		o.remember(name, c)
	}
	return plain, nil
}

// Open sets To, Payload, IP and Extra of a message that was sealed for subject, and removes
// Sealed. It does not change a message that is not sealed. The error wraps [ErrNoKey] or
// [ErrTampered]; then m is unchanged.
func (o *Opener) Open(subject string, m *messages.SendCode) error {
	if m.Sealed == nil {
		return nil
	}
	key, ok := o.keys[m.Sealed.Key]
	if !ok {
		return fmt.Errorf("open the message: %w (%s)", ErrNoKey, shownKeyID(m.Sealed.Key))
	}
	plain, err := o.decrypt(key, m.Sealed, sealing.Data(subject, m.ID))
	if err != nil {
		return fmt.Errorf("open the message: %w", err)
	}
	var secret sealing.Secret[messages.Payload]
	if err := json.Unmarshal(plain, &secret); err != nil {
		return fmt.Errorf("open the message: %w", ErrTampered)
	}
	m.To, m.Payload, m.IP, m.Sealed = secret.To, secret.Payload, secret.IP, nil
	if len(secret.Extra) > 0 {
		all := maps.Clone(m.Extra) // the fields in the clear
		if all == nil {
			all = make(map[string]json.RawMessage, len(secret.Extra))
		}
		maps.Copy(all, secret.Extra)
		m.Extra = all
	}
	return nil
}

// shownKeyID returns a key's id for an error. It does not show a text that is not an id: a
// publisher can put anything there.
func shownKeyID(id string) string {
	if !sealing.IsKeyID(id) {
		return "not the id of a key"
	}
	return "key " + id
}
