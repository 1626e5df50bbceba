package smtp_test

import (
	"bytes"
	"io"
	"mime"
	netmail "net/mail"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func message() *sender.Message {
	return &sender.Message{ID: "id-1", To: to, Subject: "subject", FromAlias: "Example", HTML: "<p>html</p>", Text: "text"}
}

// sent is what a server gets of a message.
func sent(t testing.TB, m *sender.Message, changes ...func(*smtp.Config)) mail {
	t.Helper()
	srv := serve(t, script{})
	s := connector(t, at(srv, append(changes, func(c *smtp.Config) { smtp.SetClock(c, func() time.Time { return noon }) })...))
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	return <-srv.Mails
}

func TestTheWholeMail(t *testing.T) {
	got := sent(t, message(), func(c *smtp.Config) {
		c.CustomHeaders = map[string]smtp.HeaderValues{"X-B": {"1", "2"}, "X-A": {"zwei 二", strings.Repeat("word ", 30)}}
		c.ReplyTo = "A <a@example.com>, b@example.com"
	})
	_, boundary, _ := strings.Cut(got.Data, "boundary=")
	boundary, _, _ = strings.Cut(boundary, "\n")
	want := strings.ReplaceAll(`X-A: =?utf-8?q?zwei_=E4=BA=8C?=
X-A: word word word word word word word word word word word word word word
 word word word word word word word word word word word word word word word
 word
X-B: 1
X-B: 2
Auto-Submitted: auto-generated
Date: Sat, 21 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Message-ID: <id-1@example.com>
Subject: subject
From: "Example" <no-reply@example.com>
To: <Alice+x@Example.com>
Reply-To: "A" <a@example.com>, <b@example.com>
Content-Type: multipart/alternative;
 boundary=BOUNDARY

--BOUNDARY
Content-Transfer-Encoding: quoted-printable
Content-Type: text/plain; charset=UTF-8

text
--BOUNDARY
Content-Transfer-Encoding: quoted-printable
Content-Type: text/html; charset=UTF-8

<p>html</p>
--BOUNDARY--
`, "BOUNDARY", boundary)
	if got.Data != want {
		t.Errorf("got\n%s\nwant\n%s", got.Data, want)
	}
	if got.From != "MAIL FROM:<no-reply@example.com> BODY=8BITMIME" || got.To != "RCPT TO:<"+to+">" {
		t.Error(got.From, got.To)
	}
}

func TestOnePart(t *testing.T) {
	for want, change := range map[string]func(*sender.Message){
		"text/plain; charset=UTF-8": func(m *sender.Message) { m.HTML = "" },
		"text/html; charset=UTF-8":  func(m *sender.Message) { m.Text = "" },
	} {
		m := message()
		change(m)
		r, err := netmail.ReadMessage(strings.NewReader(sent(t, m).Data))
		if err != nil || r.Header.Get("Content-Type") != want {
			t.Errorf("%v %v", r.Header, err)
		}
	}
}

// TestLinesOfDots would end the mail, and the rest of it be taken for commands.
func TestLinesOfDots(t *testing.T) {
	m := message()
	m.HTML, m.Text = "", "one\n.\nRSET\n..two\r\n.\r\nQUIT\rthree\n."
	got := sent(t, m).Data
	if !strings.HasSuffix(got, "\n\none\n.\nRSET\n..two\n.\nQUIT\nthree\n.\n") && !strings.Contains(got, "=2E") {
		t.Errorf("%q", got)
	}
}

func TestAutoSubmittedMayBeAnother(t *testing.T) {
	got := sent(t, message(), func(c *smtp.Config) {
		c.CustomHeaders = map[string]smtp.HeaderValues{"X-A": {"1"}, "auto-submitted": {"no"}}
	}).Data
	if strings.Count(strings.ToLower(got), "auto-submitted:") != 1 {
		t.Error(got)
	}
}

// TestAddressesBeyondASCII: a domain is written in ASCII; the part before it
// needs SMTPUTF8, which is asked for then alone.
func TestAddressesBeyondASCII(t *testing.T) {
	for _, c := range []struct {
		from, to, mail, rcpt string
	}{
		{"a@例子.com", "b@bücher.example", "MAIL FROM:<a@xn--fsqu00a.com> BODY=8BITMIME", "RCPT TO:<b@xn--bcher-kva.example>"},
		{"a@example.com", "用户@example.com", "MAIL FROM:<a@example.com> BODY=8BITMIME SMTPUTF8", "RCPT TO:<用户@example.com>"},
		{"用户@example.com", "b@example.com", "MAIL FROM:<用户@example.com> BODY=8BITMIME SMTPUTF8", "RCPT TO:<b@example.com>"},
	} {
		m := message()
		m.To = c.to
		got := sent(t, m, func(x *smtp.Config) { x.FromEmail = c.from })
		if got.From != c.mail || got.To != c.rcpt {
			t.Errorf("%q %q", got.From, got.To)
		}
	}
	for _, c := range []struct {
		from, to string
		class    sender.Class
	}{{"a@example.com", "用户@example.com", sender.Permanent}, {"用户@example.com", "b@example.com", sender.Misconfigured}} {
		srv := serve(t, script{Extensions: []string{"AUTH PLAIN"}})
		s := connector(t, at(srv, func(x *smtp.Config) { x.FromEmail = c.from }))
		m := message()
		m.To = c.to
		_, err := s.Send(t.Context(), m)
		if e := sendertest.Want(t, err, c.class); e.Code != "SMTP.NoSMTPUTF8" || srv.Count("MAIL") > 0 {
			t.Error(e)
		}
		sendertest.Hides(t, err, "用户")
	}
}

func TestRecipientsThatAreNone(t *testing.T) {
	srv := serve(t, script{})
	s := connector(t, at(srv))
	for _, to := range []string{"", "alice", "a@b@c", "Alice <a@example.com>", "a@example.com, b@example.com", "a@example.com\r\nDATA", "a@example.com>\r\nRSET"} {
		m := message()
		m.To = to
		_, err := s.Send(t.Context(), m)
		if srv.Count("RSET")+srv.Count("DATA") > 0 {
			t.Fatalf("%q: %v", to, srv.Lines())
		}
		if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid {
			t.Error(e)
		}
	}
}

func TestMessageID(t *testing.T) {
	for id, want := range map[string]string{
		"01JDCT0000000000000000000A": "<01JDCT0000000000000000000A@example.com>",
		"CODEFERRY-17":               "<CODEFERRY-17@example.com>",
		"a.b_c":                      "<a.b_c@example.com>",
		".a":                         "<51e81ffddeda8ddb0a8e24ba9ffe3c06@example.com>",
		"a@b>\r\nBcc: c":             "",
		"a..b":                       "",
		"订单":                         "",
		strings.Repeat("a", 65):      "",
	} {
		got := smtp.MessageID(id, "no-reply@example.com")
		if want != "" && id != ".a" && got != want {
			t.Errorf("%q: %s, want %s", id, got, want)
		}
		if len(got) > 100 || strings.ContainsAny(got, " \r\n") || strings.Count(got, "@") != 1 || got != smtp.MessageID(id, "no-reply@example.com") {
			t.Errorf("%q: %s", id, got)
		}
	}
	if a, b := smtp.MessageID("", "a@example.com"), smtp.MessageID("", "a@example.com"); a == b {
		t.Error(a)
	}
}

// FuzzMail: whatever is rendered, the mail has its headers once, and no others.
func FuzzMail(f *testing.F) {
	f.Add("subject", "Name", "text", "<p>html</p>", "id")
	f.Add("a\r\nBcc: x@example.com\r\n\r\nbody", "N\"\r\n <x@y>", ".\r\n.\r\n", "\r\n.\r\nQUIT", "a\r\nb")
	f.Add("您的验证码 "+strings.Repeat("长", 200), strings.Repeat("名", 60), "\x00\xff", "=?utf-8?q?x?=", "")
	f.Add(strings.Repeat("x", 250)+"  "+strings.Repeat("y ", 200), "a,b;c:d(e)", "a\rb", "", "@")
	c := good()
	smtp.SetClock(c, func() time.Time { return noon })
	f.Fuzz(func(t *testing.T, subject, alias, text, html, id string) {
		data, err := smtp.Make(c, &sender.Message{ID: id, To: to, Subject: subject, FromAlias: alias, Text: text, HTML: html})
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range bytes.Split(data, []byte("\r\n")) {
			if len(line) > 998 || bytes.ContainsAny(line, "\r\n") {
				t.Fatalf("a line of %d: %q", len(line), line)
			}
			for _, b := range line {
				if b >= 0x80 {
					t.Fatalf("a byte beyond ASCII: %q", line)
				}
			}
		}
		m, err := netmail.ReadMessage(bytes.NewReader(data))
		if err != nil {
			t.Fatal(err)
		}
		allowed := map[string]bool{"Auto-Submitted": true, "Date": true, "Mime-Version": true, "Message-Id": true, "Subject": true, "From": true, "To": true, "Content-Type": true, "Content-Transfer-Encoding": true}
		for name, values := range m.Header {
			if !allowed[name] || len(values) != 1 {
				t.Fatalf("%s: %q", name, values)
			}
		}
		if list, err := m.Header.AddressList("To"); err != nil || len(list) != 1 || list[0].Address != to {
			t.Fatal(list, err)
		}
		if list, err := m.Header.AddressList("From"); err != nil || len(list) != 1 || list[0].Address != "no-reply@example.com" {
			t.Fatal(list, err)
		}
		plain := strings.Join(strings.Fields(subject), " ")
		if !utf8.ValidString(subject) || strings.Contains(subject, "=?") || strings.ContainsFunc(plain, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return
		}
		if got, err := new(mime.WordDecoder).DecodeHeader(m.Header.Get("Subject")); err != nil || got != plain {
			t.Fatalf("got %q (%v), want %q", got, err, plain)
		}
		_, _ = io.Copy(io.Discard, m.Body)
	})
}
