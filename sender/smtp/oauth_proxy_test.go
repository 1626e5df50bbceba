package smtp

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

// TestAProxyRefusesTheToken: the error names the proxy.
func TestAProxyRefusesTheToken(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusProxyAuthRequired) }))
	defer srv.Close()
	tokens := newTokens(Auth{ClientID: "id", RefreshToken: sender.NewSecret("r3fresh"), AccessURL: "https://oauth2.example.com/token"}, time.Now)
	transport, ok := tokens.http.(*http.Transport)
	if !ok {
		t.Fatalf("the client for tokens has a %T, want a *http.Transport", tokens.http)
	}
	transport.Proxy = func(*http.Request) (*url.URL, error) { return url.Parse(srv.URL) }
	_, _, failed := tokens.get(t.Context(), "")
	if failed == nil {
		t.Fatal("there is no error")
	}
	sendertest.Equal(t, "the class", failed.Class, sender.Unavailable)
	sendertest.Holds(t, "the detail", failed.Detail, "HTTP status 407", "HTTPS_PROXY names it")
}
