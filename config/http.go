package config

import (
	"net"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// HTTP protects what the service serves on listen. Health is open to everyone. All other
// requests need everything that is set here. If listen is not on loopback, token or
// tls.clientCAFile is required.
type HTTP struct {
	// Token is what a client sends as "Authorization: Bearer …": 32 characters or more.
	// Default: none.
	Token sender.Secret `yaml:"token"`
	// PProf serves the profiles of Go's runtime under /debug/pprof/. Default: false.
	PProf bool `yaml:"pprof"`
	TLS   TLS  `yaml:"tls"`
}

// TLS names files in PEM. The service reads them when it starts, and again when they
// change.
type TLS struct {
	// CertFile is the server's certificate, followed by its intermediate certificates.
	CertFile Path `yaml:"certFile"`
	// KeyFile is its private key.
	KeyFile Path `yaml:"keyFile"`
	// ClientCAFile holds the roots of clients' certificates. Default: none, and the
	// server asks no client for a certificate.
	ClientCAFile Path `yaml:"clientCAFile"`
}

// Path is a file's path. A relative path starts at the configuration's folder.
type Path string

func (p *Path) decode(d *decoder, f field) {
	d.value(f, reflect.ValueOf((*string)(p)).Elem())
	if *p != "" {
		*p = Path(resolvePath(filepath.Dir(f.doc.file), string(*p)))
	}
}

// Guarded reports whether clients must identify themselves.
func (h HTTP) Guarded() bool { return !h.Token.IsZero() || h.TLS.ClientCAFile != "" }

// Loopback reports whether only this machine can reach an address such as
// 127.0.0.1:8080. It is false for each name except localhost: a resolver decides where a
// name leads.
func Loopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

func (d *decoder) http(h HTTP) {
	d.strong("http.token", h.Token)
	if strings.ContainsFunc(h.Token.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		d.failPath("http.token", "has characters that an HTTP header can't hold; it takes letters, digits and signs, without spaces")
	}
	if _, given := d.places["http.tls"]; given && h.TLS == (TLS{}) {
		d.failPath("http.tls", "needs certFile and keyFile")
		return
	}
	for _, needed := range []struct {
		name string
		path Path
	}{{"certFile", h.TLS.CertFile}, {"keyFile", h.TLS.KeyFile}} {
		if h.TLS != (TLS{}) && needed.path == "" {
			d.failPath("http.tls."+needed.name, "is required if tls is given")
		}
	}
}

func (d *decoder) encryption(c *Config) {
	d.strong("encryptionKey", c.EncryptionKey)
	if !c.EncryptionKey.IsZero() && c.NATS.URL != "" {
		d.failPath("encryptionKey", "encrypts only the embedded server's data, but nats.url names another server; encrypt the data in that server's configuration, and leave this out")
	}
}

// minSecret is the minimum length of a secret that the operator chooses: 128 bits in
// hexadecimal.
const minSecret = 32

// strong refuses a secret that is easy to guess. It also refuses one that is given but
// empty, such as from an empty variable: it would protect nothing.
func (d *decoder) strong(path string, s sender.Secret) {
	if _, given := d.places[path]; given && len(s.Reveal()) < minSecret {
		d.failPath(path, "is too short; it takes 32 characters or more, such as openssl rand -hex 32 prints")
	}
}
