package messages

import (
	"bytes"
	"crypto/cipher"
	"crypto/hpke"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/codeferry/codeferry/messages/internal/sealing"
)

// Sealed is the private part of a message (to, payload, ip and unknown fields), encrypted
// for the workers: AES-256-GCM, with a key exported from HPKE in base mode (RFC 9180) with
// DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM. docs/wire.md has the format byte
// by byte.
type Sealed struct {
	// Key is the id of the public key.
	Key string `json:"key"`
	// Box is the encapsulated key (32 bytes), the nonce (12) and the ciphertext.
	Box []byte `json:"box"`
}

// validate checks only the form.
func (s *Sealed) validate() error {
	if !sealing.IsKeyID(s.Key) {
		return &FieldError{"sealed.key", "is not the id of a key; it takes 16 hexadecimal digits"}
	}
	if len(s.Box) < sealing.LeastBox {
		return &FieldError{"sealed.box", "is too short for a sealed message"}
	}
	return nil
}

// PublicKey is the key with which publishers seal. Its text is
// codeferry-public-<32 bytes in unpadded base64url>.
type PublicKey struct {
	key hpke.PublicKey
	id  string
}

// ParsePublicKey reads a public key's text, as `codeferry keygen` prints it. The error
// never shows the text.
func ParsePublicKey(text string) (PublicKey, error) {
	key, err := sealing.ParsePublic(text)
	if err != nil {
		return PublicKey{}, err
	}
	return PublicKey{key, sealing.KeyID(key)}, nil
}

// ID returns the key's id: the first 8 bytes of the SHA-256 of its 32 bytes, in hex.
func (k PublicKey) ID() string { return k.id }

// String returns the key's text.
func (k PublicKey) String() string { return sealing.PublicText(k.key) }

// Sealer seals messages with the workers' public key. It is safe for concurrent use.
type Sealer struct {
	to  PublicKey
	now func() time.Time

	mu   sync.Mutex
	with encapsulated
}

// encapsulated is an encapsulated key with its cipher. To make one takes two
// multiplications on the curve, a hundred times as long as the rest. So several messages
// share one, each with a nonce of its own.
type encapsulated struct {
	enc    []byte
	cipher cipher.AEAD
	until  time.Time
	// left is how many more messages may use it.
	left int
}

const (
	// sealFor is the longest use of an encapsulated key.
	sealFor = time.Minute
	// sealMost is the most messages for one key; random nonces would allow 2^32.
	sealMost = 1 << 16
)

// NewSealer returns a Sealer for a key, for [PublisherOptions].
func NewSealer(to PublicKey) *Sealer { return &Sealer{to: to, now: time.Now} }

// current returns an encapsulated key for one more message.
func (s *Sealer) current() (encapsulated, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.with.left == 0 || !now.Before(s.with.until) {
		enc, c, err := sealing.NewSender(s.to.key)
		if err != nil {
			return encapsulated{}, fmt.Errorf("seal: %w", err)
		}
		s.with = encapsulated{enc, c, now.Add(sealFor), sealMost}
	}
	s.with.left--
	return s.with, nil
}

// Seal returns a sealed copy of m for subject: To, Payload, IP and Extra are only in Sealed.
// It authenticates the subject and m.ID: publish the copy on this subject, and do not change
// its ID, which must not be empty. Seal does not change m.
func (s *Sealer) Seal(subject string, m *SendCode) (*SendCode, error) {
	if m.ID == "" {
		return nil, &FieldError{"id", "is missing; a sealed message needs one"}
	}
	var secret bytes.Buffer
	e := json.NewEncoder(&secret)
	e.SetEscapeHTML(false) // escapes would only make it longer
	if err := e.Encode(sealing.Secret[openPayload]{To: m.To, Payload: opened(m.Payload), IP: m.IP, Extra: m.Extra}); err != nil {
		return nil, encodeError(err)
	}
	with, err := s.current()
	if err != nil {
		return nil, err
	}
	out := *m
	out.To, out.Payload, out.IP, out.Extra = "", nil, "", nil
	out.Sealed = &Sealed{Key: s.to.id, Box: sealing.Seal(with.enc, with.cipher, secret.Bytes(), sealing.Data(subject, m.ID))}
	return &out, nil
}
