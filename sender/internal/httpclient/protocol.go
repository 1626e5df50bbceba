package httpclient

import (
	"strconv"
	"strings"
)

// protocolError means that an endpoint does not speak HTTP/1.1. It can't have read the
// request as one, so nothing was accepted.
type protocolError struct{ text, advice string }

func (e *protocolError) Error() string { return e.text }

var (
	// errHTTP2: an HTTP/2 server begins with its settings (RFC 9113, 3.4), and treats a
	// connection that does not begin with HTTP/2's preface as broken.
	errHTTP2 = &protocolError{
		"the endpoint speaks only HTTP/2, and codeferry speaks HTTP/1.1",
		"Set the connector's endpoint to a server or port that speaks HTTP/1.1.",
	}
	// errNoHTTP1: the TLS handshake failed by ALPN (RFC 7301, 3.2).
	errNoHTTP1 = &protocolError{
		"the endpoint does not speak HTTP/1.1: it refused it in the TLS handshake",
		errHTTP2.advice,
	}
	// errTLS: a TLS server answers plain text with an alert (RFC 8446, 6).
	errTLS = &protocolError{
		"the endpoint speaks TLS, and the request was plain HTTP",
		"Begin the connector's endpoint with https:// instead of http://.",
	}
)

// headLength is how many of the first bytes identify another protocol: those of an HTTP/2
// frame header.
const headLength = 9

// otherProtocol returns an error if the first bytes of a connection show that the server
// speaks another protocol.
func otherProtocol(head []byte) error {
	switch {
	case len(head) >= headLength && isSettings(head):
		return errHTTP2
	case len(head) >= 7 && isAlert(head):
		return errTLS
	}
	return nil
}

// isSettings reports whether the bytes begin the HTTP/2 frame that a server sends first:
// settings of the connection (RFC 9113, 6.5), of 6 bytes each.
func isSettings(b []byte) bool {
	length := int(b[0])<<16 | int(b[1])<<8 | int(b[2])
	return length <= 1<<14 && length%6 == 0 && string(b[3:9]) == "\x04\x00\x00\x00\x00\x00"
}

// isAlert reports whether the bytes are a TLS alert, a warning or a fatal one.
func isAlert(b []byte) bool {
	return b[0] == 21 && b[1] == 3 && b[2] <= 4 && b[3] == 0 && b[4] == 2 && (b[5] == 1 || b[5] == 2)
}

// quotedProtocol is otherProtocol for an error of net/http, whose text quotes the first
// bytes.
func quotedProtocol(err error) error {
	_, quoted, ok := strings.Cut(err.Error(), "malformed HTTP response ")
	if !ok {
		return nil
	}
	head, _ := strconv.Unquote(quoted) // empty if it is not quoted
	return otherProtocol([]byte(head))
}

// handshakeError returns errNoHTTP1 for a TLS handshake that failed because the server
// does not speak HTTP/1.1. crypto/tls has no error type for a received alert.
func handshakeError(err error) error {
	if strings.HasSuffix(err.Error(), "remote error: tls: no application protocol") {
		return errNoHTTP1
	}
	return err
}
