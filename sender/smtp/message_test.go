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

// sent returns what a server gets for a message.
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
From: "Example" <no-reply@example.com>
To: <Alice+x@Example.com>
Reply-To: "A" <a@example.com>, <b@example.com>
Subject: subject
Date: Sat, 21 Nov 2026 12:00:00 +0000
MIME-Version: 1.0
Message-ID: <id-1@example.com>
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
	sendertest.Equal(t, "MAIL", got.From, "MAIL FROM:<no-reply@example.com> BODY=8BITMIME")
	sendertest.Equal(t, "RCPT", got.To, "RCPT TO:<"+to+">")
}

func TestOnePart(t *testing.T) {
	for want, change := range map[string]func(*sender.Message){
		"text/plain; charset=UTF-8": func(m *sender.Message) { m.HTML = "" },
		"text/html; charset=UTF-8":  func(m *sender.Message) { m.Text = "" },
	} {
		m := message()
		change(m)
		r, err := netmail.ReadMessage(strings.NewReader(sent(t, m).Data))
		if err != nil {
			t.Fatal(err)
		}
		sendertest.Equal(t, "the type of the mail", r.Header.Get("Content-Type"), want)
	}
}

// TestLinesOfDots: an unescaped line with a dot would end the mail, and the rest would
// count as commands.
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
		t.Errorf("the mail has not exactly one Auto-Submitted:\n%s", got)
	}
}

// TestAddressesBeyondASCII: a domain is written in ASCII, in every field. A non-ASCII
// part before the @ needs SMTPUTF8, which is requested only then.
func TestAddressesBeyondASCII(t *testing.T) {
	type config = smtp.Config
	header := func(name, value string) func(*config) {
		return func(c *config) { c.CustomHeaders = map[string]smtp.HeaderValues{name: {value}} }
	}
	const plain = "a@example.com"
	for name, c := range map[string]struct {
		change func(*config)
		to     string
		utf8   string // the setting that needs it; "to" for the recipient
		lines  []string
	}{
		"ASCII":           {func(*config) {}, plain, "", nil},
		"from":            {func(c *config) { c.FromEmail = "a@例子.com" }, plain, "", []string{"MAIL FROM:<a@xn--fsqu00a.com> BODY=8BITMIME", "From: <a@xn--fsqu00a.com>"}},
		"from, local":     {func(c *config) { c.FromEmail = "用户@例子.com" }, plain, "fromEmail", []string{"MAIL FROM:<用户@xn--fsqu00a.com> BODY=8BITMIME SMTPUTF8", "From: <用户@xn--fsqu00a.com>"}},
		"to":              {func(*config) {}, "b@bücher.example", "", []string{"RCPT TO:<b@xn--bcher-kva.example>", "To: <b@xn--bcher-kva.example>"}},
		"to, local":       {func(*config) {}, "用户@example.com", "to", []string{"RCPT TO:<用户@example.com>", "To: <用户@example.com>"}},
		"replyTo":         {func(c *config) { c.ReplyTo = "ops@bücher.example, Hilfe für Sie <help@bücher.example>" }, plain, "", []string{"Reply-To: <ops@xn--bcher-kva.example>, =?utf-8?q?Hilfe_f=C3=BCr_Sie?="}},
		"replyTo, local":  {func(c *config) { c.ReplyTo = "用户@bücher.example" }, plain, "replyTo", []string{"Reply-To: <用户@xn--bcher-kva.example>"}},
		"a header":        {header("Errors-To", "ops@bücher.example"), plain, "", []string{"Errors-To: <ops@xn--bcher-kva.example>"}},
		"a header, local": {header("Errors-To", "用户@example.com"), plain, "customHeaders.Errors-To", []string{"Errors-To: <用户@example.com>"}},
		"a list's URL":    {header("List-Unsubscribe", "<mailto:leave@bücher.example?subject=ü>"), plain, "", []string{"List-Unsubscribe: <mailto:leave@xn--bcher-kva.example?subject=%C3%BC>"}},
		"words":           {header("X-A", "zwei 二 @ drei"), plain, "", []string{"X-A: =?utf-8?q?zwei_=E4=BA=8C_=40_drei?="}},
	} {
		t.Run(name, func(t *testing.T) {
			m := message()
			m.To, m.FromAlias = c.to, ""
			got := sent(t, m, c.change)
			said := got.From + "\n" + got.To + "\n" + got.Data
			for _, line := range c.lines {
				if !strings.Contains("\n"+said, "\n"+line) {
					t.Errorf("%q is not in\n%s", line, said)
				}
			}
			if utf8 := strings.HasSuffix(got.From, " SMTPUTF8"); utf8 != (c.utf8 != "") {
				t.Errorf("%q", got.From)
			}
			if c.utf8 == "" && strings.ContainsFunc(said, func(r rune) bool { return r >= 0x80 }) {
				t.Errorf("it is not ASCII:\n%s", said)
			}

			srv := serve(t, script{Extensions: []string{"AUTH PLAIN"}})
			_, err := connector(t, at(srv, c.change)).Send(t.Context(), m)
			if c.utf8 == "" {
				if err != nil {
					t.Errorf("without SMTPUTF8: %v", err)
				}
				return
			}
			class, setting := sender.Misconfigured, c.utf8+" needs"
			if c.utf8 == "to" {
				class, setting = sender.Permanent, "the recipient's address needs"
			}
			e := sendertest.WantCode(t, err, class, "SMTP.NoSMTPUTF8")
			if !strings.HasPrefix(e.Detail, setting) {
				t.Errorf("the detail is %q, want it to begin with %q", e.Detail, setting)
			}
			sendertest.Equal(t, "the number of MAIL", srv.Count("MAIL"), 0)
			sendertest.Hides(t, err, "用户")
		})
	}
}

// TestLongHeaders begin in their first line, since some servers read no other, and no
// line of encoded words is longer than 76 characters (RFC 2047, 2).
func TestLongHeaders(t *testing.T) {
	for name, text := range map[string]string{
		"ASCII":      strings.TrimSpace(strings.Repeat("word ", 50)),
		"one word":   strings.Repeat("x", 200),
		"Chinese":    strings.Repeat("您的验证码", 40),
		"mixed":      "Your code for a shop with a rather long name, Bücher & mehr, is 123456 " + strings.Repeat("and more ", 15),
		"beyond BMP": strings.Repeat("🚢", 60),
	} {
		m := message()
		m.ID, m.Subject, m.FromAlias = strings.Repeat("1", 64), text, text
		got := sent(t, m, func(c *smtp.Config) { c.ReplyTo = "=?utf-8?q?" + strings.Repeat("=C3=BC", 5) + "?= <a@example.com>" })
		header, _, _ := strings.Cut(got.Data, "\n\n")
		for line := range strings.SplitSeq(header, "\n") {
			if strings.HasSuffix(line, ":") || strings.TrimSpace(line) == "" {
				t.Errorf("%s: an empty line: %q", name, line)
			}
			if strings.Contains(line, "=?") && len(line) > 76 {
				t.Errorf("%s: a line of %d: %q", name, len(line), line)
			}
		}
		r, err := netmail.ReadMessage(strings.NewReader(got.Data))
		if err != nil {
			t.Fatal(err)
		}
		if subject, err := new(mime.WordDecoder).DecodeHeader(r.Header.Get("Subject")); err != nil || subject != strings.TrimSpace(text) {
			t.Errorf("%s: the subject is %q %v", name, subject, err)
		}
		if from, err := r.Header.AddressList("From"); err != nil || from[0].Name != strings.TrimSpace(text) {
			t.Errorf("%s: the sender is %v %v", name, from, err)
		}
		if to, err := r.Header.AddressList("Reply-To"); err != nil || to[0].Name != "üüüüü" {
			t.Errorf("%s: replies go to %v %v", name, to, err)
		}
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
			t.Fatalf("%q was sent to the server: %v", to, srv.Lines())
		}
		sendertest.WantCode(t, err, sender.Permanent, sender.CodeInvalid)
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
		if len(got) > 100 {
			t.Errorf("%q: the Message-ID has %d bytes, more than 100", id, len(got))
		}
		if strings.ContainsAny(got, " \r\n") {
			t.Errorf("%q: the Message-ID %q has white space", id, got)
		}
		sendertest.Equal(t, "the number of @ in "+got, strings.Count(got, "@"), 1)
		sendertest.Equal(t, "the Message-ID made again", smtp.MessageID(id, "no-reply@example.com"), got)
	}
	if a, b := smtp.MessageID("", "a@example.com"), smtp.MessageID("", "a@example.com"); a == b {
		t.Errorf("two messages without an id have the same Message-ID %s", a)
	}
}

// FuzzMail: for any rendered text, the mail has its headers once, and no others.
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
		for line := range bytes.SplitSeq(data, []byte("\r\n")) {
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
		for name, want := range map[string]string{"To": to, "From": "no-reply@example.com"} {
			if list, err := m.Header.AddressList(name); err != nil || len(list) != 1 || list[0].Address != want {
				t.Fatalf("%s has the addresses %v (error %v), want %s alone", name, list, err, want)
			}
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
