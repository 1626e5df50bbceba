package wire

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/hpke"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/sealing"
)

// PrivateKey is the key with which workers open sealed messages. Printing it in any form
// shows only a mask; [PrivateKey.Reveal] returns the key.
type PrivateKey struct{ key hpke.PrivateKey }

// GenerateKey makes a key.
func GenerateKey() (PrivateKey, error) {
	key, err := sealing.GenerateKey()
	if err != nil {
		return PrivateKey{}, fmt.Errorf("make a key: %w", err)
	}
	return PrivateKey{key}, nil
}

// ParsePrivateKey reads a private key's text. The error never shows the text.
func ParsePrivateKey(text string) (PrivateKey, error) {
	key, err := sealing.ParsePrivate(text)
	if err != nil {
		return PrivateKey{}, err
	}
	return PrivateKey{key}, nil
}

// Public returns the key for publishers.
func (k PrivateKey) Public() messages.PublicKey {
	public, err := messages.ParsePublicKey(sealing.PublicText(k.key.PublicKey()))
	if err != nil {
		panic("can't read the text of a generated key: " + err.Error())
	}
	return public
}

// Reveal returns the key's text: codeferry-private-<32 bytes in unpadded base64url>.
func (k PrivateKey) Reveal() (string, error) {
	b, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("write the key: %w", err)
	}
	return sealing.PrivateText(b), nil
}

// UnmarshalText is ParsePrivateKey.
func (k *PrivateKey) UnmarshalText(text []byte) (err error) {
	*k, err = ParsePrivateKey(string(text))
	return err
}

// Format writes a mask and the public key's id, for each verb.
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

// lookupInfo is HKDF's info: it binds the key of the hash to this use.
const lookupInfo = "codeferry address look-up v1"

// Lookup returns a keyed hash of an address. With the key and an address you find the
// address's dead letters ([messages.DeadLetter.ToHash]); without the key the hash does not
// show the address. All forms of an address have the same hash: upper and lower case, a
// number with or without its country code, and all forms that are one number for [Digits].
func (k PrivateKey) Lookup(to string) (string, error) {
	secret, err := k.key.Bytes()
	if err != nil {
		return "", fmt.Errorf("look-up key: %w", err)
	}
	key, err := hkdf.Key(sha256.New, secret, nil, lookupInfo, sha256.Size)
	if err != nil {
		return "", fmt.Errorf("look-up key: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(plainForm(to)))
	return hex.EncodeToString(mac.Sum(nil)[:16]), nil
}

// SameAddress reports whether two addresses have the same hash by [PrivateKey.Lookup].
func SameAddress(a, b string) bool { return plainForm(a) == plainForm(b) }

// plainForm returns the form of an address that the hash is made of.
func plainForm(to string) string {
	if strings.Contains(to, "@") {
		return strings.ToLower(to)
	}
	const national = 11 // as long as a mainland number
	digits := Digits(to)
	return digits[max(0, len(digits)-national):]
}
