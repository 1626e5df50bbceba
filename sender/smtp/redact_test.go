package smtp_test

import (
	"encoding/base64"
	"errors"
	"net/url"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/smtp"
)

func secret() *sender.Message {
	return &sender.Message{
		To: to, Subject: "SignIn: " + code, Text: "Your code is 481516 or " + code + ", Ann",
		HTML: "<p>Your code is 481516</p>",
	}
}

// TestRedact: on the left is a server's text, on the right what remains of it.
func TestRedact(t *testing.T) {
	b64 := base64.StdEncoding.EncodeToString
	for said, want := range map[string]string{
		"User unknown": "User unknown",
		"<" + to + ">: Recipient address rejected: User unknown":  "<[hidden]>: Recipient address rejected: User unknown",
		"<alice+x@example.com> is gone":                           "<[hidden]> is gone",
		"ALICE+X has no mailbox":                                  "[hidden] has no mailbox",
		"mailto:" + url.QueryEscape(to):                           "mailto:[hidden]",
		"other@example.net and no-reply@example.com":              "[hidden] and no-reply@example.com",
		"a spam word: " + code:                                    "a spam word: [hidden]",
		"a spam word: qx7Z9k":                                     "a spam word: [hidden]",
		"spam: 481516.":                                           "spam: [hidden].",
		"your code was seen":                                      "your code was seen",
		"error 554811 at 12:30":                                   "error 554811 at 12:30",
		"AUTH PLAIN " + b64([]byte("\x00u@example.com\x00"+pass)): "AUTH PLAIN [hidden]",
		"x" + b64([]byte(pass)) + "?":                             "",
		b64([]byte("Subject: " + code)):                           "[hidden]",
		"pass " + pass:                                            "pass [hidden]",
		"two\nlines\r\n\tand \x1b[31mred\u202e":                   "two lines and [31mred",
		strings.Repeat("é", 300):                                  strings.Repeat("é", 200) + "…",
		"\xff\xfe":                                                "\uFFFD",
	} {
		got := smtp.Redact(said, secret(), pass)
		if want != "" && got != want {
			t.Errorf("%q: got %q, want %q", said, got, want)
		}
		sendertest.Hides(t, errors.New(got), to, code, pass, "481516")
	}
}

func FuzzRedact(f *testing.F) {
	f.Add("<"+to+"> unknown", "")
	f.Add(url.QueryEscape(to), code)
	f.Add(base64.StdEncoding.EncodeToString([]byte(code)), "\xff")
	f.Fuzz(func(t *testing.T, before, after string) {
		for _, private := range []string{to, pass} {
			got := smtp.Redact(before+private+after, secret(), pass)
			if strings.Contains(strings.ToLower(got), strings.ToLower(private)) || !utf8.ValidString(got) || utf8.RuneCountInString(got) > 201 || strings.ContainsAny(got, "\r\n") {
				t.Fatalf("%q", got)
			}
		}
		if got := smtp.Redact(before+" "+code+" "+after, secret(), pass); strings.Contains(strings.ToLower(got), strings.ToLower(code)) {
			t.Fatalf("%q", got)
		}
	})
}

func TestQueueID(t *testing.T) {
	for answer, want := range map[string]string{
		"2.0.0 Ok: queued as 4XyZ1B2c3Dz9rxP":                          "4XyZ1B2c3Dz9rxP",
		"Ok: queued as 8A7F41C0021":                                    "8A7F41C0021",
		"OK id=1rABC2-000XYZ-1a":                                       "1rABC2-000XYZ-1a",
		"2.0.0 45A1B2C3012345 Message accepted for delivery":           "45A1B2C3012345",
		"2.0.0 8a2f1b3c Message accepted for delivery":                 "8a2f1b3c",
		"2.6.0 <a@b> [InternalId=123456, Hostname=x.y] 8 bytes Queued": "123456",
		"2.0.0 OK  1700000000 a1-20020a170902.12 - gsmtp":              "a1-20020a170902.12",
		"Ok 0100018c1b2a3d4e-5f6a-7b8c-000000":                         "0100018c1b2a3d4e-5f6a-7b8c-000000",
		"Ok":                                                           "",
		"2.0.0 Ok":                                                     "",
		"Thank you":                                                    "",
		"queued as <x@example.com>":                                    "",
		"queued as " + strings.Repeat("x", 101):                        "",
		"2.0.0 first line\n2.0.0 Ok: queued as ABC1":                   "ABC1",
	} {
		if got := smtp.QueueID(answer); got != want {
			t.Errorf("%q: got %q, want %q", answer, got, want)
		}
	}
}

func FuzzReply(f *testing.F) {
	f.Add("2.0.0 Ok: queued as 4XyZ1B2c3D")
	f.Add("5.1.1\n5.1.1 no")
	f.Add("5.7.1x no")
	f.Fuzz(func(t *testing.T, text string) {
		status, rest := smtp.SplitReply(text)
		if len(status) > 9 || len(rest) > len(text) || status != "" && !strings.HasPrefix("245", status[:1]) && !strings.Contains("245", status[:1]) {
			t.Fatalf("%q %q", status, rest)
		}
		if id := smtp.QueueID(text); len(id) > 100 || strings.ContainsAny(id, " @<>\r\n\x00") {
			t.Fatalf("%q", id)
		}
	})
}
