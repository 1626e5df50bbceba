package httpclient

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/sender"
)

// TestAProxyRefuses: the error names the proxy and the variable that sets it. Nothing has
// reached the provider, and the proxy's password is not shown.
func TestAProxyRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, to string
		status   int
		says     []string
	}{
		{"407 to CONNECT", "https://dm.aliyuncs.com", 407, []string{"the proxy ", "HTTP status 407", "HTTPS_PROXY names it, with the user and password", "NO_PROXY"}},
		{"403 to CONNECT", "https://dm.aliyuncs.com", 403, []string{"the proxy ", "HTTP status 403 (Forbidden)", "HTTPS_PROXY names it", "NO_PROXY"}},
		{"503 to CONNECT", "https://dm.aliyuncs.com", 503, []string{"the proxy ", "HTTP status 503", "HTTPS_PROXY names it", "NO_PROXY"}},
		{"407 to a request", "http://dm.aliyuncs.com", 407, []string{"the proxy ", "HTTP status 407", "HTTP_PROXY names it, with the user and password", "NO_PROXY"}},
		{"nobody there", "https://dm.aliyuncs.com", 0, []string{"the proxy 127.0.0.1:1 can't be reached", "HTTPS_PROXY names it", "NO_PROXY"}},
		{"nobody there for a request", "http://dm.aliyuncs.com", 0, []string{"the proxy 127.0.0.1:1 can't be reached", "; HTTP_PROXY names it"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxy := &url.URL{Scheme: "http", Host: "127.0.0.1:1", User: url.UserPassword("alice", "s3cret")}
			if c.status != 0 {
				srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(c.status) }))
				t.Cleanup(srv.Close)
				proxy.Host = strings.TrimPrefix(srv.URL, "http://")
			}
			client := New(Options{Proxy: http.ProxyURL(proxy)})
			t.Cleanup(client.transports.closeIdle)
			_, _, err := ask(t.Context(), client, patient(post(t, c.to, "a")))
			if err == nil || left(t, err) {
				t.Fatalf("got %v, want an error of a request that has not left", err)
			}
			e := Failure(err, Codes{Connect: "connect"})
			if e.Class != sender.Unavailable || e.Code != "connect" {
				t.Errorf("got %v, want that the provider can't be reached", e)
			}
			for _, say := range append(c.says, proxy.Host) {
				if !strings.Contains(e.Detail, say) {
					t.Errorf("%q does not say %q", e.Detail, say)
				}
			}
			if strings.Contains(e.Detail, "alice") || strings.Contains(e.Detail, "s3cret") {
				t.Errorf("%q shows the proxy's user or password", e.Detail)
			}
		})
	}
}

// TestAnAnswerThroughAProxy of a status that is not the proxy's own is the provider's.
func TestAnAnswerThroughAProxy(t *testing.T) {
	t.Parallel()
	for _, status := range []int{403, 503} {
		srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }))
		t.Cleanup(srv.Close)
		proxy := newProxy(t)
		client := New(Options{Proxy: http.ProxyURL(proxy)})
		t.Cleanup(client.transports.closeIdle)
		if got, _, err := ask(t.Context(), client, patient(post(t, srv.URL, "a"))); got != status || err != nil {
			t.Errorf("%d, %v; want the answer's %d", got, err, status)
		}
	}
}

// TestAProxyThatSpeaksAnotherProtocol: the error shows nothing of its answer.
func TestAProxyThatSpeaksAnotherProtocol(t *testing.T) {
	t.Parallel()
	for _, answer := range []string{"220 s3cret\r\n", "HTTP/1.1 200 OK\r\ns3cret\r\n\r\n"} {
		proxy := faulty.Raw(t, func(c *faulty.Conn) {
			c.ReadRequest()
			c.Say(answer)
		})
		u, err := url.Parse(proxy.Endpoint)
		if err != nil {
			t.Fatal(err)
		}
		client := New(Options{Proxy: http.ProxyURL(u)})
		_, _, err = ask(t.Context(), client, patient(post(t, "https://dm.aliyuncs.com", "a")))
		if err == nil || left(t, err) {
			t.Fatalf("got %v, want an error of a request that has not left", err)
		}
		e := Failure(err, Codes{Connect: "connect"})
		wantFailure(t, e, sender.Error{Class: sender.Unavailable, Code: "connect", Detail: "the proxy " + u.Host})
		if strings.Contains(e.Detail, "s3cret") {
			t.Errorf("%q shows what the proxy said", e.Detail)
		}
	}
}
