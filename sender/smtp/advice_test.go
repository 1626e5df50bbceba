package smtp_test

import (
	"crypto/tls"
	"crypto/x509"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// TestAdvice: an error names the setting that it is about, in check and in a send alike.
func TestAdvice(t *testing.T) {
	ca := testca.New(t)
	speaks := ca.Server(false, "127.0.0.1")
	trusted := func(c *smtp.Config) { c.CAFile = sender.TextFile(string(ca.Root())) }
	implicit := func(c *smtp.Config) { trusted(c); c.Secure = new(true) }
	soon := func(c *smtp.Config) { c.Timeout = 200 * time.Millisecond }
	says := func(word, reply string) script { return script{Replies: map[string]string{word: reply}} }
	quiet := func(end func(*talk) bool) script {
		return script{On: map[string]func(*talk, string) bool{"GREETING": func(k *talk, _ string) bool { return end(k) }}}
	}
	hangUp := func(*talk) bool { return false }
	nothing := func(*smtp.Config) {}
	asks := tls.Config{ClientAuth: tls.RequireAndVerifyClientCert, Certificates: speaks.Certificates, ClientCAs: x509.NewCertPool()}
	for name, c := range map[string]struct {
		server script
		change func(*smtp.Config)
		class  sender.Class
		want   string // in the advice; empty for the class's own
	}{
		"TLS from the start, spoken to in the clear": {script{TLS: speaks, Implicit: true}, soon, sender.Unavailable, "secure: true"},
		"a port that says nothing":                   {quiet((*talk).Wait), soon, sender.Unavailable, "secure: true"},
		"a port that hangs up":                       {quiet(hangUp), nothing, sender.Unavailable, "secure: true"},
		"a busy server":                              {says("GREETING", "421 4.3.2 busy"), nothing, sender.Unavailable, ""},
		"STARTTLS, spoken to by TLS":                 {script{TLS: speaks}, implicit, sender.Unavailable, "secure: false"},
		"STARTTLS that waits, spoken to by TLS": {quiet((*talk).Wait), func(c *smtp.Config) {
			implicit(c)
			soon(c)
		}, sender.Unavailable, "secure: false"},
		"TLS to who hangs up":    {quiet(hangUp), implicit, sender.Unavailable, "secure: false"},
		"nobody's certificate":   {script{TLS: speaks}, nothing, sender.Unavailable, "caFile"},
		"another's certificate":  {script{TLS: speaks}, func(c *smtp.Config) { trusted(c); c.ServerName = "a.example" }, sender.Unavailable, "servername"},
		"another version of TLS": {script{TLS: only12(speaks)}, func(c *smtp.Config) { trusted(c); c.TLS.MinVersion = "TLSv1.3" }, sender.Unavailable, "tls.minVersion"},
		"a client's certificate": {script{TLS: &asks}, trusted, sender.Unavailable, "tls.cert"},
		"one, by TLS 1.2":        {script{TLS: only12(&asks)}, trusted, sender.Unavailable, "tls.cert"},
		"no STARTTLS":            {script{}, func(c *smtp.Config) { c.RequireTLS = true }, sender.Misconfigured, "secure: true"},

		"the name":                 {says("EHLO", "550 5.7.1 <x>: Invalid HELO name"), nothing, sender.Misconfigured, "Set name"},
		"the name, by 504":         {says("EHLO", "504 5.5.2 need fully-qualified hostname"), nothing, sender.Misconfigured, "Set name"},
		"the name, by 501":         {says("EHLO", "501 Invalid domain name"), nothing, sender.Misconfigured, "Set name"},
		"the name, at RCPT":        {says("RCPT", "504 5.5.2 <x>: Helo command rejected: need fully-qualified hostname"), nothing, sender.Misconfigured, "Set name"},
		"the name, for now":        {says("RCPT", "450 4.7.1 <x>: Helo command rejected: Host not found"), nothing, sender.Unavailable, "Set name"},
		"a recipient named so":     {says("RCPT", "550 5.1.1 <helo.relay@example.com>: no such user"), nothing, sender.Permanent, ""},
		"EHLO, and no time for it": {says("EHLO", "421 busy"), nothing, sender.Unavailable, ""},

		"the method":              {script{Extensions: []string{"AUTH PLAIN LOGIN"}, Replies: map[string]string{"AUTH": "504 5.7.4 Unrecognized authentication type"}}, nothing, sender.Misconfigured, "authMethod"},
		"a method not offered":    {script{}, func(c *smtp.Config) { c.AuthMethod = "LOGIN" }, sender.Misconfigured, "authMethod"},
		"the password":            {says("AUTH", "535 5.7.8 no"), nothing, sender.AccountDown, "auth.user and auth.pass"},
		"signing in without TLS":  {says("AUTH", "538 5.7.11 Encryption required"), nothing, sender.AccountDown, "requireTLS: true"},
		"signing in, not now":     {says("AUTH", "454 4.7.0 not now"), nothing, sender.Unavailable, ""},
		"mail only by who signed": {says("MAIL", "530 5.7.0 Authentication required"), noAuth, sender.Misconfigured, "Set auth"},
		"the sender":              {says("MAIL", "553 5.7.1 Sender address rejected: not owned by user"), nothing, sender.Misconfigured, "fromEmail"},
		"relaying":                {says("RCPT", "554 5.7.1 Relay access denied"), noAuth, sender.Misconfigured, "Set auth"},
		"DMARC":                   {says("END", "550 5.7.26 unauthenticated"), nothing, sender.Misconfigured, "SPF"},
		"SMTPUTF8":                {script{Extensions: []string{"AUTH PLAIN"}}, func(c *smtp.Config) { c.ReplyTo = "用户@example.com" }, sender.Misconfigured, "ASCII before the @"},
		"nobody has the address":  {says("RCPT", "550 5.1.1 no such user"), nothing, sender.Permanent, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := connector(t, at(serve(t, c.server), c.change))
			_, err := send(t, s)
			e := sendertest.Want(t, err, c.class)
			sendertest.Holds(t, "the advice", e.Advice, c.want)
			if c.want == "" {
				sendertest.Equal(t, "the error's own advice", e.Advice, "")
			}
			if checked := checkSender(t.Context(), s); checked != nil && sender.AsError(checked).Advice != e.Advice {
				t.Errorf("check advises %q, a send %q", sender.AsError(checked).Advice, e.Advice)
			}
		})
	}
}
