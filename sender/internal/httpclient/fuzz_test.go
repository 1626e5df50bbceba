package httpclient

import (
	"net/http"
	"net/url"
	"testing"
	"time"
)

// FuzzEndpoint: an accepted endpoint is a scheme and a host alone, and requests can go to
// it.
func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"dm.aliyuncs.com", "http://127.0.0.1:9090", "https://[fe80::1%25lo]:8443/", "bücher.example", "https://u@h", "h/p", "ftp://h", "h:99999", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, endpoint string) {
		u, err := ParseEndpoint(endpoint, "an example")
		if err != nil {
			return
		}
		if (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || *u != (url.URL{Scheme: u.Scheme, Host: u.Host}) {
			t.Errorf("%q is taken for %+v", endpoint, u)
		}
		to, err := originOf(u)
		if err != nil {
			return // a host that no name can be is refused before it is asked for
		}
		if address, host := to.address(); address == "" || host == "" {
			t.Errorf("%q leads to %q, %q", endpoint, address, host)
		}
	})
}

// FuzzHeaders: for any header, the wait is within its bounds, and a clock error is
// reported only from the header's date.
func FuzzHeaders(f *testing.F) {
	for _, s := range []string{"7", "-1", "99999999999999999999", "Sat, 21 Nov 2026 12:00:30 GMT", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", ""} {
		f.Add(s)
	}
	now := time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, value string) {
		h := http.Header{"Retry-After": {value}, "Date": {value}}
		if d := RetryAfter(h, now); d < 0 || d > MaxRetryAfter {
			t.Errorf("Retry-After %q: %v", value, d)
		}
		if off := ClockOff(h, now); len(off) > 200 {
			t.Errorf("Date %q: %q", value, off)
		}
	})
}
