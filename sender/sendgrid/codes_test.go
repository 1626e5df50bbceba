package sendgrid_test

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

const unverified = "The from address does not match a verified Sender Identity. Mail cannot be sent until this error is resolved."

// TestRefusals holds the catalogue against the words of SendGrid's reference,
// support and libraries' issues, written down here a second time.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		status         int
		field, message string
		class          sender.Class
		code           string
	}{
		{400, "personalizations.0.to.0.email", "Does not contain a valid address.", sender.Permanent, "bad-recipient"},
		{400, "personalizations.0.to", "The to array is required for all personalization objects, and must have at least one email object with a valid email address.", sender.Permanent, "bad-recipient"},
		{400, "personalizations", "The personalizations field is required and must have at least one personalization.", sender.Permanent, "bad-recipient"},
		{400, "from.email", "The from email does not contain a valid address.", sender.Misconfigured, "bad-sender"},
		{400, "from", "Invalid type. Expected: object, given: string.", sender.Misconfigured, "bad-sender"},
		{400, "from.name", "The from name is too long.", sender.Permanent, "bad-from-name"},
		{400, "fromage", "Unknown field.", sender.Permanent, "bad-request"},
		{400, "reply_to.email", "The reply_to email does not contain a valid address.", sender.Misconfigured, "bad-reply-to"},
		{400, "subject", "The subject is required.", sender.Permanent, "bad-subject"},
		{400, "content.0.value", "The content value must be a string at least one character in length.", sender.Permanent, "bad-content"},
		{400, "custom_args", "The custom_args must not exceed 10000 bytes.", sender.Permanent, "bad-id"},
		{400, "tracking_settings.click_tracking", "Invalid type.", sender.Misconfigured, "bad-settings"},
		{400, "mail_settings", "Invalid type.", sender.Misconfigured, "bad-settings"},
		{400, "", "The recipient is on a Suppression list.", sender.Permanent, "suppressed"},
		{400, "", "Bad Request", sender.Permanent, "bad-request"},
		{401, "", "The provided authorization grant is invalid, expired, or revoked", sender.AccountDown, "bad-key"},
		{401, "", "Permission denied, wrong credentials", sender.AccountDown, "bad-key"},
		{401, "", "Maximum credits exceeded", sender.AccountDown, "no-credits"},
		{403, "", "Maximum credits exceeded", sender.AccountDown, "no-credits"},
		{401, "", "You've exceeded your messaging limits", sender.AccountDown, "no-credits"},
		{401, "", "Authenticated user is not authorized to send mail", sender.AccountDown, "no-scope"},
		{401, "", "The requestor's IP Address is not whitelisted", sender.AccountDown, "ip-not-allowed"},
		{401, "", "something new", sender.AccountDown, "unauthorized"},
		{403, "from", unverified, sender.Misconfigured, "unverified-sender"},
		{403, "", unverified, sender.Misconfigured, "unverified-sender"},
		{403, "", "access forbidden", sender.AccountDown, "no-scope"},
		{403, "", "You are temporarily blocked from sending emails due to repeated bad requests.", sender.Throttled, "blocked"},
		{403, "", "Your account is suspended", sender.AccountDown, "forbidden"},
		{404, "", "Not Found", sender.Misconfigured, "not-found"},
		{405, "", "Method Not Allowed", sender.Misconfigured, "method-not-allowed"},
		{406, "", "Missing Accept header", sender.Misconfigured, "not-acceptable"},
		{408, "", "timed out", sender.Unknown, "request-timeout"},
		{413, "", "Payload Too Large", sender.Permanent, "too-large"},
		{415, "", "Content-Type should be application/json.", sender.Misconfigured, "bad-media-type"},
		{422, "", "something new", sender.Permanent, "refused"},
		{429, "", "too many requests", sender.Throttled, "too-many-requests"},
		{451, "", "Unavailable due to data residency restrictions", sender.Misconfigured, "wrong-region"},
		{500, "", "Internal Server Error", sender.Unknown, "HTTP.500"},
		{503, "", "Maximum credits exceeded", sender.Unknown, "HTTP.503"},
	} {
		t.Run(fmt.Sprintf("%d %s %s", c.status, c.field, c.message), func(t *testing.T) {
			srv := sendertest.Serve(t, sendertest.Answer(c.status, standin.SendGridError(c.field, c.message)))
			e := sendertest.Want(t, send(t, connector(t, srv.Endpoint)), c.class)
			if e.Code != c.code || e.RetryAfter != 0 {
				t.Errorf("%+v", e)
			}
			if want := strings.TrimPrefix(c.field+": "+c.message, ": "); !strings.HasSuffix(e.Detail, want) {
				t.Errorf("detail %q, want it to end with %q", e.Detail, want)
			}
			if n := len(srv.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

// TestStandIn: the stand-in's own refusals, which are about what was sent.
func TestStandIn(t *testing.T) {
	in, endpoint := newStandIn(t)
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
		m := render(t, s)
		c.change(m)
		_, err := s.Send(t.Context(), m)
		if e := sendertest.Want(t, err, sender.Permanent); e.Code != c.code {
			t.Errorf("%s: %+v", name, e)
		}
		sendertest.Hides(t, err, m.To)
	}
	other := connector(t, endpoint, func(c *sendgrid.Config) { c.FromEmail = "other@example.com" })
	if e := sendertest.Want(t, send(t, other), sender.Misconfigured); e.Code != "unverified-sender" {
		t.Error(e)
	}
	if n := len(in.Inbox()); n != 0 {
		t.Errorf("%d mails", n)
	}
}

// TestSeveralErrors: the one that says something decides.
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
		srv := sendertest.Serve(t, sendertest.Answer(400, `{"errors":[`+errors+`]}`))
		if e := sender.AsError(send(t, connector(t, srv.Endpoint))); e.Code != want {
			t.Errorf("%s: %+v, want %s", errors, e, want)
		}
	}
}

// TestStrangeAnswers: none of them is a success, and none says that the mail was
// not taken.
func TestStrangeAnswers(t *testing.T) {
	bodies := []string{
		"", " ", "null", "{}", "[]", `"OK"`, "<html><body>welcome</body></html>", `{"errors":null}`, `{"errors":[]}`, `{"errors":{}}`, `{"errors":[null,7]}`,
		`{"errors":[{"message":7,"field":[]}]}`, `{"errors":[{"message":"no","field":"from"}]`, `{"errors":[{"message":"no"}]}<!-- -->`,
	}
	var answer atomic.Pointer[http.HandlerFunc]
	srv := sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) { (*answer.Load())(w, r) })
	s := connector(t, srv.Endpoint)
	try := func(status int, body string) {
		t.Helper()
		h := sendertest.Answer(status, body)
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
	try(400, strings.Repeat(" ", 2<<20)+standin.SendGridError("", "no"))
	try(200, strings.Repeat(" ", 2<<20))
}

// TestAccepted: 202 is a success where it can be SendGrid's.
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
			srv := sendertest.Raw(t, func(conn *sendertest.Conn) {
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

// TestRedirects: neither the key nor the mail goes where an answer points to.
func TestRedirects(t *testing.T) {
	elsewhere := sendertest.Serve(t, accept)
	for _, status := range []int{301, 302, 303, 307, 308} {
		srv := sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.Endpoint+"/v3/mail/send", status)
		})
		sendertest.Want(t, send(t, connector(t, srv.Endpoint)), sender.Unknown)
		sendertest.Want(t, check(t, connector(t, srv.Endpoint)), sender.Unknown)
	}
	if n := len(elsewhere.Requests()); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

// TestEndlessAnswers: they are read as far as one is willing to.
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
			srv := sendertest.Raw(t, func(conn *sendertest.Conn) {
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
			srv := sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Date", date.Format(http.TimeFormat))
				for k, v := range c.header {
					w.Header().Set(k, v)
				}
				sendertest.Answer(429, standin.SendGridError("", "too many requests"))(w, r)
			})
			if e := sendertest.Want(t, send(t, connector(t, srv.Endpoint)), sender.Throttled); e.RetryAfter != c.want {
				t.Errorf("%s, want %s", e.RetryAfter, c.want)
			}
		})
	}
}

// TestErrorsHideWhatIsPrivate: an error may repeat the request, in whole or in
// parts, in any of the ways that are usual.
func TestErrorsHideWhatIsPrivate(t *testing.T) {
	base := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, repeat := range map[string]func(r sendertest.Request) string{
		"the address":               func(sendertest.Request) string { return "unfit: " + to },
		"the address, in lower":     func(sendertest.Request) string { return "unfit: " + strings.ToLower(to) },
		"the address, in a URL":     func(sendertest.Request) string { return "unfit: ?to=" + url.QueryEscape(to) },
		"the address, twice in one": func(sendertest.Request) string { return "unfit: ?to=" + url.QueryEscape(url.QueryEscape(to)) },
		"the address, in base64":    func(sendertest.Request) string { return "unfit: " + base(to) },
		"the address, in URL base64": func(sendertest.Request) string {
			return "unfit: " + base64.URLEncoding.EncodeToString([]byte(to))
		},
		"the code":            func(sendertest.Request) string { return "unfit: '" + code + "'" },
		"the code, in lower":  func(sendertest.Request) string { return "unfit: " + strings.ToLower(code) },
		"the code, in base64": func(sendertest.Request) string { return "unfit: " + base(code) },
		"the key":             func(r sendertest.Request) string { return "unfit: " + r.Header.Get("Authorization") },
		"the key, in base64":  func(sendertest.Request) string { return "unfit: " + base(key) },
		"the body":            func(r sendertest.Request) string { return "unfit: " + string(r.Raw) },
		"the body, in a URL":  func(r sendertest.Request) string { return "unfit: " + url.QueryEscape(string(r.Raw)) },
		"the text":            func(sendertest.Request) string { return "unfit: " + code + " 您的验证码 🚢" },
		"too much before it":  func(sendertest.Request) string { return "unfit: " + strings.Repeat(" ", 4<<10-35) + to },
		"control characters":  func(sendertest.Request) string { return "unfit:\r\n\x1b[31m" + to + "\x00" },
	} {
		t.Run(name, func(t *testing.T) {
			var srv *sendertest.Server
			srv = sendertest.Serve(t, func(w http.ResponseWriter, r *http.Request) {
				requests := srv.Requests()
				sendertest.Answer(400, standin.SendGridError("personalizations", repeat(requests[len(requests)-1])))(w, r)
			})
			err := send(t, connector(t, srv.Endpoint))
			e := sendertest.Want(t, err, sender.Permanent)
			sendertest.Hides(t, err, to, "Al~ce", code, key, base(to), base64.RawURLEncoding.EncodeToString([]byte(to)), base(code), base(key), "您的验证码", "\x1b", "\x00")
			if !strings.HasPrefix(e.Detail, "personalizations: ") {
				t.Errorf("nothing is left of it: %q", e.Detail)
			}
		})
	}
	t.Run("no HTTP", func(t *testing.T) {
		srv := sendertest.Raw(t, func(c *sendertest.Conn) {
			c.ReadRequest()
			c.Say("ERR " + to + " " + code + " " + key + "\r\n")
		})
		err := send(t, connector(t, srv.Endpoint))
		sendertest.Want(t, err, sender.Unknown)
		sendertest.Hides(t, err, to, code, key)
	})
}

// TestCodesInContent: what may be a code is hidden in whatever form it stands.
func TestCodesInContent(t *testing.T) {
	for text, hidden := range map[string]string{
		"your code: 123456.": "123456", "您的验证码123456，5分钟": "123456", "code 123 456 please": "123 456",
		"code 123-456": "123-456", "code: ABCD": "ABCD", "https://example.com/?t=aB3dE6": "aB3dE6",
	} {
		srv := sendertest.Serve(t, sendertest.Answer(400, standin.SendGridError("content", "unfit: "+hidden)))
		s := connector(t, srv.Endpoint)
		m := render(t, s)
		m.Text = text
		_, err := s.Send(t.Context(), m)
		sendertest.Want(t, err, sender.Permanent)
		sendertest.Hides(t, err, hidden)
	}
}
