package smtp_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// issuer makes access tokens: token-1, token-2 and so on.
type issuer struct {
	url    string
	mu     sync.Mutex
	grants []map[string]string
}

func newIssuer(t testing.TB, answer func(n int, w http.ResponseWriter, r *http.Request)) *issuer {
	t.Helper()
	i := new(issuer)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		form := make(map[string]string)
		for k := range r.PostForm {
			form[k] = r.PostForm.Get(k)
		}
		i.mu.Lock()
		i.grants = append(i.grants, form)
		n := len(i.grants)
		i.mu.Unlock()
		answer(n, w, r)
	}))
	t.Cleanup(srv.Close)
	i.url = srv.URL + "/token"
	return i
}

func grant(n int, w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"Bearer","expires_in":3600,"refresh_token":"refresh-%d"}`, n, n)
}

func (i *issuer) asked() int {
	i.mu.Lock()
	defer i.mu.Unlock()
	return len(i.grants)
}

// takesTokens returns the script of a server that accepts some access tokens.
func takesTokens(tokens ...string) script {
	return script{Extensions: []string{"AUTH XOAUTH2"}, On: map[string]func(*talk, string) bool{"AUTH": func(k *talk, line string) bool {
		b, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(line, "AUTH XOAUTH2 "))
		for _, token := range tokens {
			if string(b) == "user=u@example.com\x01auth=Bearer "+token+"\x01\x01" {
				return k.Say("235 2.7.0 ok")
			}
		}
		k.Say("334 " + base64.StdEncoding.EncodeToString([]byte(`{"status":"401"}`)))
		k.Line()
		return k.Say("535 5.7.8 bad token " + line)
	}}}
}

func refreshing(i *issuer) func(*smtp.Config) {
	return func(c *smtp.Config) {
		c.Auth = smtp.Auth{Type: "OAuth2", User: "u@example.com", ClientID: "client", ClientSecret: sender.NewSecret("client-secret"), RefreshToken: sender.NewSecret("refresh-0"), AccessURL: i.url}
	}
}

func TestAccessToken(t *testing.T) {
	token := func(c *smtp.Config) {
		c.Auth = smtp.Auth{User: "u@example.com", AccessToken: sender.NewSecret("the-token")}
	}
	mustSend(t, connector(t, at(serve(t, takesTokens("the-token")), token)))

	srv := serve(t, takesTokens("another"))
	_, err := send(t, connector(t, at(srv, token)))
	sendertest.Want(t, err, sender.AccountDown)
	sendertest.Hides(t, err, "the-token", base64.StdEncoding.EncodeToString([]byte("user=u@example.com\x01auth=Bearer the-token\x01\x01")))
	if srv.Connections() != 1 {
		t.Errorf("%d connections, want 1", srv.Connections())
	}

	_, err = send(t, connector(t, at(serve(t, takesTokens("the-token")), token, func(c *smtp.Config) { c.Auth.Expires = 1000 })))
	sendertest.WantCode(t, err, sender.AccountDown, "SMTP.Token")

	srv = serve(t, script{Extensions: []string{"AUTH PLAIN"}})
	_, err = send(t, connector(t, at(srv, token)))
	sendertest.WantCode(t, err, sender.Misconfigured, "SMTP.NoAuth")
	sendertest.Equal(t, "srv.Count(AUTH)", srv.Count("AUTH"), 0)
}

// TestRefresh: one token is made for all waiting messages, and is used until it expires.
func TestRefresh(t *testing.T) {
	i := newIssuer(t, grant)
	var mu sync.Mutex
	now := time.Now()
	s := connector(t, at(serve(t, takesTokens("token-1", "token-2")), refreshing(i), func(c *smtp.Config) {
		c.MaxMessages = 1
		smtp.SetClock(c, func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return now
		})
	}))
	m := render(t, s)
	var sends sync.WaitGroup
	for range 8 {
		sends.Go(func() {
			if _, err := s.Send(t.Context(), m); err != nil {
				t.Error(err)
			}
		})
	}
	sends.Wait()
	if n := i.asked(); n != 1 {
		t.Fatalf("%d tokens were made", n)
	}
	if got, want := fmt.Sprint(i.grants[0]), fmt.Sprint(map[string]string{
		"grant_type": "refresh_token", "refresh_token": "refresh-0", "client_id": "client", "client_secret": "client-secret",
	}); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	mu.Lock()
	now = now.Add(time.Hour)
	mu.Unlock()
	mustSend(t, s)
	if n := i.asked(); n != 2 || i.grants[1]["refresh_token"] != "refresh-1" {
		t.Errorf("%d tokens, %v", n, i.grants)
	}
}

// TestARefusedToken is renewed once, before any part of the message is sent.
func TestARefusedToken(t *testing.T) {
	stale := func(c *smtp.Config) { c.Auth.AccessToken = sender.NewSecret("stale") }
	i := newIssuer(t, grant)
	srv := serve(t, takesTokens("token-1"))
	mustSend(t, connector(t, at(srv, refreshing(i), stale)))
	if i.asked() != 1 || srv.Connections() != 2 || srv.Count("MAIL") != 1 {
		t.Errorf("%d tokens, %d connections", i.asked(), srv.Connections())
	}

	i = newIssuer(t, grant)
	srv = serve(t, takesTokens("none"))
	_, err := send(t, connector(t, at(srv, refreshing(i), stale)))
	sendertest.Want(t, err, sender.AccountDown)
	if i.asked() != 1 || srv.Connections() != 2 {
		t.Errorf("%d tokens, %d connections", i.asked(), srv.Connections())
	}
}

func TestServiceAccount(t *testing.T) {
	i := newIssuer(t, grant)
	mustSend(t, connector(t, at(serve(t, takesTokens("token-1")), func(c *smtp.Config) {
		c.Auth = smtp.Auth{Type: "OAuth2", User: "u@example.com", ServiceClient: "service@example.com", PrivateKey: smtp.PrivateKey{Key: rsaKey()}, AccessURL: i.url}
	})))
	parts := strings.Split(i.grants[0]["assertion"], ".")
	if len(parts) != 3 || i.grants[0]["grant_type"] != "urn:ietf:params:oauth:grant-type:jwt-bearer" {
		t.Fatalf("the grants are %v, want a JWT with grant_type jwt-bearer", i.grants)
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"iss":"service@example.com"`, `"sub":"u@example.com"`, `"scope":"https://mail.google.com/"`, `"aud":"` + i.url} {
		if !strings.Contains(string(claims), want) {
			t.Errorf("%s is not in %s", want, claims)
		}
	}
}

func TestNoToken(t *testing.T) {
	status := func(status int, body string) func(int, http.ResponseWriter, *http.Request) {
		return func(_ int, w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(strings.ReplaceAll(body, "FORM", r.PostForm.Encode())))
		}
	}
	// reason repeats the request in the status line.
	reason := func(_ int, w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer func() { _ = conn.Close() }()
		_, _ = fmt.Fprintf(conn, "HTTP/1.1 401 no %s\r\nContent-Length: 2\r\n\r\n{}", r.PostForm.Encode())
	}
	service := func(c *smtp.Config) { c.Auth.ServiceClient, c.Auth.PrivateKey.Key = "service@example.com", rsaKey() }
	for _, c := range []struct {
		name   string
		answer func(int, http.ResponseWriter, *http.Request)
		change func(*smtp.Config)
		class  sender.Class
		says   string
	}{
		{"invalid_grant", status(400, `{"error":"invalid_grant","error_description":"FORM"}`), nil, sender.AccountDown, "invalid_grant"},
		{"invalid_grant, of a service", status(400, `{"error":"invalid_grant","error_description":"FORM"}`), service, sender.AccountDown, "invalid_grant"},
		{"another word", status(400, `{"error":"FORM"}`), nil, sender.AccountDown, "400"},
		{"invalid_client", status(401, `{"error":"invalid_client"}`), nil, sender.AccountDown, "invalid_client"},
		{"too many", status(429, `FORM`), nil, sender.Throttled, "429"},
		{"down", status(503, `FORM`), nil, sender.Unavailable, "503"},
		{"a redirect", status(307, ``), nil, sender.Unavailable, "307"},
		{"no token", status(200, `{"token_type":"Bearer"}`), nil, sender.Unavailable, "access token"},
		{"no JSON", status(200, `<html>FORM`), nil, sender.Unavailable, "access token"},
		{"a 200 that is an error", status(200, `{"error":"invalid_grant"}`), nil, sender.AccountDown, "invalid_grant"},
		{"a reason of its own", reason, nil, sender.AccountDown, "401 Unauthorized"},
		{"a reason of its own, of a service", reason, service, sender.AccountDown, "401 Unauthorized"},
		{"a cut", func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, nil, sender.Unavailable, "access token"},
		{"a cut, of a service", func(int, http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, service, sender.Unavailable, "access token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			i := newIssuer(t, c.answer)
			change := c.change
			if change == nil {
				change = func(*smtp.Config) {}
			}
			srv := serve(t, takesTokens("token-1"))
			_, err := send(t, connector(t, at(srv, refreshing(i), change)))
			e := sendertest.Want(t, err, c.class)
			sendertest.Holds(t, "the detail", e.Detail, c.says)
			sendertest.Hides(t, err, "refresh-0", "client-secret", "assertion", to, code)
			if i.asked() != 1 || srv.Connections() != 0 {
				t.Errorf("asked %d times, %d connections", i.asked(), srv.Connections())
			}
		})
	}
}

// TestATokenThatTakesLong: ctx ends the wait for it, and the wait for another call that
// asks.
func TestATokenThatTakesLong(t *testing.T) {
	for name, change := range map[string]func(*smtp.Config){
		"refresh": func(*smtp.Config) {},
		"service": func(c *smtp.Config) { c.Auth.ServiceClient, c.Auth.PrivateKey.Key = "service@example.com", rsaKey() },
	} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan struct{})
			i := newIssuer(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
				close(arrived)
				<-r.Context().Done()
			})
			s := connector(t, at(serve(t, takesTokens()), refreshing(i), change))
			m := render(t, s)
			ctx, cancel := context.WithCancel(t.Context())
			first := make(chan error, 1)
			go func() {
				_, err := s.Send(ctx, m)
				first <- err
			}()
			<-arrived
			waiting, stop := context.WithCancel(t.Context())
			stop()
			_, err := s.Send(waiting, m)
			sendertest.Want(t, err, sender.Unavailable)
			cancel()
			sendertest.Want(t, <-first, sender.Unavailable)
		})
	}
}
