package httpclient

import (
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"
	"testing"
)

func TestWhatCantStandInARequest(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(*Request)
	}{
		{"the URL", func(r *Request) { r.URL.RawQuery = "a=b HTTP/1.1\r\nX: y" }},
		{"a space in the query", func(r *Request) { r.URL.RawQuery = "a=b HTTP/1.1" }},
		{"a URL that hides where it leads", func(r *Request) { r.URL.Opaque = "//elsewhere/" }},
		{"the host", func(r *Request) { r.URL.Host = "a\r\nX: y" }},
		{"no host", func(r *Request) { r.URL.Host = "" }},
		{"the method", func(r *Request) { r.Method = "POST / HTTP/1.1\r\nX" }},
		{"HEAD", func(r *Request) { r.Method = http.MethodHead }},
		{"no method", func(r *Request) { r.Method = "" }},
		{"a header", func(r *Request) { r.Header.Set("Authorization", "x\r\nInjected: y") }},
		{"a header's name", func(r *Request) { r.Header["A\r\nInjected"] = []string{"y"} }},
		{"the scheme", func(r *Request) { r.URL.Scheme = "ftp" }},
	} {
		for _, w := range ways {
			t.Run(c.name+", "+w.name, func(t *testing.T) {
				t.Parallel()
				client := w.clientOf(t, w.options(t, func() {}))
				dials := countDials(client)
				r := post(t, "http://127.0.0.1:1", "a")
				c.spoil(r)
				_, _, err := ask(t.Context(), client, patient(r))
				if left(t, err) {
					t.Errorf("the request has left: %v", err)
				}
				if strings.Contains(err.Error(), "Injected") && c.name != "a header's name" {
					t.Errorf("the error repeats a header's value: %v", err)
				}
				if n := dials.Load(); n != 0 {
					t.Errorf("%d connections were made for it (%v)", n, err)
				}
			})
		}
	}
}

// TestRequest: the server gets what was asked for, the same on each path.
func TestRequest(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Request)
		// uri, header and body are what the server gets, in addition to the host.
		uri    string
		header http.Header
		body   string
	}{
		"a form": {
			func(r *Request) { r.Header = http.Header{"Authorization": {"x y"}, "User-Agent": {"codeferry"}} },
			"/?a=b",
			http.Header{"Authorization": {"x y"}, "User-Agent": {"codeferry"}, "Content-Length": {"4"}},
			"body",
		},
		"no header":   {func(r *Request) { r.Header = nil }, "/?a=b", http.Header{"Content-Length": {"4"}}, "body"},
		"no body":     {func(r *Request) { r.Header, r.Body = nil, nil }, "/?a=b", http.Header{"Content-Length": {"0"}}, ""},
		"GET":         {func(r *Request) { r.Header, r.Body, r.Method = nil, nil, http.MethodGet }, "/?a=b", http.Header{}, ""},
		"two values":  {func(r *Request) { r.Header = http.Header{"X": {"1", "2"}} }, "/?a=b", http.Header{"X": {"1", "2"}, "Content-Length": {"4"}}, "body"},
		"a path":      {func(r *Request) { r.Header, r.URL.Path = nil, "/v3/mail/a b" }, "/v3/mail/a%20b?a=b", http.Header{"Content-Length": {"4"}}, "body"},
		"its own way": {func(r *Request) { r.Header, r.URL.Path, r.URL.RawPath = nil, "/a/b", "/a%2Fb" }, "/a%2Fb?a=b", http.Header{"Content-Length": {"4"}}, "body"},
		"not rooted":  {func(r *Request) { r.Header, r.URL.Path = nil, "a" }, "/a?a=b", http.Header{"Content-Length": {"4"}}, "body"},
		"no query":    {func(r *Request) { r.Header, r.URL.RawQuery, r.URL.ForceQuery = nil, "", true }, "/", http.Header{"Content-Length": {"4"}}, "body"},
		"only for us": {func(r *Request) { r.Header, r.URL.Fragment, r.URL.User = nil, "x", url.User("u") }, "/?a=b", http.Header{"Content-Length": {"4"}}, "body"},
		"what it adds": {
			func(r *Request) {
				r.Header = http.Header{
					"Content-Length": {"7"}, "Host": {"elsewhere"}, "Transfer-Encoding": {"chunked"},
					"content-length": {"9"}, "host": {"elsewhere"}, "transfer-encoding": {"chunked"}, "Trailer": {"X"},
				}
			},
			"/?a=b",
			http.Header{"Content-Length": {"4"}},
			"body",
		},
	} {
		for _, w := range ways {
			t.Run(name+", "+w.name, func(t *testing.T) {
				t.Parallel()
				type arrival struct {
					*http.Request
					body string
				}
				arrived := make(chan arrival, 1)
				srv, _ := counted(t, func(_ http.ResponseWriter, r *http.Request) {
					body, _ := io.ReadAll(r.Body)
					arrived <- arrival{r, string(body)}
				})
				client := w.client(t, srv, func() {})
				r := post(t, srv.URL+"?a=b", "body")
				c.change(r)
				if _, _, err := ask(t.Context(), client, patient(r)); err != nil {
					t.Fatal(err)
				}
				got := <-arrived
				if got.RequestURI != c.uri {
					t.Errorf("URI %q, want %q", got.RequestURI, c.uri)
				}
				if got.Host != r.URL.Host {
					t.Errorf("host %q, want %q", got.Host, r.URL.Host)
				}
				if got.body != c.body {
					t.Errorf("body %q, want %q", got.body, c.body)
				}
				if w.proxied && !w.secure { // such a proxy adds its own fields
					got.Header.Del("X-Forwarded-For")
					got.Header.Del("Accept-Encoding")
					got.Header.Del("Connection")
				}
				if !reflect.DeepEqual(got.Header, c.header) {
					t.Errorf("header %v, want %v", got.Header, c.header)
				}
			})
		}
	}
}

func TestHosts(t *testing.T) {
	t.Parallel()
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
