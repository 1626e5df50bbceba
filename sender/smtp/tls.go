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
)

// TLS is Node's options for a TLS connection, as far as they mean something
// here. The certificate is always verified.
type TLS struct {
	// ServerName is the name that the certificate must have; it stands above
	// servername outside.
	ServerName string `yaml:"servername"`
	// MinVersion and MaxVersion are TLSv1.2 or TLSv1.3. Older ones are known, and
	// never spoken.
	MinVersion TLSVersion `yaml:"minVersion"`
	MaxVersion TLSVersion `yaml:"maxVersion"`
	// RejectUnauthorized can't be false: see caFile.
	RejectUnauthorized *bool `yaml:"rejectUnauthorized"`
	// CA is the certificates to trust in place of the system's, in PEM: a text or a
	// list of them. CAFile names a file instead.
	CA PEM `yaml:"ca"`
	// Cert and Key are a client's certificate and its key, in PEM.
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

// PEM is a text in PEM, or several in a list.
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
	switch name := TLSVersion(text); name {
	case "TLSv1", "TLSv1.1", "TLSv1.2", "TLSv1.3":
		*v = name
		return nil
	}
	return fmt.Errorf("%q is no version; it is TLSv1.2 or TLSv1.3", text)
}

// old tells whether the version is one that is no longer safe (RFC 8996).
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
		p.add("tls.minVersion", "is older than TLS 1.2, which is the oldest that is spoken")
	}
	return p
}

func (c *Config) validateTLS(p *problems) {
	if c.IgnoreTLS && c.RequireTLS {
		p.add("ignoreTLS", "stands beside requireTLS; give one of them")
	}
	if c.IgnoreTLS && !c.secure() && c.Auth.kind() != nobody && !isLocalName(c.Host) {
		p.add("ignoreTLS", "would send the credentials in the clear; leave it away, or leave auth away")
	}
	t := &c.TLS
	if t.RejectUnauthorized != nil && !*t.RejectUnauthorized {
		p.add("tls.rejectUnauthorized", "is false, and would hand credentials and codes to whoever answers; leave it away, and name the server's certificate or its CA's in caFile (PEM), or its name in servername where that is another than host")
	}
	if t.MaxVersion.old() {
		p.add("tls.maxVersion", "is older than TLS 1.2, which is the oldest that is spoken")
	}
	if lo, hi := t.MinVersion.number(), t.MaxVersion.number(); hi != 0 && lo > hi {
		p.add("tls.minVersion", "is above maxVersion")
	}
	if c.CAFile != "" && len(t.CA) > 0 {
		p.add("caFile", "stands beside tls.ca; give one of them")
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
			p.add("tls.cert", "and tls.key make no pair in PEM; the key must not be encrypted")
		}
	}
}

func (c *Config) tlsConfig() (*tls.Config, error) {
	out := &tls.Config{
		ServerName: cmp.Or(c.TLS.ServerName, c.ServerName, c.Host),
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
			return nil, errors.New("tls.cert and tls.key make no pair")
		}
		out.Certificates = []tls.Certificate{pair}
	}
	return out, nil
}

// isLocalName tells whether a host is this machine by its very name.
func isLocalName(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// isLoopback tells whether a connection stays on this machine.
func isLoopback(conn net.Conn) bool {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	return ok && a.IP.IsLoopback()
}
