package smtp

import (
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"net/url"
	"slices"
	"strings"

	gosmtp "github.com/wneessen/go-mail/smtp"

	"github.com/codeferry/codeferry/sender"
)

// Auth is who signs in: nobody, a user with a password, or by OAuth2 a user with
// an access token, which a refresh token or a service account's key can renew.
type Auth struct {
	// Type is login or oauth2. Default: what the other fields say.
	Type string        `yaml:"type"`
	User string        `yaml:"user"`
	Pass sender.Secret `yaml:"pass"`

	// ClientID, ClientSecret and RefreshToken get new access tokens from AccessURL
	// (RFC 6749, 6).
	ClientID     string        `yaml:"clientId"`
	ClientSecret sender.Secret `yaml:"clientSecret"`
	RefreshToken sender.Secret `yaml:"refreshToken"`
	// AccessToken is used until Expires, and for good where nothing renews it.
	AccessToken sender.Secret `yaml:"accessToken"`
	// Expires is when AccessToken ends, in milliseconds since 1970. Default: unknown.
	Expires int64 `yaml:"expires"`
	// AccessURL is where tokens are made. Default: Google's.
	AccessURL string `yaml:"accessUrl"`

	// ServiceClient and PrivateKey are a service account's, which acts for User
	// (RFC 7523).
	ServiceClient string     `yaml:"serviceClient"`
	PrivateKey    PrivateKey `yaml:"privateKey"`
}

// PrivateKey is an RSA key in PEM. Written as a plain string, it is Key.
type PrivateKey struct {
	Key sender.Secret `yaml:"key"`
	// Passphrase is for an encrypted key, and those are not read.
	Passphrase sender.Secret `yaml:"passphrase"`
}

// UnmarshalText reads a key without a passphrase.
func (k *PrivateKey) UnmarshalText(text []byte) error {
	k.Key = sender.NewSecret(string(text))
	return nil
}

var errEncrypted = errors.New("is encrypted, and can't be read; decrypt it by: openssl pkey -in key.pem -out plain.pem")

// check says what is wrong with a key.
func (k PrivateKey) check() error {
	block, _ := pem.Decode([]byte(k.Key.Reveal()))
	if block == nil {
		return errors.New("is no key in PEM (-----BEGIN PRIVATE KEY-----)")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return errEncrypted
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if _, ok := parsed.(*rsa.PrivateKey); err != nil || !ok {
		return errors.New("is no RSA key")
	}
	return nil
}

// kind is a way to sign in.
type kind int

const (
	nobody kind = iota
	byPassword
	byToken
)

func (a *Auth) kind() kind {
	switch {
	case strings.EqualFold(a.Type, "oauth2") || a.Type == "" && a.tokens():
		return byToken
	case a.User != "" || !a.Pass.IsZero():
		return byPassword
	}
	return nobody
}

// tokens tells whether any field of OAuth2's is set.
func (a *Auth) tokens() bool {
	return a.ClientID != "" || !a.ClientSecret.IsZero() || !a.RefreshToken.IsZero() || !a.AccessToken.IsZero() || a.ServiceClient != "" || !a.PrivateKey.Key.IsZero()
}

func (a *Auth) validate(p *problems) {
	if !strings.EqualFold(a.Type, "login") && !strings.EqualFold(a.Type, "oauth2") && a.Type != "" {
		p.add("auth.type", "%q is none that is known; it is login or oauth2", a.Type)
		return
	}
	require := func(pairs ...string) { *p = append(*p, sender.Required(pairs...)...) }
	switch a.kind() {
	case nobody:
	case byPassword:
		require("auth.user", a.User, "auth.pass", a.Pass.Reveal())
	case byToken:
		require("auth.user", a.User)
		switch {
		case a.ServiceClient != "" || !a.PrivateKey.Key.IsZero():
			require("auth.serviceClient", a.ServiceClient, "auth.privateKey", a.PrivateKey.Key.Reveal())
			if !a.PrivateKey.Key.IsZero() {
				if err := a.PrivateKey.check(); err != nil {
					p.add("auth.privateKey", "%v", err)
				}
			}
		case !a.RefreshToken.IsZero():
			require("auth.clientId", a.ClientID, "auth.clientSecret", a.ClientSecret.Reveal())
		case a.AccessToken.IsZero():
			p.add("auth.accessToken", "is required, or refreshToken with clientId and clientSecret, or serviceClient with privateKey")
		}
	}
	if a.Expires < 0 {
		p.add("auth.expires", "is negative; it takes milliseconds since 1970")
	}
	if u, err := url.Parse(a.AccessURL); a.AccessURL != "" &&
		(err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !isLocalName(u.Hostname()))) {
		p.add("auth.accessUrl", "is no URL that begins with https://")
	}
}

// Method is a way to prove a password (SASL).
type Method string

// methods are the known ones, the safest first: the first three never say the
// password itself.
var methods = []Method{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}

// xoauth2 is how a token is shown; Google's and Microsoft's servers know it.
const xoauth2 = "XOAUTH2"

// UnmarshalText reads a name in any case.
func (m *Method) UnmarshalText(text []byte) error {
	*m = Method(strings.ToUpper(string(text)))
	return nil
}

func (m Method) known() bool { return m == "" || slices.Contains(methods, m) }

func methodNames() string {
	names := make([]string, len(methods))
	for i, m := range methods {
		names[i] = string(m)
	}
	return strings.Join(names, ", ")
}

// pick returns the method to use with a server that offers these; empty where
// none fits.
func pick(offered []string, wanted Method) Method {
	for _, m := range methods {
		fits := wanted == "" || wanted == m
		if fits && slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, string(m)) }) {
			return m
		}
	}
	return ""
}

// prove returns go-mail's side of a method. That the connection is safe has been
// looked at before: nothing here does.
func (m Method) prove(user, pass, host string) gosmtp.Auth {
	switch m {
	case "SCRAM-SHA-256":
		return gosmtp.ScramSHA256Auth(user, pass)
	case "SCRAM-SHA-1":
		return gosmtp.ScramSHA1Auth(user, pass)
	case "CRAM-MD5":
		return gosmtp.CRAMMD5Auth(user, pass)
	case "LOGIN":
		return gosmtp.LoginAuth(user, pass, host, true)
	}
	return gosmtp.PlainAuth("", user, pass, host, true)
}
