package exchange

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// ParseEndpoint returns the URL of a provider's endpoint, its scheme and host alone: a
// host with an optional port, or a URL that is one. A bare host means HTTPS. The error
// names what it takes by the examples.
func ParseEndpoint(endpoint, examples string) (*url.URL, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("is no endpoint; it takes " + examples)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// origin is where a request goes (RFC 6454).
type origin struct{ scheme, host string }

// originOf returns a URL's. Its error says what can't be one.
func originOf(u *url.URL) (origin, error) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return origin{}, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	}
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || host == "" || !httpguts.ValidHostHeader(host) {
		return origin{}, fmt.Errorf("host %q can't be one", u.Host)
	}
	return origin{u.Scheme, host}, nil
}

// address is what is dialled.
func (o origin) address() (address, host string) {
	u := url.URL{Host: o.host}
	port := u.Port()
	if port == "" {
		port = "443"
		if o.scheme == "http" {
			port = "80"
		}
	}
	return net.JoinHostPort(u.Hostname(), port), u.Hostname()
}

// named is the host as a request's header has it: a zone means something on this
// machine alone (RFC 6874).
func (o origin) named() string {
	zone := strings.IndexByte(o.host, '%')
	if end := strings.LastIndexByte(o.host, ']'); zone >= 0 && zone < end {
		return o.host[:zone] + o.host[end:]
	}
	return o.host
}
