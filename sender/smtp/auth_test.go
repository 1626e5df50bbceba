package smtp_test

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// TestMethod: the safest method that is offered, or the one that is set.
func TestMethod(t *testing.T) {
	all := "LOGIN PLAIN NTLM CRAM-MD5 SCRAM-SHA-1 SCRAM-SHA-256 XOAUTH2"
	for _, c := range []struct {
		offered string
		wanted  smtp.Method
		want    string
	}{
		{all, "", "SCRAM-SHA-256"},
		{"LOGIN PLAIN CRAM-MD5 SCRAM-SHA-1", "", "SCRAM-SHA-1"},
		{"LOGIN PLAIN CRAM-MD5", "", "CRAM-MD5"},
		{"LOGIN PLAIN", "", "PLAIN"},
		{"login", "", "LOGIN"},
		{all, "PLAIN", "PLAIN"},
		{all, "LOGIN", "LOGIN"},
		{"NTLM", "", ""},
		{"", "", ""},
		{"PLAIN", "LOGIN", ""},
		{"<script> " + strings.Repeat("A ", 100), "", ""},
	} {
		t.Run(c.offered+" "+string(c.wanted), func(t *testing.T) {
			srv := serve(t, script{Extensions: []string{"AUTH " + c.offered}, Replies: map[string]string{"AUTH": "535 5.7.8 no"}})
			_, err := send(t, connector(t, at(srv, func(x *smtp.Config) { x.AuthMethod = c.wanted })))
			if c.want == "" {
				if e := sendertest.Want(t, err, sender.Misconfigured); e.Code != "SMTP.NoAuth" || srv.Count("AUTH") > 0 || len(e.Detail) > 300 || strings.Contains(e.Detail, "<") {
					t.Error(e)
				}
				return
			}
			sendertest.Want(t, err, sender.AccountDown)
			if srv.Count("AUTH "+c.want) != 1 || srv.Count("AUTH") != 1 {
				t.Error(srv.Lines())
			}
		})
	}
}

// TestPLAIN: AUTH PLAIN sends the user and the password.
func TestPLAIN(t *testing.T) {
	srv := serve(t, script{})
	mustSend(t, connector(t, at(srv)))
	if srv.Count(strings.ToUpper("AUTH PLAIN "+base64.StdEncoding.EncodeToString([]byte("\x00u@example.com\x00"+pass)))) != 1 {
		t.Error(srv.Lines())
	}
}

func TestNobodySignsIn(t *testing.T) {
	srv := serve(t, script{})
	mustSend(t, connector(t, at(srv, noAuth)))
	if srv.Count("AUTH") != 0 {
		t.Error(srv.Lines())
	}
}

func TestName(t *testing.T) {
	srv := serve(t, script{})
	mustSend(t, connector(t, at(srv, func(c *smtp.Config) { c.Name, c.LocalAddress = "mail.example.com", "127.0.0.1" })))
	if srv.Count("EHLO MAIL.EXAMPLE.COM") != 1 {
		t.Error(srv.Lines())
	}
}

// TestHELO: a server without EHLO can still take mail.
func TestHELO(t *testing.T) {
	srv := serve(t, script{Replies: map[string]string{"EHLO": "502 5.5.1 unknown"}})
	mustSend(t, connector(t, at(srv, noAuth)))
	if srv.Count("HELO") != 1 {
		t.Error(srv.Lines())
	}
}
