package broker

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"time"

	"github.com/nats-io/jwt/v2"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"
)

// settingError is a setting of a connection that can't be used, whatever the server
// says.
type settingError struct {
	// setting is its name.
	setting string
	cause   error
}

func (e *settingError) Error() string { return e.setting + " " + e.cause.Error() }

func (e *settingError) Unwrap() error { return e.cause }

// unreadable is the cause of a file that can't be read.
func unreadable(file string, err error) error {
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		err = path.Err // without the path, which the text has already
	}
	return fmt.Errorf("names %s, which can't be read: %w", file, err)
}

// loginOptions returns how to log in by an nkey or a credentials file. Their files are
// read now, so that a mistake in them is found before a server is asked, and again at
// each connection. A user, a password and a token are in the servers' URLs.
func (t Target) loginOptions() ([]nats.Option, error) {
	switch {
	case t.Creds != "":
		if _, err := t.credentials(); err != nil {
			return nil, err
		}
		return []nats.Option{nats.UserJWT(func() (string, error) {
			c, err := t.credentials()
			return c.token, err
		}, func(nonce []byte) ([]byte, error) {
			c, err := t.credentials()
			if err != nil {
				return nil, err
			}
			return sign(c.key, nonce)
		})}, nil
	case t.NKey != "":
		public, _, err := t.nkey()
		if err != nil {
			return nil, err
		}
		return []nats.Option{nats.Nkey(public, func(nonce []byte) ([]byte, error) {
			now, key, err := t.nkey()
			if err != nil {
				return nil, err
			}
			if now != public { // the client keeps the public key that it began with
				return nil, &settingError{t.Settings.named().NKey, fmt.Errorf("names %s, which now has another key (%s) than at the start (%s); restart codeferry to use it", t.NKey, now, public)}
			}
			return sign(key, nonce)
		})}, nil
	}
	return nil, nil
}

// credentials are the content of a credentials file.
type credentials struct {
	token string // the user's JWT
	key   nkeys.KeyPair
	// expires is when the server takes them no longer; zero if that is never.
	expires time.Time
}

// credentials reads the credentials file.
func (t Target) credentials() (c credentials, err error) {
	text, err := readKeys(t.Creds)
	if err != nil {
		return c, &settingError{t.Settings.named().Creds, err}
	}
	// The libraries' errors may quote the file, and are left out.
	refuse := func(what string) (credentials, error) {
		return credentials{}, &settingError{t.Settings.named().Creds, fmt.Errorf("names %s, which is not a user's credentials file: %s; make one with nsc generate creds", t.Creds, what)}
	}
	if c.token, err = nkeys.ParseDecoratedJWT(text); err != nil {
		return refuse("it has no JWT")
	}
	claims, err := jwt.DecodeUserClaims(c.token)
	if err != nil {
		return refuse("it has no JWT of a user")
	}
	if c.key, err = nkeys.ParseDecoratedUserNKey(text); err != nil {
		return refuse("it has no seed of a user's nkey, which begins with SU")
	}
	if public, err := c.key.PublicKey(); err != nil || public != claims.Subject {
		return refuse("its seed does not belong to its JWT")
	}
	if claims.Expires > 0 {
		c.expires = time.Unix(claims.Expires, 0)
	}
	return c, nil
}

// nkey reads the file of the nkey, and returns its public part and the whole.
func (t Target) nkey() (public string, key nkeys.KeyPair, err error) {
	text, err := readKeys(t.NKey)
	if err != nil {
		return "", nil, &settingError{t.Settings.named().NKey, err}
	}
	key, err = nkeys.ParseDecoratedUserNKey(text)
	if err == nil {
		public, err = key.PublicKey()
	}
	if err != nil { // the error may quote the file
		return "", nil, &settingError{t.Settings.named().NKey, fmt.Errorf("names %s, which has no seed of a user's nkey, which begins with SU; make one with nk -gen user", t.NKey)}
	}
	return public, key, nil
}

// readKeys reads a file of keys. Its error follows the name of the setting.
func readKeys(file string) ([]byte, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, unreadable(file, err)
	}
	return bytes.ReplaceAll(text, []byte("\r\n"), []byte("\n")), nil
}

// sign answers the server's challenge.
func sign(key nkeys.KeyPair, nonce []byte) ([]byte, error) {
	defer key.Wipe()
	signature, err := key.Sign(nonce)
	if err != nil {
		return nil, fmt.Errorf("sign the server's challenge: %w", err)
	}
	return signature, nil
}
