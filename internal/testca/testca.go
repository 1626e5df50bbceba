// Package testca makes certificates for tests.
package testca

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// CA is a certificate authority that was made for a test.
type CA struct {
	t    testing.TB
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// New makes a CA that is valid for an hour.
func New(t testing.TB) *CA {
	t.Helper()
	return NewUntil(t, time.Now().Add(time.Hour))
}

// NewUntil makes a CA that is valid up to a time, which may have passed.
func NewUntil(t testing.TB, until time.Time) *CA {
	t.Helper()
	a := &CA{t: t}
	a.cert, a.key = a.issue(&x509.Certificate{
		Subject: pkix.Name{CommonName: "test root"}, NotAfter: until,
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	})
	return a
}

func (a *CA) issue(template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, big.NewInt(1<<62)); err != nil {
		a.t.Fatal(err)
	}
	template.NotBefore = time.Now().Add(-100 * 24 * time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = template, key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		a.t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// Root returns the CA's own certificate, in PEM.
func (a *CA) Root() []byte { return certPEM(a.cert) }

// Pool returns a pool that holds the CA alone.
func (a *CA) Pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// Pair makes a certificate of servers and clients for the names, which are also
// addresses, and its key, in PEM. It is valid for an hour.
func (a *CA) Pair(names ...string) (cert, key []byte) {
	return a.PairUntil(time.Now().Add(time.Hour), names...)
}

// PairUntil makes a certificate that is valid up to a time, which may have passed.
func (a *CA) PairUntil(until time.Time, names ...string) (cert, key []byte) {
	a.t.Helper()
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: names[0]}, NotAfter: until,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	for _, n := range names {
		if ip := net.ParseIP(n); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, n)
		}
	}
	c, k := a.issue(template)
	der, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		a.t.Fatal(err)
	}
	return certPEM(c), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

// Server returns how a server with a certificate for the names listens. Clients have to
// show a certificate of this CA if clients is set.
func (a *CA) Server(clients bool, names ...string) *tls.Config {
	a.t.Helper()
	return a.serve(clients, time.Now().Add(time.Hour), names...)
}

// ExpiredServer is Server with a certificate whose time is over.
func (a *CA) ExpiredServer(names ...string) *tls.Config {
	a.t.Helper()
	return a.serve(false, time.Now().Add(-time.Hour), names...)
}

func (a *CA) serve(clients bool, until time.Time, names ...string) *tls.Config {
	a.t.Helper()
	pair, err := tls.X509KeyPair(a.PairUntil(until, names...))
	if err != nil {
		a.t.Fatal(err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	if clients {
		c.ClientAuth, c.ClientCAs = tls.RequireAndVerifyClientCert, a.Pool()
	}
	return c
}

func certPEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// Replace writes a file as tools that renew secrets do: by a rename.
func Replace(t testing.TB, path string, text []byte) {
	t.Helper()
	if err := os.WriteFile(path+".next", text, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(path+".next", path); err != nil {
		t.Fatal(err)
	}
}

// Write makes a file in a folder of its own, and returns its path.
func Write(t testing.TB, name string, text []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	Replace(t, path, text)
	return path
}
