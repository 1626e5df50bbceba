package config

import (
	"net"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/codeferry/codeferry/sender"
)

// HTTP says who may ask what is served on listen. Health is everyone's to ask; all
// else takes what is given here, each of it. Beyond this machine one of token and
// tls.clientCAFile has to be.
type HTTP struct {
	// Token is asked for as "Authorization: Bearer …", 32 characters or more.
	// Default: none.
	Token sender.Secret `yaml:"token"`
	TLS   TLS           `yaml:"tls"`
}

// TLS names files in PEM. They are read when the service starts, and again when
// they change.
type TLS struct {
	// CertFile is the server's certificate, followed by those that lead to its root.
	CertFile Path `yaml:"certFile"`
	// KeyFile is its private key.
	KeyFile Path `yaml:"keyFile"`
	// ClientCAFile holds the roots of clients' certificates. Default: none, and no
	// client is asked for one.
	ClientCAFile Path `yaml:"clientCAFile"`
}

// Path is a file's path. In a configuration it is relative to that one's folder.
type Path string

func (p *Path) decode(d *decoder, f field) {
	d.value(f, reflect.ValueOf((*string)(p)).Elem())
	if *p != "" {
		*p = Path(resolvePath(filepath.Dir(f.doc.file), string(*p)))
	}
}

// Guarded tells whether anyone is kept out.
func (h HTTP) Guarded() bool { return !h.Token.IsZero() || h.TLS.ClientCAFile != "" }

// Loopback tells whether an address such as 127.0.0.1:8080 is surely this machine's
// alone. A name but localhost is not: it is whatever a resolver says.
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
		d.failPath("http.token", "holds what an HTTP header can't; it takes letters, digits and signs, without spaces")
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
			d.failPath("http.tls."+needed.name, "is required where tls is given")
		}
	}
}

func (d *decoder) encryption(c *Config) {
	d.strong("encryptionKey", c.EncryptionKey)
	if !c.EncryptionKey.IsZero() && c.NATS.URL != "" {
		d.failPath("encryptionKey", "is the embedded server's, and nats.url names another; encrypt that one's data in its own configuration, and leave this out")
	}
}

// minSecret is the least that a secret of the operator's own choice holds: 128 bits
// in hexadecimal.
const minSecret = 32

// strong refuses a secret that can be guessed, and one that is given and empty, as
// from a variable that was set to nothing: what it protects would stand open.
func (d *decoder) strong(path string, s sender.Secret) {
	if _, given := d.places[path]; given && len(s.Reveal()) < minSecret {
		d.failPath(path, "is too short; it takes 32 characters or more, such as openssl rand -hex 32 prints")
	}
}
