package messages

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hpke"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"
)

// Sealed is the private part of a message (to, payload, ip and the fields that are
// not known), encrypted for the workers: AES-256-GCM, with a key exported from HPKE in
// base mode (RFC 9180) with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and AES-256-GCM.
// docs/wire.md has the format byte by byte.
type Sealed struct {
	// Key names the public key that it is for.
	Key string `json:"key"`
	// Box is the encapsulated key (32 bytes), the nonce (12) and the ciphertext.
	Box []byte `json:"box"`
}

// sealInfo binds a box to this format; sealExport names the key that is exported.
const (
	sealInfo   = "codeferry sealed message v1"
	sealExport = "message key"
)

// sealSecret is what a box holds.
type sealSecret struct {
	To      string                     `json:"to"`
	Payload openPayload                `json:"payload"`
	IP      string                     `json:"ip,omitempty"`
	Extra   map[string]json.RawMessage `json:"extra,omitempty"`
}

// sealData is authenticated beside the box: a box that is moved to another
// subject or id does not open. Neither can hold a zero byte.
func sealData(subject, id string) []byte { return []byte(subject + "\x00" + id) }

var (
	sealKEM  = hpke.DHKEM(ecdh.X25519())
	sealKDF  = hpke.HKDFSHA256()
	sealAEAD = hpke.AES256GCM()
)

// Lengths in bytes: of the encapsulated key, X25519's; of the nonce and the tag,
// GCM's; and of AES-256's key.
const (
	encSize   = 32
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// What a caller may tell a message by that can't be opened.
var (
	// ErrNoKey: it was sealed for a key that is not among the Opener's.
	ErrNoKey = errors.New("it is sealed for a key that is not here")
	// ErrTampered: it is no box of this format, was changed, or was sealed for
	// another subject or id.
	ErrTampered = errors.New("it was changed after it was sealed, or sealed for another subject or id")
)

// Key texts begin with what they are, for people and for what looks for secrets
// in files.
const (
	publicKeyPrefix  = "codeferry-public-"
	privateKeyPrefix = "codeferry-private-"
)

// PublicKey is what publishers seal with. Its text form is
// codeferry-public-<32 bytes in unpadded base64url>.
type PublicKey struct {
	key hpke.PublicKey
	id  string
}

// ParsePublicKey reads a public key's text. The error never shows the text.
func ParsePublicKey(text string) (PublicKey, error) {
	if strings.HasPrefix(strings.TrimSpace(text), privateKeyPrefix) {
		return PublicKey{}, errors.New("is a private key, which is the workers' alone; publishers take the public one")
	}
	b, err := keyBytes(text, publicKeyPrefix)
	if err != nil {
		return PublicKey{}, fmt.Errorf("is no public key such as codeferry keygen prints: %w", err)
	}
	key, err := sealKEM.NewPublicKey(b)
	if err != nil {
		return PublicKey{}, errors.New("is no public key such as codeferry keygen prints")
	}
	return newPublicKey(key), nil
}

func newPublicKey(key hpke.PublicKey) PublicKey {
	sum := sha256.Sum256(key.Bytes())
	return PublicKey{key, hex.EncodeToString(sum[:8])}
}

func keyBytes(text, prefix string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return nil, fmt.Errorf("it does not begin with %s", prefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("it is no base64url")
	}
	return b, nil
}

// ID names the key: the first 8 bytes of the SHA-256 of its 32, in hex.
func (k PublicKey) ID() string { return k.id }

// String returns the key's text.
func (k PublicKey) String() string {
	return publicKeyPrefix + base64.RawURLEncoding.EncodeToString(k.key.Bytes())
}

// PrivateKey is what workers open with. Every form of printing masks it; Reveal
// unmasks it.
type PrivateKey struct{ key hpke.PrivateKey }

// GenerateKey makes a key.
func GenerateKey() (PrivateKey, error) {
	key, err := sealKEM.GenerateKey()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("make a key: %w", err)
	}
	return PrivateKey{key}, nil
}

// ParsePrivateKey reads a private key's text. The error never shows the text.
func ParsePrivateKey(text string) (PrivateKey, error) {
	b, err := keyBytes(text, privateKeyPrefix)
	if err != nil {
		return PrivateKey{}, fmt.Errorf("is no private key such as codeferry keygen prints: %w", err)
	}
	key, err := sealKEM.NewPrivateKey(b)
	if err != nil {
		return PrivateKey{}, errors.New("is no private key such as codeferry keygen prints")
	}
	return PrivateKey{key}, nil
}

// Public returns the key that publishers get.
func (k PrivateKey) Public() PublicKey { return newPublicKey(k.key.PublicKey()) }

// Reveal returns the key's text: codeferry-private-<32 bytes in unpadded base64url>.
func (k PrivateKey) Reveal() (string, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("write the key: %w", err)
	}
	return privateKeyPrefix + base64.RawURLEncoding.EncodeToString(b), nil
}

// UnmarshalText is ParsePrivateKey.
func (k *PrivateKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePrivateKey(string(text))
	return err
}

// Format writes a mask and the public key's id, whatever the verb.
func (k PrivateKey) Format(f fmt.State, _ rune) {
	b, _ := k.MarshalText()
	_, _ = f.Write(b)
}

// MarshalText returns a mask, for JSON, YAML and slog.
func (k PrivateKey) MarshalText() ([]byte, error) {
	if k.key == nil {
		return []byte("[no private key]"), nil
	}
	return []byte("[private key of " + k.Public().ID() + "]"), nil
}

// Sealer seals messages with the workers' public key. It may be used by many
// goroutines at once.
type Sealer struct {
	to  PublicKey
	now func() time.Time

	mu   sync.Mutex
	with sealing
}

// sealing is an encapsulated key, and the cipher that it stands for. Making one takes
// two multiplications on the curve, a hundred times as long as the rest: it serves for
// several messages, each with a nonce of its own.
type sealing struct {
	enc    []byte
	cipher cipher.AEAD
	until  time.Time
	// left is how many messages it still serves for.
	left int
}

const (
	// sealFor is how long an encapsulated key is used.
	sealFor = time.Minute
	// sealMost is for how many messages; random nonces would allow 2^32.
	sealMost = 1 << 16
)

// NewSealer returns a Sealer for a key.
func NewSealer(to PublicKey) *Sealer { return &Sealer{to: to, now: time.Now} }

// current returns an encapsulated key that may be used once more.
func (s *Sealer) current() (sealing, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.now()
	if s.with.left == 0 || !now.Before(s.with.until) {
		enc, sender, err := hpke.NewSender(s.to.key, sealKDF, sealAEAD, []byte(sealInfo))
		if err != nil {
			return sealing{}, fmt.Errorf("seal: %w", err)
		}
		box, err := newCipher(sender)
		if err != nil {
			return sealing{}, fmt.Errorf("seal: %w", err)
		}
		s.with = sealing{enc, box, now.Add(sealFor), sealMost}
	}
	s.with.left--
	return s.with, nil
}

// newCipher returns the cipher of an HPKE context.
func newCipher(context interface {
	Export(exporterContext string, length int) ([]byte, error)
},
) (cipher.AEAD, error) {
	key, err := context.Export(sealExport, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal returns m as it may be published on subject: with To, Payload, IP and Extra
// in its Sealed alone. m.ID is authenticated: it has to be the one that is published,
// and must not be empty. m is not changed.
func (s *Sealer) Seal(subject string, m *SendCode) (*SendCode, error) {
	if m.ID == "" {
		return nil, &FieldError{"id", "is missing; what is sealed is bound to it"}
	}
	var secret bytes.Buffer
	e := json.NewEncoder(&secret)
	e.SetEscapeHTML(false) // nobody reads it as HTML, and it would grow
	if err := e.Encode(sealSecret{m.To, opened(m.Payload), m.IP, m.Extra}); err != nil {
		return nil, encodeError(err)
	}
	with, err := s.current()
	if err != nil {
		return nil, err
	}
	box := make([]byte, encSize+nonceSize, encSize+nonceSize+secret.Len()+tagSize)
	copy(box, with.enc)
	nonce := box[encSize:]
	_, _ = rand.Read(nonce) // it never fails
	box = with.cipher.Seal(box, nonce, secret.Bytes(), sealData(subject, m.ID))
	out := *m
	out.To, out.Payload, out.IP, out.Extra = "", nil, "", nil
	out.Sealed = &Sealed{Key: s.to.id, Box: box}
	return &out, nil
}

// Opener opens sealed messages with the workers' private keys. It may be used by
// many goroutines at once.
type Opener struct {
	keys map[string]hpke.PrivateKey

	mu sync.Mutex
	// recent and older are ciphers by their key's id and encapsulated key: a publisher
	// uses one for several messages. When there are many, the older ones go.
	recent, older map[string]cipher.AEAD
}

// maxRecent bounds each half of the ciphers that an Opener remembers.
const maxRecent = 1024

// NewOpener returns an Opener for keys; with several of them keys are rotated
// without loss.
func NewOpener(keys ...PrivateKey) *Opener {
	o := &Opener{keys: make(map[string]hpke.PrivateKey, len(keys)), recent: make(map[string]cipher.AEAD)}
	for _, k := range keys {
		o.keys[k.Public().ID()] = k.key
	}
	return o
}

// known returns a cipher that opened a message before; nil where there is none.
func (o *Opener) known(name string) cipher.AEAD {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c, ok := o.recent[name]; ok {
		return c
	}
	return o.older[name]
}

// remember keeps a cipher that has opened a message.
func (o *Opener) remember(name string, c cipher.AEAD) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.recent) >= maxRecent {
		o.recent, o.older = make(map[string]cipher.AEAD), o.recent
	}
	o.recent[name] = c
}

// decrypt opens a box with a key.
func (o *Opener) decrypt(key hpke.PrivateKey, sealed *Sealed, data []byte) ([]byte, error) {
	if len(sealed.Box) < leastBox {
		return nil, ErrTampered
	}
	enc, rest := sealed.Box[:encSize], sealed.Box[encSize:]
	name := sealed.Key + string(enc)
	c := o.known(name)
	fresh := c == nil
	if fresh {
		r, err := hpke.NewRecipient(enc, key, sealKDF, sealAEAD, []byte(sealInfo))
		if err != nil {
			return nil, ErrTampered
		}
		if c, err = newCipher(r); err != nil {
			return nil, err
		}
	}
	plain, err := c.Open(nil, rest[:nonceSize], rest[nonceSize:], data)
	if err != nil {
		return nil, ErrTampered
	}
	if fresh {
		o.remember(name, c)
	}
	return plain, nil
}

// Open fills To, Payload, IP and Extra of a message in that was sealed for subject,
// and takes Sealed away; one that is not sealed it leaves as it is. The error wraps
// ErrNoKey or ErrTampered, and m is unchanged then.
func (o *Opener) Open(subject string, m *SendCode) error {
	if m.Sealed == nil {
		return nil
	}
	key, ok := o.keys[m.Sealed.Key]
	if !ok {
		return fmt.Errorf("open the message: %w (%s)", ErrNoKey, shownKeyID(m.Sealed.Key))
	}
	plain, err := o.decrypt(key, m.Sealed, sealData(subject, m.ID))
	if err != nil {
		return fmt.Errorf("open the message: %w", err)
	}
	var secret sealSecret
	if err := json.Unmarshal(plain, &secret); err != nil {
		return fmt.Errorf("open the message: %w", ErrTampered)
	}
	m.To, m.Payload, m.IP, m.Sealed = secret.To, Payload(secret.Payload), secret.IP, nil
	if len(secret.Extra) > 0 {
		all := maps.Clone(m.Extra) // what was said in the clear
		if all == nil {
			all = make(map[string]json.RawMessage, len(secret.Extra))
		}
		maps.Copy(all, secret.Extra)
		m.Extra = all
	}
	return nil
}

// leastBox is the shortest box in bytes.
const leastBox = encSize + nonceSize + tagSize

// validate looks at the form alone.
func (s *Sealed) validate() error {
	if b, err := hex.DecodeString(s.Key); err != nil || len(b) != 8 {
		return &FieldError{"sealed.key", "is no key's id: 16 hexadecimal digits"}
	}
	if len(s.Box) < leastBox {
		return &FieldError{"sealed.box", "is too short to hold anything"}
	}
	return nil
}

// shownKeyID returns a key's id, or what is wrong with it: a publisher may have
// put anything there.
func shownKeyID(id string) string {
	if b, err := hex.DecodeString(id); err != nil || len(b) != 8 {
		return "no key's id"
	}
	return "key " + id
}
