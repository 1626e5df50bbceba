package httpclient

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"golang.org/x/net/http/httpguts"
)

// ParseEndpoint returns the URL of a provider's endpoint, which is a host with an
// optional port, or a URL of scheme and host alone. A bare host means HTTPS. The error
// names examples as valid endpoints.
func ParseEndpoint(endpoint, examples string) (*url.URL, error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = "https://" + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Hostname() == "" || u.Path != "" && u.Path != "/" || u.RawQuery != "" || u.Fragment != "" || u.User != nil ||
		u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("is not an endpoint; it takes " + examples)
	}
	return &url.URL{Scheme: u.Scheme, Host: u.Host}, nil
}

// IsThisMachine reports whether a host is this machine by its name or address alone.
func IsThisMachine(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
}

// origin is where a request goes (RFC 6454).
type origin struct{ scheme, host string }

// originOf returns the origin of a URL. Its error says what is invalid.
func originOf(u *url.URL) (origin, error) {
	if u.Scheme != "http" && u.Scheme != "https" {
		return origin{}, fmt.Errorf("scheme %q is neither http nor https", u.Scheme)
	}
	host, err := httpguts.PunycodeHostPort(u.Host)
	if err != nil || host == "" || !httpguts.ValidHostHeader(host) {
		return origin{}, fmt.Errorf("host %q is not valid", u.Host)
	}
	return origin{u.Scheme, host}, nil
}

// address returns the address to dial, and its host.
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

// named returns the host for a request's header, without an IPv6 zone, which has a
// meaning only on this machine (RFC 6874).
func (o origin) named() string {
	zone := strings.IndexByte(o.host, '%')
	if end := strings.LastIndexByte(o.host, ']'); zone >= 0 && zone < end {
		return o.host[:zone] + o.host[end:]
	}
	return o.host
}
