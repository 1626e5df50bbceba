package smtp_test

import (
	"io"
	"net"
	"reflect"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/codeferry/codeferry/internal/testca"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

// TestSTARTTLSInAnyCase: if the keyword were missed, the code would be sent unencrypted.
func TestSTARTTLSInAnyCase(t *testing.T) {
	ca := testca.New(t)
	for _, keyword := range []string{"STARTTLS", "starttls", "StartTLS", "starttls ", "starttls\t", "starttls yes"} {
		for _, require := range []bool{false, true} {
			for _, change := range []func(*smtp.Config){noAuth, func(*smtp.Config) {}} {
				answer := func(k *talk, _ string) bool {
					if k.Secured() {
						return k.Say("250-mx\r\n250-8bitmime\r\n250-auth plain\r\n250 smtputf8")
					}
					return k.Say("250-mx\r\n250-8BITMIME\r\n250 " + keyword)
				}
				srv := serve(t, script{TLS: ca.Server(false, "127.0.0.1"), On: map[string]func(*talk, string) bool{"EHLO": answer}})
				s := connector(t, at(srv, change, func(c *smtp.Config) { c.RequireTLS, c.CAFile = require, sender.TextFile(string(ca.Root())) }))
				if _, err := send(t, s); err != nil {
					t.Errorf("%q, requireTLS %t: %v", keyword, require, err)
				}
				lines := srv.Lines()
				if len(lines) < 3 || lines[1] != "STARTTLS" || !strings.HasPrefix(lines[2], "EHLO") || srv.Count("MAIL") != 1 {
					t.Errorf("%q, requireTLS %t: the client sent %q", keyword, require, lines)
				}
			}
		}
	}
}

// TestWordsBeforeTLS: text between the reply to STARTTLS and TLS, from the server or an
// attacker, would count as protected by TLS.
func TestWordsBeforeTLS(t *testing.T) {
	ca := testca.New(t)
	srv := serve(t, script{TLS: ca.Server(false, "127.0.0.1"), Replies: map[string]string{"STARTTLS": "220 go\r\n250-evil\r\n250 AUTH LOGIN"}})
	_, err := send(t, connector(t, at(srv, func(c *smtp.Config) { c.CAFile = sender.TextFile(string(ca.Root())) })))
	sendertest.WantCode(t, err, sender.Unavailable, "SMTP.Protocol")
}

// TestKeywordsInAnyCase: all other keywords are found too.
func TestKeywordsInAnyCase(t *testing.T) {
	for name, c := range map[string]struct{ offered, auth, mail string }{
		"capitals":        {"250-AUTH PLAIN\r\n250-8BITMIME\r\n250 SMTPUTF8", "AUTH PLAIN ", " BODY=8BITMIME SMTPUTF8"},
		"small letters":   {"250-auth plain\r\n250-8bitmime\r\n250 smtputf8", "AUTH PLAIN ", " BODY=8BITMIME SMTPUTF8"},
		"mixed":           {"250-Auth Plain\r\n250-8BitMIME\r\n250 SmtpUTF8", "AUTH PLAIN ", " BODY=8BITMIME SMTPUTF8"},
		"the old form":    {"250-AUTH=LOGIN PLAIN\r\n250 SMTPUTF8", "AUTH PLAIN ", " SMTPUTF8"},
		"old and small":   {"250-auth=plain\r\n250 smtputf8", "AUTH PLAIN ", " SMTPUTF8"},
		"both forms":      {"250-AUTH LOGIN\r\n250-AUTH=LOGIN PLAIN\r\n250 SMTPUTF8", "AUTH PLAIN ", " SMTPUTF8"},
		"both, reversed":  {"250-AUTH=LOGIN PLAIN\r\n250-AUTH LOGIN\r\n250 SMTPUTF8", "AUTH PLAIN ", " SMTPUTF8"},
		"twice":           {"250-AUTH PLAIN\r\n250-AUTH LOGIN\r\n250 SMTPUTF8", "AUTH PLAIN ", " SMTPUTF8"},
		"spaces":          {"250-AUTH  LOGIN   PLAIN \r\n250 SMTPUTF8", "AUTH PLAIN ", " SMTPUTF8"},
		"the last line":   {"250-SMTPUTF8\r\n250 auth plain", "AUTH PLAIN ", " SMTPUTF8"},
		"what follows it": {"250-size auth plain\r\n250-auth plain\r\n250 smtputf8", "AUTH PLAIN ", " SMTPUTF8"},
	} {
		srv := serve(t, script{Replies: map[string]string{"EHLO": "250-starttls 8bitmime\r\n" + c.offered}})
		s := connector(t, at(srv))
		m := render(t, s)
		m.To = "用户@example.com"
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if lines := srv.Lines(); !strings.HasPrefix(lines[1], c.auth) || lines[2] != "MAIL FROM:<no-reply@example.com>"+c.mail {
			t.Errorf("%s: the client sent %q", name, lines)
		}
	}
}

func TestOffers(t *testing.T) {
	for reply, want := range map[string]map[string][]string{
		"250 mx\r\n":       {},
		"250 starttls\r\n": {}, // the first line is a name
		"250-mx\r\n250-size 100\r\n250-Auth=login\r\n250-AUTH Login plain PLAIN\r\n250-\r\n250 x-y=z a B\r\n": {
			"SIZE": {"100"}, "AUTH": {"login", "plain"}, "X-Y=Z": {"a", "B"},
		},
		"550-no\r\n550 starttls\r\n": {},
		"250-mx\n250 starttls\n":     {"STARTTLS": nil},
		"?\r\n250 starttls\r\n":      {},
	} {
		if got := hear(reply, io.Discard); !reflect.DeepEqual(got, want) {
			t.Errorf("%q: got %v, want %v", reply, got, want)
		}
	}
}

// FuzzOffers: the result does not depend on how the bytes arrive, no keyword is in lower
// case, and only the case of text changes.
func FuzzOffers(f *testing.F) {
	f.Add("250-mx\r\n250-starttls\r\n250 auth=login plain\r\n", "250 ok\r\n")
	f.Add("550-no\r\n550 starttls\r\n", "")
	f.Add("250-\r\n250-\n\n250", "250-a b\r\n")
	f.Fuzz(func(t *testing.T, reply, next string) {
		var whole, bytes strings.Builder
		a := hear(reply+next, &whole)
		b := hear(reply+next, &bytes, iotest.OneByteReader)
		if !reflect.DeepEqual(a, b) {
			t.Fatalf("the extensions are %v, and read byte by byte %v", a, b)
		}
		if whole.String() != bytes.String() {
			t.Fatalf("the client got %q, and byte by byte %q", whole.String(), bytes.String())
		}
		if !strings.EqualFold(whole.String(), reply+next) || len(whole.String()) != len(reply+next) {
			t.Fatalf("%q became %q", reply+next, whole.String())
		}
		for keyword, params := range a {
			if strings.ContainsAny(keyword, "abcdefghijklmnopqrstuvwxyz") || strings.ContainsAny(keyword+strings.Join(params, ""), " \t\r\n") {
				t.Fatalf("%q: %q", keyword, params)
			}
		}
	})
}

// hear returns what a listener reads from a reply to EHLO. w gets what the client reads.
func hear(answer string, w io.Writer, how ...func(io.Reader) io.Reader) map[string][]string {
	return smtp.Offers(pipe{Reader: strings.NewReader(answer)}, func(r io.Reader) {
		for _, as := range how {
			r = as(r)
		}
		_, _ = io.Copy(w, r)
	})
}

// pipe is a connection that sends one text.
type pipe struct {
	net.Conn
	io.Reader
}

func (p pipe) Read(b []byte) (int, error)  { return p.Reader.Read(b) }
func (p pipe) Write(b []byte) (int, error) { return len(b), nil }
