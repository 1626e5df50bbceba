package httpclient

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// ProxyError means that a proxy refused, or can't be reached. Nothing has reached the
// provider.
type ProxyError struct {
	// Host is the proxy's host and port, without user and password; empty if it is not
	// known.
	Host string
	// Variable is the environment variable that names the proxy.
	Variable string
	// Status is the status of its answer; 0 if it did not answer.
	Status int
	// Err is why it did not answer.
	Err error
}

func (e *ProxyError) Error() string {
	what := fmt.Sprintf("the proxy %s refused with HTTP status %d (%s)", e.Host, e.Status, http.StatusText(e.Status))
	if e.Status == 0 {
		what = fmt.Sprintf("the proxy %s can't be reached (%v)", e.Host, e.Err)
	}
	what += "; " + e.Variable + " names it"
	if e.Status == http.StatusProxyAuthRequired {
		what += ", with the user and password that it asks for"
	}
	return what + ", and NO_PROXY names the hosts that need no proxy"
}

func (e *ProxyError) Unwrap() error { return e.Err }

// RefusedByProxy is for an http.Transport's OnProxyConnectResponse. It names a proxy that
// refuses to connect in the error.
func RefusedByProxy(_ context.Context, proxy *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode == http.StatusOK {
		return nil
	}
	return &ProxyError{Host: proxy.Host, Variable: proxyVariable("https"), Status: answer.StatusCode}
}

// proxyVariable returns the environment variable that names the proxy for a scheme.
func proxyVariable(scheme string) string {
	if scheme == "https" {
		return "HTTPS_PROXY"
	}
	return "HTTP_PROXY"
}

// throughProxy names the proxy in net/http's error about reaching it.
func throughProxy(err error, proxy *url.URL, scheme string) error {
	var op *net.OpError
	switch {
	case proxy == nil:
		return err
	case errors.As(err, &op) && op.Op == "proxyconnect":
		err = op.Err
	case strings.Contains(err.Error(), "malformed "): // its answer to CONNECT, which net/http quotes
		err = errNoHTTP
	default:
		return err
	}
	return &ProxyError{Host: proxy.Host, Variable: proxyVariable(scheme), Err: err}
}
