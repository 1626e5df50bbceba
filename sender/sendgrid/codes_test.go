package sendgrid_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

const unverified = "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."

// refusals are the texts of SendGrid's reference, support and libraries' issues. This is
// a second copy, against which the catalogue is tested.
var refusals = []struct {
	status         int
	field, message string
	class          sender.Class
	scope          sender.Scope
	code           string
}{
	{400, "personalizations.0.to.0.email", "Does not contain a valid address.", sender.Permanent, sender.ScopeRecipient, "bad-recipient"},
	{400, "personalizations.0.to", "The to array is required for all personalization objects, and must have at least one email object with a valid email address.", sender.Permanent, sender.ScopeRecipient, "bad-recipient"},
	{400, "personalizations", "The personalizations field is required and must have at least one personalization.", sender.Permanent, sender.ScopeMessage, "bad-recipient"},
	{400, "from.email", "The from email does not contain a valid address.", sender.Misconfigured, sender.ScopeConnector, "bad-sender"},
	{400, "from", "Invalid type. Expected: object, given: string.", sender.Misconfigured, sender.ScopeConnector, "bad-sender"},
	{400, "from.name", "The from name is too long.", sender.Permanent, sender.ScopeMessage, "bad-from-name"},
	{400, "fromage", "Unknown field.", sender.Permanent, sender.ScopeMessage, "bad-request"},
	{400, "template_id", "The template_id must be a valid GUID.", sender.Misconfigured, sender.ScopeTemplate, "bad-template"},
	{400, "reply_to.email", "The reply_to email does not contain a valid address.", sender.Misconfigured, sender.ScopeConnector, "bad-reply-to"},
	{400, "subject", "The subject is required.", sender.Permanent, sender.ScopeMessage, "bad-subject"},
	{400, "content.0.value", "The content value must be a string at least one character in length.", sender.Permanent, sender.ScopeMessage, "bad-content"},
	{400, "custom_args", "The custom_args must not exceed 10000 bytes.", sender.Permanent, sender.ScopeMessage, "bad-id"},
	{400, "tracking_settings.click_tracking", "Invalid type.", sender.Misconfigured, sender.ScopeConnector, "bad-settings"},
	{400, "mail_settings", "Invalid type.", sender.Misconfigured, sender.ScopeConnector, "bad-settings"},
	{400, "", "The recipient is on a Suppression list.", sender.Permanent, sender.ScopeRecipient, "suppressed"},
	{400, "", "Bad Request", sender.Permanent, sender.ScopeMessage, "bad-request"},
	{401, "", "The provided authorization grant is invalid, expired, or revoked", sender.AccountDown, sender.ScopeAccount, "bad-key"},
	{401, "", "Permission denied, wrong credentials", sender.AccountDown, sender.ScopeAccount, "bad-key"},
	{401, "", "Maximum credits exceeded", sender.AccountDown, sender.ScopeAccount, "no-credits"},
	{403, "", "Maximum credits exceeded", sender.AccountDown, sender.ScopeAccount, "no-credits"},
	{401, "", "You've exceeded your messaging limits", sender.AccountDown, sender.ScopeAccount, "no-credits"},
	{401, "", "Authenticated user is not authorized to send mail", sender.AccountDown, sender.ScopeAccount, "no-scope"},
	{401, "", "The requestor's IP Address is not whitelisted", sender.AccountDown, sender.ScopeAccount, "ip-not-allowed"},
	{401, "", "something new", sender.AccountDown, sender.ScopeAccount, "unauthorized"},
	{403, "from", unverified, sender.Misconfigured, sender.ScopeConnector, "unverified-sender"},
	{403, "", unverified, sender.Misconfigured, sender.ScopeConnector, "unverified-sender"},
	{403, "", "access forbidden", sender.AccountDown, sender.ScopeAccount, "no-scope"},
	{403, "", "You are temporarily blocked from sending emails due to repeated bad requests.", sender.Throttled, sender.ScopeConnector, "blocked"},
	{403, "", "Your account is suspended", sender.AccountDown, sender.ScopeAccount, "forbidden"},
	{404, "", "Not Found", sender.Misconfigured, sender.ScopeConnector, "not-found"},
	{405, "", "Method Not Allowed", sender.Misconfigured, sender.ScopeConnector, "method-not-allowed"},
	{406, "", "Missing Accept header", sender.Misconfigured, sender.ScopeConnector, "not-acceptable"},
	{408, "", "timed out", sender.Unknown, sender.ScopeConnector, "request-timeout"},
	{413, "", "Payload Too Large", sender.Permanent, sender.ScopeMessage, "too-large"},
	{415, "", "Content-Type should be application/json.", sender.Misconfigured, sender.ScopeConnector, "bad-media-type"},
	{422, "", "something new", sender.Permanent, sender.ScopeMessage, "refused"},
	{429, "", "too many requests", sender.Throttled, sender.ScopeConnector, "too-many-requests"},
	{451, "", "Unavailable due to data residency restrictions", sender.Misconfigured, sender.ScopeConnector, "wrong-region"},
	{500, "", "Internal Server Error", sender.Unknown, sender.ScopeConnector, "HTTP.500"},
	{503, "", "Maximum credits exceeded", sender.Unknown, sender.ScopeConnector, "HTTP.503"},
}

// TestTheRecipientDecidesNothing: text of the recipient or the mail that SendGrid repeats
// does not change the meaning of an error.
func TestTheRecipientDecidesNothing(t *testing.T) {
	for _, m := range []*sender.Message{
		{To: "suppress@blocked.example"},
		{To: `"temporarily blocked"@example.org`},
		{To: `"maximum credits exceeded"@example.org`},
		{To: to, Subject: "Maximum credits exceeded", FromAlias: "Verified Sender Identity", Text: "You are temporarily blocked.\nWrong credentials", HTML: "<p>Access forbidden</p>"},
	} {
		for _, status := range []int{400, 401, 403, 429} {
			want := sendgrid.Refused(status, "no", m)
			local := strings.Trim(m.To[:strings.LastIndexByte(m.To, '@')], `"`)
			for _, word := range []string{m.To, "<" + strings.ToUpper(m.To) + ">", "'" + local + "'", m.Subject, m.FromAlias, m.Text, m.HTML} {
				e := sendgrid.Refused(status, word+" no", m)
				if e.Class != want.Class || e.Scope != want.Scope || e.Code != want.Code {
					t.Errorf("%d %q is %v of the %v (%s), without %q %v of the %v (%s)", status, word+" no", e.Class, e.Scope, e.Code, word, want.Class, want.Scope, want.Code)
				}
			}
		}
	}
}

// TestFake: the fake's own refusals, which are about what was sent.
func TestFake(t *testing.T) {
	in, endpoint := newFake(t)
	s := connector(t, endpoint)
	for name, c := range map[string]struct {
		change func(*sender.Message)
		code   string
	}{
		"to":      {func(m *sender.Message) { m.To = "alice@localhost" }, "bad-recipient"},
		"subject": {func(m *sender.Message) { m.Subject = "" }, "bad-subject"},
		"content": {func(m *sender.Message) { m.Text, m.HTML = "", "" }, "bad-content"},
		"id":      {func(m *sender.Message) { m.ID = strings.Repeat("i", 10000) }, "bad-id"},
	} {
		t.Run(name, func(t *testing.T) {
			m := render(t, s)
			c.change(m)
			_, err := s.Send(t.Context(), m)
			sendertest.WantCode(t, err, sender.Permanent, c.code)
			sendertest.Hides(t, err, m.To)
		})
	}
	other := connector(t, endpoint, func(c *sendgrid.Config) { c.FromEmail = "other@example.com" })
	sendertest.WantCode(t, send(t, other), sender.Misconfigured, "unverified-sender")
	if n := len(in.Inbox()); n != 0 {
		t.Errorf("%d mails were accepted", n)
	}
}

// TestSeveralErrors: the first specific error decides.
func TestSeveralErrors(t *testing.T) {
	const to = `{"message":"no","field":"personalizations.0.to.0.email"}`
	const from = `{"message":"no","field":"from.email"}`
	const bad = `{"message":"Bad Request","field":null}`
	for errors, want := range map[string]string{
		to + "," + from: "bad-recipient", from + "," + to: "bad-sender",
		bad + "," + from: "bad-sender", from + "," + bad: "bad-sender",
		`7,null,{"message":5},` + from: "bad-sender",
		`"Bad Request"`:                "bad-request",
	} {
		srv := faulty.Serve(t, faulty.Answer(400, `{"errors":[`+errors+`]}`))
		if e := sender.AsError(send(t, connector(t, srv.Endpoint))); e.Code != want {
			t.Errorf("%s: got code %q, want %q", errors, e.Code, want)
		}
	}
}

// TestStrangeAnswers: none of them means success, and none means that the mail was not
// accepted.
func TestStrangeAnswers(t *testing.T) {
	bodies := []string{
		"", " ", "null", "{}", "[]", `"OK"`, "<html><body>welcome</body></html>", `{"errors":null}`, `{"errors":[]}`, `{"errors":{}}`, `{"errors":[null,7]}`,
		`{"errors":[{"message":7,"field":[]}]}`, `{"errors":[{"message":"no","field":"from"}]`, `{"errors":[{"message":"no"}]}<!-- -->`,
	}
	var answer atomic.Pointer[http.HandlerFunc]
	srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) })
	s := connector(t, srv.Endpoint)
	try := func(status int, body string) {
		t.Helper()
		h := faulty.Answer(status, body)
		answer.Store(&h)
		if e := sendertest.Want(t, send(t, s), sender.Unknown); e.Code != fmt.Sprint("HTTP.", status) || e.Detail == "" {
			t.Errorf("%d %.40q: %+v", status, body, e)
		}
	}
	for _, status := range []int{200, 201, 203, 204, 206, 302, 304, 400, 401, 403, 404, 407, 422, 499, 500, 501, 502, 503, 504, 520, 599} {
		for _, body := range bodies {
			try(status, body)
		}
	}
	try(400, strings.Repeat(`{"errors":`, 20000))
	try(400, strings.Repeat(" ", 2<<20)+fakesendgrid.ErrorBody("", "no"))
}

// TestAnswersThatAreNotWhole: a success that breaks off, stalls or has no end is doubt,
// and the error says which of these happened.
func TestAnswersThatAreNotWhole(t *testing.T) {
	for name, c := range map[string]struct {
		rest       string
		stall      bool
		code, says string
	}{
		"cut":      {"Content-Length: 9\r\n\r\n{}", false, "read-error", "EOF"},
		"stalled":  {"Content-Length: 9\r\n\r\n{}", true, "read-timeout", "in time"},
		"too long": {"\r\n" + strings.Repeat(" ", 1<<20), false, "read-error", "too long"},
	} {
		for _, status := range []string{"200 OK", "202 Accepted"} {
			t.Run(name+", "+status, func(t *testing.T) {
				t.Parallel()
				srv := faulty.Raw(t, func(k *faulty.Conn) {
					k.ReadRequest()
					k.Say("HTTP/1.1 " + status + "\r\n" + c.rest)
					if c.stall {
						k.Wait()
					}
				})
				s := connector(t, srv.Endpoint, func(s *sendgrid.Config) {
					if c.stall {
						s.Timeout = 300 * time.Millisecond
					}
				})
				e := sendertest.Want(t, send(t, s), sender.Unknown)
				if e.Code != c.code {
					t.Errorf("code %q, want %q", e.Code, c.code)
				}
				if !strings.Contains(e.Detail, c.says) {
					t.Errorf("detail %q does not say %q", e.Detail, c.says)
				}
			})
		}
	}
}

// TestAccepted: 202 is a success if it can be SendGrid's.
func TestAccepted(t *testing.T) {
	for _, c := range []struct {
		name, answer string
		id           string
		ok           bool
	}{
		{"as SendGrid says it", "202 Accepted\r\nX-Message-Id: 14c5d75ce93.dfd.64b469\r\nContent-Length: 0\r\n\r\n", "14c5d75ce93.dfd.64b469", true},
		{"with a body", "202 Accepted\r\nX-Message-Id: M-1\r\nContent-Length: 2\r\n\r\n{}", "M-1", true},
		{"its body is cut", "202 Accepted\r\nX-Message-Id: M-1\r\nContent-Length: 9\r\n\r\n{}", "M-1", true},
		{"no id", "202 Accepted\r\nContent-Length: 0\r\n\r\n", "", true},
		{"no id, a body", "202 Accepted\r\nContent-Length: 6\r\n\r\n<html>", "", false},
		{"no id, its body is cut", "202 Accepted\r\nContent-Length: 6\r\n\r\n", "", false},
		{"200", "200 OK\r\nX-Message-Id: M-1\r\nContent-Length: 0\r\n\r\n", "", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := faulty.Raw(t, func(conn *faulty.Conn) {
				conn.ReadRequest()
				conn.Say("HTTP/1.1 " + c.answer)
			})
			s := connector(t, srv.Endpoint)
			receipt, err := s.Send(t.Context(), render(t, s))
			if receipt != (sender.Receipt{ProviderID: c.id}) || (err == nil) != c.ok {
				t.Errorf("got %+v, %v", receipt, err)
			}
			if !c.ok {
				sendertest.Want(t, err, sender.Unknown)
			}
		})
	}
}

// TestRedirects: neither the key nor the mail is sent to the target of a redirect.
func TestRedirects(t *testing.T) {
	elsewhere := faulty.Serve(t, accept)
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.Endpoint+"/v3/mail/send", status)
		})
		sendertest.Want(t, send(t, connector(t, srv.Endpoint)), sender.Unknown)
		sendertest.Want(t, sendertest.Check(t, connector(t, srv.Endpoint)), sender.Misconfigured)
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestEndlessAnswers are read up to the limit.
func TestEndlessAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		head, rest string
	}{
		"header":            {"HTTP/1.1 202 Accepted\r\nX-Message-Id: M-1\r\n", "X-Filler: " + strings.Repeat("x", 1000) + "\r\n"},
		"body":              {"HTTP/1.1 400 Bad Request\r\n\r\n", strings.Repeat(" ", 1000)},
		"informal answers":  {"HTTP/1.1 100 Continue\r\n\r\n", "HTTP/1.1 103 Early Hints\r\n\r\n"},
		"body of a success": {"HTTP/1.1 200 OK\r\n\r\n", strings.Repeat("x", 1000)},
	} {
		t.Run(name, func(t *testing.T) {
			srv := faulty.Raw(t, func(conn *faulty.Conn) {
				conn.ReadRequest()
				conn.Say(c.head)
				for {
					if _, err := io.WriteString(conn, c.rest); err != nil {
						return // the client has gone away
					}
				}
			})
			s := connector(t, srv.Endpoint, func(c *sendgrid.Config) { c.Timeout = time.Hour })
			sendertest.Want(t, send(t, s), sender.Unknown)
		})
	}
}

func TestRetryAfter(t *testing.T) {
	date := time.Now().Add(-24 * time.Hour).UTC().Truncate(time.Second) // the provider's clock is its own
	for name, c := range map[string]struct {
		header map[string]string
		want   time.Duration
	}{
		"none":            {nil, 0},
		"reset":           {map[string]string{"X-RateLimit-Reset": fmt.Sprint(date.Unix() + 17)}, 17 * time.Second},
		"reset, past":     {map[string]string{"X-RateLimit-Reset": "1392815263"}, 0},
		"reset, far":      {map[string]string{"X-RateLimit-Reset": fmt.Sprint(date.Unix() + 1e6)}, time.Hour},
		"reset, too far":  {map[string]string{"X-RateLimit-Reset": "9223372036854775807"}, 0},
		"reset, a word":   {map[string]string{"X-RateLimit-Reset": "soon"}, 0},
		"seconds":         {map[string]string{"Retry-After": "30"}, 30 * time.Second},
		"a date":          {map[string]string{"Retry-After": date.Add(time.Minute).Format(http.TimeFormat)}, time.Minute},
		"the longer":      {map[string]string{"Retry-After": "5", "X-RateLimit-Reset": fmt.Sprint(date.Unix() + 9)}, 9 * time.Second},
		"negative":        {map[string]string{"Retry-After": "-1"}, 0},
		"a date, too far": {map[string]string{"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			srv := faulty.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", date.Format(http.TimeFormat))
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				faulty.Answer(429, fakesendgrid.ErrorBody("", "too many requests"))(w, r)
			})
			if e := sendertest.Want(t, send(t, connector(t, srv.Endpoint)), sender.Throttled); e.RetryAfter != c.want {
				t.Errorf("%s, want %s", e.RetryAfter, c.want)
			}
		})
	}
}

// TestCodesInContent: everything that can be a code is hidden, in every form.
func TestCodesInContent(t *testing.T) {
	for text, hidden := range map[string]string{
		"your code: 123456.": "123456", "您的验证码123456，5分钟": "123456", "code 123 456 please": "123 456",
		"code 123-456": "123-456", "code: ABCD": "ABCD", "https://example.com/?t=aB3dE6": "aB3dE6",
	} {
		srv := faulty.Serve(t, faulty.Answer(400, fakesendgrid.ErrorBody("content", "unfit: "+hidden)))
		s := connector(t, srv.Endpoint)
		m := render(t, s)
		m.Text = text
		_, err := s.Send(t.Context(), m)
		sendertest.Want(t, err, sender.Permanent)
		sendertest.Hides(t, err, hidden)
	}
}
