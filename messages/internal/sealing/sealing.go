// Package sealing has the parts that publishers and workers share for sealed messages: the
// texts of keys, the ciphers, and the layout of a box. docs/wire.md has the format byte by
// byte.
package sealing

import (
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
	"strings"
)

// info binds a box to this format. export is the exporter context of the message key.
const (
	info   = "codeferry sealed message v1"
	export = "message key"
)

// Lengths in bytes: the encapsulated key of X25519, the nonce and the tag of GCM, and the
// key of AES-256.
const (
	EncSize   = 32
	nonceSize = 12
	tagSize   = 16
	keySize   = 32
)

// LeastBox is the shortest box in bytes.
const LeastBox = EncSize + nonceSize + tagSize

// The suite: HPKE in base mode with X25519, HKDF-SHA256 and AES-256-GCM.
var (
	kem  = hpke.DHKEM(ecdh.X25519())
	kdf  = hpke.HKDFSHA256()
	aead = hpke.AES256GCM()
)

// Secret is the JSON object in a box. P is the type of the payload, which differs between
// the two sides.
type Secret[P any] struct {
	To      string                     `json:"to"`
	Payload P                          `json:"payload"`
	IP      string                     `json:"ip,omitempty"`
	Extra   map[string]json.RawMessage `json:"extra,omitempty"`
}

// Data returns the additional data that authenticates a box: in a message with another
// subject or id it does not open. Neither can hold a zero byte.
func Data(subject, id string) []byte { return []byte(subject + "\x00" + id) }

// NewSender makes an encapsulated key for a public key, with its cipher.
func NewSender(to hpke.PublicKey) (enc []byte, c cipher.AEAD, err error) {
	enc, sender, err := hpke.NewSender(to, kdf, aead, []byte(info))
	if err != nil {
		return nil, nil, err
	}
	c, err = newCipher(sender)
	return enc, c, err
}

// NewRecipient returns the cipher of an encapsulated key.
func NewRecipient(enc []byte, key hpke.PrivateKey) (cipher.AEAD, error) {
	r, err := hpke.NewRecipient(enc, key, kdf, aead, []byte(info))
	if err != nil {
		return nil, err
	}
	return newCipher(r)
}

// newCipher returns the cipher of an HPKE context.
func newCipher(context interface {
	Export(exporterContext string, length int) ([]byte, error)
},
) (cipher.AEAD, error) {
	key, err := context.Export(export, keySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// Seal makes a box: the encapsulated key, a new nonce, and the ciphertext.
func Seal(enc []byte, c cipher.AEAD, plain, data []byte) []byte {
	box := make([]byte, EncSize+nonceSize, LeastBox+len(plain))
	copy(box, enc)
	nonce := box[EncSize:]
	_, _ = rand.Read(nonce) // never fails
	return c.Seal(box, nonce, plain, data)
}

// Open decrypts a box of LeastBox bytes or more with the cipher of its encapsulated key.
func Open(box []byte, c cipher.AEAD, data []byte) ([]byte, error) {
	rest := box[EncSize:]
	return c.Open(nil, rest[:nonceSize], rest[nonceSize:], data)
}

// The prefix of a key's text shows its kind to people and to secret scanners.
const (
	publicPrefix  = "codeferry-public-"
	privatePrefix = "codeferry-private-"
)

// ParsePublic reads a public key's text. The error never shows the text.
func ParsePublic(text string) (hpke.PublicKey, error) {
	if strings.HasPrefix(strings.TrimSpace(text), privatePrefix) {
		return nil, errors.New("is a private key, which only workers may have; publishers take the public key")
	}
	b, err := keyBytes(text, publicPrefix)
	if err != nil {
		return nil, fmt.Errorf("is not a public key of codeferry keygen: %w", err)
	}
	key, err := kem.NewPublicKey(b)
	if err != nil {
		return nil, errors.New("is not a public key of codeferry keygen")
	}
	return key, nil
}

// ParsePrivate reads a private key's text. The error never shows the text.
func ParsePrivate(text string) (hpke.PrivateKey, error) {
	b, err := keyBytes(text, privatePrefix)
	if err != nil {
		return nil, fmt.Errorf("is not a private key of codeferry keygen: %w", err)
	}
	key, err := kem.NewPrivateKey(b)
	if err != nil {
		return nil, errors.New("is not a private key of codeferry keygen")
	}
	return key, nil
}

func keyBytes(text, prefix string) ([]byte, error) {
	encoded, ok := strings.CutPrefix(strings.TrimSpace(text), prefix)
	if !ok {
		return nil, fmt.Errorf("it does not begin with %s", prefix)
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return nil, errors.New("it is not base64url")
	}
	return b, nil
}

// GenerateKey makes a private key.
func GenerateKey() (hpke.PrivateKey, error) { return kem.GenerateKey() }

// PublicText returns a public key's text.
func PublicText(key hpke.PublicKey) string {
	return publicPrefix + base64.RawURLEncoding.EncodeToString(key.Bytes())
}

// PrivateText returns a private key's text, from its bytes.
func PrivateText(b []byte) string {
	return privatePrefix + base64.RawURLEncoding.EncodeToString(b)
}

// KeyID returns a public key's id: the first 8 bytes of the SHA-256 of its 32 bytes, in hex.
func KeyID(key hpke.PublicKey) string {
	sum := sha256.Sum256(key.Bytes())
	return hex.EncodeToString(sum[:8])
}

// IsKeyID reports whether id can be the id of a key.
func IsKeyID(id string) bool {
	b, err := hex.DecodeString(id)
	return err == nil && len(b) == 8
}
