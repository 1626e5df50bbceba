package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
)

// Diagnosis says what is wrong with a connection, and what to do about it.
type Diagnosis struct {
	// What the server does or has, such as "refuses the credentials".
	What string
	// Remedy names the settings that correct it.
	Remedy string
}

// Diagnose returns what an error of the client means for a connection to t. ok is false if
// the error is not about the login or TLS.
func (t Target) Diagnose(err error) (d Diagnosis, ok bool) {
	switch {
	case err == nil:
		return d, false
	case Refused(err):
		return t.refusal(), true
	}
	return t.tlsDiagnosis(err)
}

// refusal is the diagnosis of a server that refuses the login.
func (t Target) refusal() Diagnosis {
	s := t.Settings.named()
	inline := config.InlineLogin(t.URL)
	d := Diagnosis{What: "refuses the credentials"}
	switch {
	case t.Creds != "":
		d.Remedy = fmt.Sprintf("check that the server knows the user of %s (%s), or use another credentials file", t.Creds, s.Creds)
		if c, err := t.credentials(); err == nil && !c.expires.IsZero() && c.expires.Before(time.Now()) {
			d.Remedy = fmt.Sprintf("%s (%s) expired on %s: put a new credentials file there", t.Creds, s.Creds, c.expires.UTC().Format(time.RFC3339))
		}
	case t.User != "":
		d.Remedy = "correct " + s.User
	case !t.Token.IsZero():
		d.Remedy = "correct " + s.Token
	case inline != "":
		d.Remedy = "correct the " + inline + " in " + s.URL
	case t.NKey != "":
		d.Remedy = "check that the server knows the nkey of " + t.NKey + ", or set another one with " + s.NKey
		if public, _, err := t.nkey(); err == nil {
			d.Remedy = fmt.Sprintf("check that the server knows the nkey %s of %s, or set another one with %s", public, t.NKey, s.NKey)
		}
	case t.TLS.CertFile != "":
		d.Remedy = fmt.Sprintf("check that the server knows the user of the certificate %s (%s), or set a login with %s", t.TLS.CertFile, s.Cert, s.Login)
	default:
		d.Remedy = "there are none: set them with " + s.Login
	}
	return d
}

// tlsDiagnosis is the diagnosis of TLS that fails.
func (t Target) tlsDiagnosis(err error) (d Diagnosis, ok bool) {
	s := t.Settings.named()
	var unknown x509.UnknownAuthorityError
	var host x509.HostnameError
	var invalid x509.CertificateInvalidError
	var record tls.RecordHeaderError
	var verification *tls.CertificateVerificationError
	switch {
	case errors.As(err, &host):
		return Diagnosis{"has a certificate for another name", fmt.Sprintf("use one of its names in %s, or set it in %s", s.URL, s.ServerName)}, true
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return Diagnosis{"has a certificate that is not valid now", "renew the server's certificate, or correct this machine's clock"}, true
	case errors.As(err, &unknown) && t.TLS.CAFile != "":
		return Diagnosis{"has a certificate that is not trusted here", fmt.Sprintf("add its CA's root certificate to %s (%s)", t.TLS.CAFile, s.CA)}, true
	case errors.As(err, &unknown):
		return Diagnosis{"has a certificate that is not trusted here", "set " + s.CA + " to a file with its CA's root certificate"}, true
	case errors.As(err, &verification):
		return Diagnosis{"has a certificate that is not trusted here", "correct the server's certificate, or the roots of " + s.CA}, true
	case errors.Is(err, nats.ErrSecureConnWanted):
		return Diagnosis{"has no TLS", fmt.Sprintf("turn TLS on in the server, or use nats:// in %s and no settings of TLS", s.URL)}, true
	case errors.As(err, &record) && t.TLS.HandshakeFirst:
		return Diagnosis{"does not start with TLS", "leave out " + s.HandshakeFirst}, true
	case errors.As(err, &record):
		return Diagnosis{"does not answer in TLS", "check the address in " + s.URL}, true
	}
	return t.clientCertificate(err)
}

// clientCertificate is the diagnosis of a server that ends the connection because of the
// client's certificate. With TLS 1.3 the server says so only after the handshake, and the
// client can find the connection closed before it reads the reason.
func (t Target) clientCertificate(err error) (d Diagnosis, ok bool) {
	s := t.Settings.named()
	alert := ""
	if op, isOp := errors.AsType[*net.OpError](err); isOp && op.Op == "remote error" {
		alert = op.Err.Error()
	}
	closed := errors.Is(err, nats.ErrTLS) && (errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET))
	const verb, name = "closed the connection", "set one with "
	switch {
	case alert == "" && !closed:
		return d, false
	case t.TLS.CertFile == "" && (closed || strings.Contains(alert, "certificate required") || strings.Contains(alert, "bad certificate") || strings.Contains(alert, "handshake failure")):
		what := "requires a client certificate"
		if closed {
			what = verb + " after the TLS handshake: it probably " + what
		}
		return Diagnosis{what, name + s.Cert}, true
	case t.TLS.CertFile == "":
		return Diagnosis{"ended the TLS handshake", "see the server's log for the reason"}, true
	}
	what := "does not accept the client certificate"
	if closed {
		what = verb + " after the TLS handshake: it probably " + what
	}
	remedy := fmt.Sprintf("add the root of %s (%s) to the server's CA file", t.TLS.CertFile, s.Cert)
	if pair, err := t.certificate(); err == nil && pair.Leaf != nil && pair.Leaf.NotAfter.Before(time.Now()) {
		remedy = fmt.Sprintf("%s (%s) expired on %s: put a new certificate there", t.TLS.CertFile, s.Cert, pair.Leaf.NotAfter.UTC().Format(time.RFC3339))
	}
	return Diagnosis{what, remedy}, true
}

// connectError returns an error that says what happened and what to do.
func (t Target) connectError(err error) error {
	if wrong, ok := errors.AsType[*settingError](err); ok {
		return wrong // without the client's text around it
	}
	at := Redacted(t.URL)
	if d, ok := t.Diagnose(err); ok {
		return fmt.Errorf("NATS at %s %s; %s (%w)", at, d.What, d.Remedy, err)
	}
	switch {
	case unreachable(err) && t.Settings.Unnamed != "":
		return fmt.Errorf("no NATS server is named, and the default %s can't be reached: start one there, or name yours with %s (%w)", at, t.Settings.Unnamed, err)
	case unreachable(err):
		return fmt.Errorf("NATS at %s can't be reached; is it running, and is the address right? (%w)", at, err)
	case errors.Is(err, os.ErrDeadlineExceeded) && errors.Is(err, nats.ErrTLS):
		return fmt.Errorf("NATS at %s does not finish the TLS handshake; is it busy, or frozen? (%w)", at, err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("NATS at %s accepts the connection and says nothing; is it frozen, or is this the address of another service%s? (%w)", at, t.orTLSFirst(), err)
	case errors.Is(err, io.EOF):
		return fmt.Errorf("NATS at %s closed the connection without a word; is this the address of another service%s? (%w)", at, t.orTLSFirst(), err)
	}
	return fmt.Errorf("connect to NATS at %s: %w", at, err)
}

// orTLSFirst ends the question about a server that says nothing: it may wait for TLS.
func (t Target) orTLSFirst() string {
	if t.TLS.HandshakeFirst {
		return ""
	}
	return ", or does it start with TLS (" + t.Settings.named().HandshakeFirst + ")"
}

// unreachable tells whether an error says that no server was there.
func unreachable(err error) bool {
	var dns *net.DNSError
	return errors.Is(err, nats.ErrNoServers) || errors.Is(err, nats.ErrTimeout) || errors.As(err, &dns)
}
