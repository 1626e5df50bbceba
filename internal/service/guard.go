package service

import (
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/codeferry/codeferry/config"
)

// CheckHTTP checks the configuration of the HTTP side: it reads the TLS files, but does not
// listen. The warnings are about settings that are valid but need attention.
func CheckHTTP(c *config.Config, now time.Time) (warnings []string, err error) {
	if err := exposed(c); err != nil {
		return nil, err
	}
	h := c.HTTP
	if h.TLS == (config.TLS{}) {
		if !config.Loopback(c.Listen) {
			warnings = append(warnings, "http.token goes over the network in the clear; give http.tls, unless the network is yours alone")
		}
		return warnings, nil
	}
	loaded, err := loadTLS(h.TLS)
	if err != nil {
		return nil, err
	}
	if text := validity(loaded.Certificates[0].Leaf, now); text != "" {
		warnings = append(warnings, fmt.Sprintf("the certificate in %s %s", h.TLS.CertFile, text))
	}
	if h.TLS.ClientCAFile == "" {
		return warnings, nil
	}
	roots, err := readRoots(string(h.TLS.ClientCAFile))
	if err != nil {
		return nil, err
	}
	for _, root := range roots {
		if text := validity(root, now); text != "" {
			warnings = append(warnings, fmt.Sprintf("a root in %s (%s) %s", h.TLS.ClientCAFile, root.Subject, text))
		}
	}
	return warnings, nil
}

// exposed refuses to serve other machines without authentication.
func exposed(c *config.Config) error {
	if c.HTTP.Guarded() || config.Loopback(c.Listen) {
		return nil
	}
	return fmt.Errorf("listen is %s, which other machines can reach, and nothing protects the metrics: set http.token or http.tls.clientCAFile, or listen on 127.0.0.1", c.Listen)
}

// guard lets requests through that have everything that the configuration asks for.
type guard struct {
	// token is the hash of the required token, so that every comparison takes the same
	// time; nil if none is required.
	token *[sha256.Size]byte
	// certificate says whether the client needs a certificate.
	certificate bool
	next        http.Handler
}

func newGuard(h config.HTTP, next http.Handler) *guard {
	g := &guard{certificate: h.TLS.ClientCAFile != "", next: next}
	if !h.Token.IsZero() {
		sum := sha256.Sum256([]byte(h.Token.Reveal()))
		g.token = &sum
	}
	return g
}

const realm = `Bearer realm="codeferry"`

// ServeHTTP answers 401 to requests without the token, and 403 to those without a certificate,
// because HTTP has no challenge for a certificate.
func (g *guard) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	if g.certificate && (r.TLS == nil || len(r.TLS.VerifiedChains) == 0) {
		answer(rw, http.StatusForbidden, "this takes a client certificate")
		return
	}
	if g.token != nil {
		brought, ok := bearer(r.Header)
		if !ok {
			rw.Header().Set("WWW-Authenticate", realm)
			answer(rw, http.StatusUnauthorized, "this takes a token: Authorization: Bearer …")
			return
		}
		sum := sha256.Sum256([]byte(brought))
		if subtle.ConstantTimeCompare(sum[:], g.token[:]) != 1 {
			rw.Header().Set("WWW-Authenticate", realm+`, error="invalid_token"`)
			answer(rw, http.StatusUnauthorized, "the token is not the right one")
			return
		}
	}
	g.next.ServeHTTP(rw, r)
}

// bearer returns the token of the one Authorization header (RFC 6750, 2.1).
func bearer(h http.Header) (token string, ok bool) {
	values := h.Values("Authorization")
	if len(values) != 1 {
		return "", false
	}
	scheme, token, ok := strings.Cut(values[0], " ")
	return strings.TrimSpace(token), ok && strings.EqualFold(scheme, "Bearer")
}

// small refuses a body that is larger than any valid one.
func small(next http.Handler) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if r.ContentLength > maxBody {
			answer(rw, http.StatusRequestEntityTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBody))
			return
		}
		r.Body = http.MaxBytesReader(rw, r.Body, maxBody)
		next.ServeHTTP(rw, r)
	})
}
