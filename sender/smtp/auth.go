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
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Auth says how to sign in: not at all, as a user with a password, or by OAuth2 with an
// access token, which a refresh token or a service account's key can renew.
type Auth struct {
	// Type is login or oauth2. Default: chosen by the other fields.
	Type string        `yaml:"type"`
	User string        `yaml:"user"`
	Pass sender.Secret `yaml:"pass"`

	// ClientID, ClientSecret and RefreshToken request new access tokens from AccessURL
	// (RFC 6749, 6).
	ClientID     string        `yaml:"clientId"`
	ClientSecret sender.Secret `yaml:"clientSecret"`
	RefreshToken sender.Secret `yaml:"refreshToken"`
	// AccessToken is used until Expires. If nothing can renew it, it is always used.
	AccessToken sender.Secret `yaml:"accessToken"`
	// Expires is when AccessToken expires, in milliseconds since 1970. Default: unknown.
	Expires int64 `yaml:"expires"`
	// AccessURL is the token endpoint. Default: Google's.
	AccessURL string `yaml:"accessUrl"`

	// ServiceClient and PrivateKey belong to a service account that acts for User (RFC
	// 7523).
	ServiceClient string     `yaml:"serviceClient"`
	PrivateKey    PrivateKey `yaml:"privateKey"`
}

// PrivateKey is an RSA key in PEM. A plain string in the configuration sets Key.
type PrivateKey struct {
	Key sender.Secret `yaml:"key"`
	// Passphrase is the passphrase of an encrypted key. Encrypted keys are not supported.
	Passphrase sender.Secret `yaml:"passphrase"`
}

// UnmarshalText reads a key without a passphrase.
func (k *PrivateKey) UnmarshalText(text []byte) error {
	k.Key = sender.NewSecret(string(text))
	return nil
}

var errEncrypted = errors.New("is encrypted, which is not supported; decrypt it with: openssl pkey -in key.pem -out plain.pem")

// check says what is wrong with a key.
func (k PrivateKey) check() error {
	block, _ := pem.Decode([]byte(k.Key.Reveal()))
	if block == nil {
		return errors.New("is not a key in PEM (-----BEGIN PRIVATE KEY-----)")
	}
	if block.Type == "ENCRYPTED PRIVATE KEY" || block.Headers["DEK-Info"] != "" {
		return errEncrypted
	}
	if _, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if _, ok := parsed.(*rsa.PrivateKey); err != nil || !ok {
		return errors.New("is not an RSA key")
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

// tokens reports whether any field of OAuth2 is set.
func (a *Auth) tokens() bool {
	return a.ClientID != "" || !a.ClientSecret.IsZero() || !a.RefreshToken.IsZero() || !a.AccessToken.IsZero() || a.ServiceClient != "" || !a.PrivateKey.Key.IsZero()
}

func (a *Auth) validate(p *problems) {
	if !strings.EqualFold(a.Type, "login") && !strings.EqualFold(a.Type, "oauth2") && a.Type != "" {
		p.add("auth.type", "%q is not known; it takes login or oauth2", a.Type)
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
			p.add("auth.accessToken", "is required, unless refreshToken with clientId and clientSecret, or serviceClient with privateKey, are set")
		}
	}
	if a.Expires < 0 {
		p.add("auth.expires", "is negative; it takes milliseconds since 1970")
	}
	if u, err := url.Parse(a.AccessURL); a.AccessURL != "" &&
		(err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && (u.Scheme != "http" || !httpclient.IsThisMachine(u.Hostname()))) {
		p.add("auth.accessUrl", "is not a URL that begins with https://")
	}
}

// Method is a method to sign in with a password (SASL).
type Method string

// methods are the known methods, the safest first. The first three do not send the
// password itself.
var methods = []Method{"SCRAM-SHA-256", "SCRAM-SHA-1", "CRAM-MD5", "PLAIN", "LOGIN"}

// xoauth2 is the method to sign in with a token; Google's and Microsoft's servers support
// it.
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

// pick returns the method to use with a server that offers these methods; empty if none
// fits.
func pick(offered []string, wanted Method) Method {
	for _, m := range methods {
		fits := wanted == "" || wanted == m
		if fits && slices.ContainsFunc(offered, func(o string) bool { return strings.EqualFold(o, string(m)) }) {
			return m
		}
	}
	return ""
}

// prove returns go-mail's implementation of a method. It does not check that the
// connection is safe; the caller has done so.
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
