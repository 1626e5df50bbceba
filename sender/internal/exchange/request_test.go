package exchange

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

func TestWhatCantStandInARequest(t *testing.T) {
	for _, c := range []struct {
		name  string
		spoil func(*Request)
	}{
		{"the URL", func(r *Request) { r.URL.RawQuery = "a=b HTTP/1.1\r\nX: y" }},
		{"the host", func(r *Request) { r.URL.Host = "a\r\nX: y" }},
		{"no host", func(r *Request) { r.URL.Host = "" }},
		{"the method", func(r *Request) { r.Method = "POST / HTTP/1.1\r\nX" }},
		{"HEAD", func(r *Request) { r.Method = http.MethodHead }},
		{"no method", func(r *Request) { r.Method = "" }},
		{"a header", func(r *Request) { r.Header.Set("Authorization", "x\r\nInjected: y") }},
		{"a header's name", func(r *Request) { r.Header["A\r\nInjected"] = []string{"y"} }},
		{"the scheme", func(r *Request) { r.URL.Scheme = "ftp" }},
	} {
		r := post(t, "http://127.0.0.1:1", "a")
		c.spoil(r)
		if _, _, err := ask(t.Context(), direct(Options{}), r); left(t, err) || strings.Contains(err.Error(), "refused") {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestRequest(t *testing.T) {
	var got *http.Request
	srv := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r }))
	defer srv.Close()
	r := post(t, srv.URL+"?a=b", "body")
	r.Header = http.Header{
		"Authorization": {"x y"}, "Content-Length": {"7"}, "Host": {"elsewhere"}, "Transfer-Encoding": {"chunked"},
		"content-length": {"9"}, "host": {"elsewhere"}, "transfer-encoding": {"chunked"},
	}
	if _, _, err := ask(t.Context(), direct(Options{}), r); err != nil {
		t.Fatal(err)
	}
	if got.RequestURI != "/?a=b" || got.ContentLength != 4 || got.Host != r.URL.Host || len(got.TransferEncoding) != 0 ||
		got.Header.Get("Authorization") != "x y" {
		t.Errorf("%+v", got)
	}
}

func TestHosts(t *testing.T) {
	for host, want := range map[string][3]string{
		"dm.aliyuncs.com":     {"dm.aliyuncs.com", "dm.aliyuncs.com:443", "dm.aliyuncs.com"},
		"dm.aliyuncs.com:80":  {"dm.aliyuncs.com:80", "dm.aliyuncs.com:80", "dm.aliyuncs.com"},
		"bücher.example:8443": {"xn--bcher-kva.example:8443", "xn--bcher-kva.example:8443", "xn--bcher-kva.example"},
		"[::1]":               {"[::1]", "[::1]:443", "::1"},
		"[fe80::1%lo]:8443":   {"[fe80::1]:8443", "[fe80::1%lo]:8443", "fe80::1%lo"},
	} {
		o, err := originOf(&url.URL{Scheme: "https", Host: host})
		if err != nil {
			t.Errorf("%s: %v", host, err)
			continue
		}
		address, name := o.address()
		if got := [3]string{o.named(), address, name}; got != want {
			t.Errorf("%s: %q, want %q", host, got, want)
		}
	}
}
