package smtp_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// TestTLS: secure, ignoreTLS and requireTLS mean what they mean to Logto.
func TestTLS(t *testing.T) {
	ca := testca.New(t)
	trusted := func(c *smtp.Config) { c.CAFile = sender.TextFile(string(ca.Root())) }
	speaks := script{TLS: ca.Server(false, "127.0.0.1")}
	implicit := script{TLS: speaks.TLS, Implicit: true}
	for _, c := range []struct {
		name     string
		server   script
		change   func(*smtp.Config)
		starttls int
		class    sender.Class
		code     string
	}{
		{"where it is offered", speaks, trusted, 1, 0, ""},
		{"tls.ca does as caFile", speaks, func(c *smtp.Config) { c.TLS.CA = smtp.PEM{string(ca.Root())} }, 1, 0, ""},
		{"tls.servername", speaks, func(c *smtp.Config) { trusted(c); c.ServerName, c.TLS.ServerName = "other.example.com", "127.0.0.1" }, 1, 0, ""},
		{"where it is not", script{}, func(*smtp.Config) {}, 0, 0, ""},
		{"never", speaks, func(c *smtp.Config) { c.IgnoreTLS = true }, 0, 0, ""},
		{"from the start", implicit, func(c *smtp.Config) { trusted(c); c.Secure = new(true) }, 0, 0, ""},
		{"from the start, required", implicit, func(c *smtp.Config) { trusted(c); c.Secure, c.RequireTLS = new(true), true }, 0, 0, ""},
		{"required", speaks, func(c *smtp.Config) { trusted(c); c.RequireTLS = true }, 1, 0, ""},
		{"required, and not offered", script{}, func(c *smtp.Config) { c.RequireTLS = true }, 0, sender.Misconfigured, "SMTP.NoTLS"},
		{"refused", script{TLS: speaks.TLS, Replies: map[string]string{"STARTTLS": "454 4.7.0 not now"}}, trusted, 1, sender.Unavailable, "454 4.7.0"},
		{"a newer version than is spoken", script{TLS: only12(speaks.TLS)}, func(c *smtp.Config) { trusted(c); c.TLS.MinVersion = "TLSv1.3" }, 1, sender.Unavailable, "SMTP.TLS"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			srv := serve(t, c.server)
			s := connector(t, at(srv, c.change))
			_, err := send(t, s)
			if c.code == "" && err != nil {
				t.Error(err)
			}
			if c.code != "" {
				sendertest.WantCode(t, err, c.class, c.code)
				if srv.Count("AUTH")+srv.Count("MAIL") > 0 {
					t.Error("the client went on without TLS")
				}
			}
			if n := srv.Count("STARTTLS"); n != c.starttls {
				t.Errorf("STARTTLS was said %d times", n)
			}
		})
	}
}

// TestCredentialsNeverInTheClear, with every sign-in method, also those that do not send
// the password itself.
func TestCredentialsNeverInTheClear(t *testing.T) {
	for name, change := range map[string]func(*smtp.Config){
		"PLAIN":   func(*smtp.Config) {},
		"CRAM":    func(c *smtp.Config) { c.AuthMethod = "CRAM-MD5" },
		"XOAUTH2": func(c *smtp.Config) { c.Auth = smtp.Auth{User: "u", AccessToken: sender.NewSecret("token")} },
		"ignored": func(c *smtp.Config) { c.IgnoreTLS = true },
	} {
		t.Run(name, func(t *testing.T) {
			srv := serve(t, script{Extensions: []string{"AUTH PLAIN CRAM-MD5 XOAUTH2"}})
			s := connector(t, at(srv, change))
			smtp.MoveAway(s)
			_, err := send(t, s)
			sendertest.WantCode(t, err, sender.Misconfigured, "SMTP.NoTLS")
			if srv.Count("AUTH")+srv.Count("MAIL") > 0 {
				t.Error("the client went on without TLS")
			}
		})
	}
	srv := serve(t, script{})
	s := connector(t, at(srv, noAuth))
	smtp.MoveAway(s)
	if _, err := send(t, s); err != nil { // a relay that knows its clients
		t.Error(err)
	}
	ca := testca.New(t)
	srv = serve(t, script{TLS: ca.Server(false, "127.0.0.1")})
	s = connector(t, at(srv, func(c *smtp.Config) { c.CAFile = sender.TextFile(string(ca.Root())) }))
	smtp.MoveAway(s)
	if _, err := send(t, s); err != nil {
		t.Error(err)
	}
}
