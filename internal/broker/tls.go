package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
)

// tlsOptions returns how to verify the server and which certificate to show. The files
// are read now, so that a mistake in them is found before a server is asked, and again at
// each connection: a certificate that is replaced takes no restart.
func (t Target) tlsOptions() ([]nats.Option, error) {
	if t.TLS == (config.NATSTLS{}) {
		return nil, nil // the client takes TLS if the server asks for it
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: t.TLS.ServerName}
	var roots nats.RootCAsHandler
	if t.TLS.CAFile != "" {
		roots = t.roots
		if _, err := roots(); err != nil {
			return nil, err
		}
	}
	var certificate nats.TLSCertHandler
	if t.TLS.CertFile != "" || t.TLS.KeyFile != "" {
		certificate = t.certificate
		if _, err := certificate(); err != nil {
			return nil, err
		}
	}
	return []nats.Option{func(o *nats.Options) error {
		o.Secure, o.TLSConfig, o.TLSHandshakeFirst = true, c, t.TLS.HandshakeFirst
		o.RootCAsCB, o.TLSCertCB = roots, certificate
		return nil
	}}, nil
}

// roots reads the roots of servers' certificates.
func (t Target) roots() (*x509.CertPool, error) {
	file := string(t.TLS.CAFile)
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, &settingError{t.Settings.named().CA, unreadable(file, err)}
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, &settingError{t.Settings.named().CA, fmt.Errorf("names %s, which has no certificate in PEM", file)}
	}
	return pool, nil
}

// certificate reads the client's certificate and its key.
func (t Target) certificate() (tls.Certificate, error) {
	certFile, keyFile := string(t.TLS.CertFile), string(t.TLS.KeyFile)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err == nil {
		return pair, nil
	}
	if path, ok := errors.AsType[*fs.PathError](err); ok {
		return tls.Certificate{}, &settingError{t.Settings.named().Cert, unreadable(path.Path, err)}
	}
	return tls.Certificate{}, &settingError{t.Settings.named().Cert, fmt.Errorf("name %s and %s, which are not a certificate and its private key in PEM: %w", certFile, keyFile, err)}
}
