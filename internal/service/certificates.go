package service

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
)

// certificates are a server's TLS files. Each handshake checks whether they have changed, and
// reads them again; if they can't be read or do not belong together, the old ones stay in use.
type certificates struct {
	files config.TLS
	log   zerolog.Logger

	mu      sync.Mutex
	current *tls.Config
	read    fileStates
	// refused are the states of files that could not be used, so that this is logged once.
	refused fileStates
}

// fileStates shows whether a file was replaced: one state for each TLS file.
type fileStates [3]os.FileInfo

func (a fileStates) same(b fileStates) bool {
	for i, x := range a {
		y := b[i]
		if (x == nil) != (y == nil) {
			return false
		}
		if x != nil && !(os.SameFile(x, y) && x.Size() == y.Size() && x.ModTime().Equal(y.ModTime())) {
			return false
		}
	}
	return true
}

func statFiles(files config.TLS) (s fileStates) {
	for i, path := range []config.Path{files.CertFile, files.KeyFile, files.ClientCAFile} {
		if info, err := os.Stat(string(path)); path != "" && err == nil {
			s[i] = info
		}
	}
	return s
}

// openCertificates reads the files. Its error says which file is wrong.
func openCertificates(files config.TLS, log zerolog.Logger) (*certificates, error) {
	c := &certificates{files: files, log: log, read: statFiles(files)}
	var err error
	c.current, err = loadTLS(files)
	return c, err
}

// config returns the configuration for a listener.
func (c *certificates) config() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS12,
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return c.now(), nil },
	}
}

// now returns the configuration of one handshake.
func (c *certificates) now() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	states := statFiles(c.files) // before the read, so that the next handshake sees a change during it
	if states.same(c.read) {
		return c.current
	}
	fresh, err := loadTLS(c.files)
	if err != nil {
		if !states.same(c.refused) {
			c.refused = states
			c.log.Error().Err(err).Msg("the TLS files have changed, and can't be used; the old ones stay in use")
		}
		return c.current
	}
	c.current, c.read, c.refused = fresh, states, fileStates{}
	c.log.Info().Time("until", fresh.Certificates[0].Leaf.NotAfter).Msg("the TLS files have changed, and were read again")
	return c.current
}

// loadTLS reads the files into a configuration.
func loadTLS(files config.TLS) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(string(files.CertFile), string(files.KeyFile))
	if err != nil {
		if _, ok := errors.AsType[*os.PathError](err); ok {
			return nil, fmt.Errorf("http.tls: %w", err)
		}
		return nil, fmt.Errorf("http.tls: %s and %s are not a certificate and its private key in PEM: %w", files.CertFile, files.KeyFile, err)
	}
	c := &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
		NextProtos:   []string{"http/1.1"},
		// An old session would still accept a client whose root is no longer trusted.
		SessionTicketsDisabled: true,
	}
	if files.ClientCAFile != "" {
		roots, err := readRoots(string(files.ClientCAFile))
		if err != nil {
			return nil, err
		}
		c.ClientCAs = x509.NewCertPool()
		for _, root := range roots {
			c.ClientCAs.AddCert(root)
		}
		c.ClientAuth = tls.VerifyClientCertIfGiven // health probes have no certificate
	}
	return c, nil
}

// readRoots reads a file of certificates.
func readRoots(file string) (roots []*x509.Certificate, err error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("http.tls.clientCAFile: %w", err)
	}
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		root, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("http.tls.clientCAFile: %s: %w", file, err)
		}
		roots = append(roots, root)
	}
	if len(roots) == 0 {
		return nil, fmt.Errorf("http.tls.clientCAFile: %s holds no certificate in PEM", file)
	}
	return roots, nil
}

// soon is how long before its expiry a certificate gets a warning.
const soon = 14 * 24 * time.Hour

// validity describes the problem with a certificate's dates; "" if there is none.
func validity(c *x509.Certificate, now time.Time) string {
	const day = time.DateOnly
	switch {
	case now.Before(c.NotBefore):
		return "is not good before " + c.NotBefore.Format(time.RFC3339)
	case now.After(c.NotAfter):
		return "has expired on " + c.NotAfter.Format(day)
	case now.After(c.NotAfter.Add(-soon)):
		return "expires on " + c.NotAfter.Format(day)
	}
	return ""
}
