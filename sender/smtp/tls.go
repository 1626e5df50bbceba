package smtp

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// TLS holds Node's options for a TLS connection that have an effect here. The certificate
// is always verified.
type TLS struct {
	// ServerName is the name that the certificate must have. It overrides
	// Config.ServerName.
	ServerName string `yaml:"servername"`
	// MinVersion and MaxVersion are TLSv1.2 or TLSv1.3. Older versions can be named, but
	// are never used.
	MinVersion TLSVersion `yaml:"minVersion"`
	MaxVersion TLSVersion `yaml:"maxVersion"`
	// RejectUnauthorized can't be false; use caFile instead.
	RejectUnauthorized *bool `yaml:"rejectUnauthorized"`
	// CA holds the certificates to trust instead of the system's, in PEM: one text or a
	// list. caFile names a file instead.
	CA PEM `yaml:"ca"`
	// Cert and Key are a client certificate and its key, in PEM.
	Cert PEM           `yaml:"cert"`
	Key  sender.Secret `yaml:"key"`

	Ciphers                 sender.Ignored `yaml:"ciphers"`
	HonorCipherOrder        sender.Ignored `yaml:"honorCipherOrder"`
	ECDHCurve               sender.Ignored `yaml:"ecdhCurve"`
	SigAlgs                 sender.Ignored `yaml:"sigalgs"`
	DHParam                 sender.Ignored `yaml:"dhparam"`
	MinDHSize               sender.Ignored `yaml:"minDHSize"`
	SecureProtocol          sender.Ignored `yaml:"secureProtocol"`
	SecureOptions           sender.Ignored `yaml:"secureOptions"`
	ALPNProtocols           sender.Ignored `yaml:"ALPNProtocols"`
	Session                 sender.Ignored `yaml:"session"`
	RequestOCSP             sender.Ignored `yaml:"requestOCSP"`
	EnableTrace             sender.Ignored `yaml:"enableTrace"`
	AllowPartialTrustChain  sender.Ignored `yaml:"allowPartialTrustChain"`
	PrivateKeyEngine        sender.Ignored `yaml:"privateKeyEngine"`
	PrivateKeyIdentifier    sender.Ignored `yaml:"privateKeyIdentifier"`
	HandshakeTimeout        sender.Ignored `yaml:"handshakeTimeout"`
	SessionIDContext        sender.Ignored `yaml:"sessionIdContext"`
	TicketKeys              sender.Ignored `yaml:"ticketKeys"`
	PFX                     sender.Ignored `yaml:"pfx"`
	Passphrase              sender.Ignored `yaml:"passphrase"`
	CRL                     sender.Ignored `yaml:"crl"`
	SessionTimeout          sender.Ignored `yaml:"sessionTimeout"`
	ClientCertEngine        sender.Ignored `yaml:"clientCertEngine"`
	CheckServerIdentityFunc sender.Ignored `yaml:"checkServerIdentity"`
}

// PEM is one text in PEM, or a list of them.
type PEM []string

// UnmarshalText reads one text.
func (p *PEM) UnmarshalText(text []byte) error {
	*p = PEM{string(text)}
	return nil
}

func (p PEM) text() string { return strings.Join(p, "\n") }

// TLSVersion is a version of TLS as Node names it.
type TLSVersion string

// UnmarshalText reads one of Node's names.
func (v *TLSVersion) UnmarshalText(text []byte) error {
	if sender.ReadOneOf(v, text, "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3") != nil {
		return fmt.Errorf("%q is not a version of TLS; it takes TLSv1.2 or TLSv1.3", text) // older versions are never used
	}
	return nil
}

// old reports whether the version is no longer safe (RFC 8996).
func (v TLSVersion) old() bool { return v == "TLSv1" || v == "TLSv1.1" }

func (v TLSVersion) number() uint16 {
	switch v {
	case "":
		return 0
	case "TLSv1.3":
		return tls.VersionTLS13
	}
	return tls.VersionTLS12
}

func (t *TLS) warnings() (p problems) {
	if t.MinVersion.old() {
		p.add("tls.minVersion", "is older than TLS 1.2, the oldest version that codeferry uses")
	}
	return p
}

func (c *Config) validateTLS(p *problems) {
	if c.IgnoreTLS && c.RequireTLS {
		p.add("ignoreTLS", "can't be set together with requireTLS; remove one of them")
	}
	if c.IgnoreTLS && !c.secure() && c.Auth.kind() != nobody && !httpclient.IsThisMachine(c.Host) {
		p.add("ignoreTLS", "would send the credentials unencrypted; remove it, or remove auth")
	}
	t := &c.TLS
	if t.RejectUnauthorized != nil && !*t.RejectUnauthorized {
		p.add("tls.rejectUnauthorized", "is false, which would send credentials and codes to any server that answers; remove it. Set caFile (PEM) to the certificate of the server or its CA, and servername to the certificate's name if that is not host")
	}
	if t.MaxVersion.old() {
		p.add("tls.maxVersion", "is older than TLS 1.2, the oldest version that codeferry uses")
	}
	if lo, hi := t.MinVersion.number(), t.MaxVersion.number(); hi != 0 && lo > hi {
		p.add("tls.minVersion", "is above maxVersion")
	}
	if c.CAFile != "" && len(t.CA) > 0 {
		p.add("caFile", "can't be set together with tls.ca; remove one of them")
	}
	for _, ca := range []struct{ path, text string }{{"caFile", string(c.CAFile)}, {"tls.ca", t.CA.text()}} {
		if ca.text != "" && !x509.NewCertPool().AppendCertsFromPEM([]byte(ca.text)) {
			p.add(ca.path, "holds no certificate in PEM (-----BEGIN CERTIFICATE-----)")
		}
	}
	switch {
	case len(t.Cert) == 0 && t.Key.IsZero():
	case len(t.Cert) == 0:
		p.add("tls.cert", "is missing beside tls.key")
	case t.Key.IsZero():
		p.add("tls.key", "is missing beside tls.cert")
	default:
		if _, err := tls.X509KeyPair([]byte(t.Cert.text()), []byte(t.Key.Reveal())); err != nil {
			p.add("tls.cert", "and tls.key are not a pair in PEM; the key must not be encrypted")
		}
	}
}

func (c *Config) tlsConfig() (*tls.Config, error) {
	out := &tls.Config{
		ServerName: inASCII(cmp.Or(c.TLS.ServerName, c.ServerName, c.Host)),
		MinVersion: max(tls.VersionTLS12, c.TLS.MinVersion.number()),
		MaxVersion: c.TLS.MaxVersion.number(),
	}
	if text := cmp.Or(string(c.CAFile), c.TLS.CA.text()); text != "" {
		out.RootCAs = x509.NewCertPool()
		if !out.RootCAs.AppendCertsFromPEM([]byte(text)) {
			return nil, errors.New("caFile holds no certificate in PEM")
		}
	}
	if len(c.TLS.Cert) > 0 {
		pair, err := tls.X509KeyPair([]byte(c.TLS.Cert.text()), []byte(c.TLS.Key.Reveal()))
		if err != nil {
			return nil, errors.New("tls.cert and tls.key are not a pair")
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// isLoopback reports whether a connection stays on this machine.
func isLoopback(conn net.Conn) bool {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}
