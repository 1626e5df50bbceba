package messages

import (
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// lookupInfo binds the look-up key to its use.
const lookupInfo = "codeferry address look-up v1"

// Lookup returns a keyed hash of an address, by which who holds the key finds its
// dead letters, and nobody else can find out whose they are. The forms of an
// address have the same one: upper and lower case, a number with or without its
// country code.
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

// plainForm is the form in which addresses are compared.
func plainForm(to string) string {
	if strings.Contains(to, "@") {
		return strings.ToLower(to)
	}
	const national = 11 // as long as a mainland number
	digits := Digits(to)
	return digits[max(0, len(digits)-national):]
}
