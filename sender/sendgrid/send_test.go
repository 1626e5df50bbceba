package sendgrid_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	to   = "Al~ce+x&y@Example.com" // differs in JSON, in a URL, and between the two base64
	code = "Qx7z9K"
)

func connector(t testing.TB, endpoint string, changes ...func(*sendgrid.Config)) sender.Sender {
	t.Helper()
	c := good()
	c.Endpoint = endpoint
	for _, change := range changes {
		change(c)
	}
	if problems := c.Validate(); len(problems) > 0 {
		t.Fatal(problems)
	}
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func signIn() *messages.SendCode {
	return &messages.SendCode{ID: "id-1", To: to, Type: messages.SignIn, Payload: messages.Payload{
		"code": code, "user": map[string]any{"name": `Ann "<&>" 安`},
	}}
}

func render(t testing.TB, s sender.Sender) *sender.Message {
	t.Helper()
	m, err := s.Render(signIn())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// send sends the message of signIn, and returns the error alone.
func send(t testing.TB, s sender.Sender) error {
	t.Helper()
	receipt, err := s.Send(t.Context(), render(t, s))
	if err == nil {
		t.Errorf("sent: %+v", receipt)
	} else if receipt != (sender.Receipt{}) {
		t.Errorf("an error beside %+v", receipt)
	}
	return err
}

func TestSend(t *testing.T) {
	const html = `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">` + code + ` 您的验证码 🚢</p>`
	const text = code + " 您的验证码 🚢"
	for _, c := range []struct {
		name     string
		change   func(*sendgrid.Config)
		fromName string
		replyTo  string
		content  [][2]string
	}{
		{"HTML", func(*sendgrid.Config) {}, "Example 示例", "", [][2]string{{"text/plain", text}, {"text/html", html}}},
		{
			"its own text", func(c *sendgrid.Config) { c.Templates[0].Text = "{{code}} für {{user.name}}" },
			"Example 示例", "",
			[][2]string{{"text/plain", code + ` für Ann "<&>" 安`}, {"text/html", html}},
		},
		{"text/plain", func(c *sendgrid.Config) {
			c.Templates[0].Type, c.Templates[0].Content = sender.TextPlain, "<{{code}}> & {{user.name}}\r\n\"🚢\""
		}, "Example 示例", "", [][2]string{{"text/plain", "<" + code + `> & Ann "<&>" 安` + "\r\n\"🚢\""}}},
		{
			"replyTo", func(c *sendgrid.Config) { c.ReplyTo = "help@example.com" },
			"Example 示例", "help@example.com",
			[][2]string{{"text/plain", text}, {"text/html", html}},
		},
		{
			"fromName with a placeholder", func(c *sendgrid.Config) { c.FromName = "{{user.name}}, 渡船" },
			`Ann "<&>" 安, 渡船`, "",
			[][2]string{{"text/plain", text}, {"text/html", html}},
		},
		{"no fromName", func(c *sendgrid.Config) { c.FromName = "" }, "", "", [][2]string{{"text/plain", text}, {"text/html", html}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, endpoint := newStandIn(t)
			s := connector(t, endpoint, func(config *sendgrid.Config) {
				i := slices.IndexFunc(config.Templates, func(t sendgrid.Template) bool { return t.UsageType == messages.SignIn })
				config.Templates[0], config.Templates[i] = config.Templates[i], config.Templates[0]
				c.change(config)
			})
			receipt, err := s.Send(t.Context(), render(t, s))
			if want := (sender.Receipt{ProviderID: "message-1"}); err != nil || receipt != want {
				t.Fatalf("got %+v, %v, want %+v", receipt, err, want)
			}
			m := in.Inbox()[0]
			if got := m.Personalizations[0].To[0]; got != (standin.SendGridPerson{Email: to}) {
				t.Errorf("to %+v", got)
			}
			if got, want := m.From, (standin.SendGridPerson{Email: standin.SendGridFrom, Name: c.fromName}); got != want {
				t.Errorf("from %+v, want %+v", got, want)
			}
			if got := m.ReplyTo; (got == nil) != (c.replyTo == "") || got != nil && *got != (standin.SendGridPerson{Email: c.replyTo}) {
				t.Errorf("reply_to %+v", got)
			}
			if m.Subject != "SignIn: "+code {
				t.Errorf("subject %q", m.Subject)
			}
			var content [][2]string
			for _, part := range m.Content {
				content = append(content, [2]string{part.Type, part.Value})
			}
			if !slices.Equal(content, c.content) {
				t.Errorf("content %q, want %q", content, c.content)
			}
			if len(m.CustomArgs) != 1 || m.CustomArgs["id"] != "id-1" {
				t.Errorf("custom_args %v", m.CustomArgs)
			}
			off := m.TrackingSettings
			for name, enable := range map[string]*bool{
				"click_tracking": off.ClickTracking.Enable, "click_tracking of text": off.ClickTracking.EnableText, "open_tracking": off.OpenTracking.Enable,
				"subscription_tracking": off.SubscriptionTracking.Enable, "ganalytics": off.GAnalytics.Enable,
			} {
				if enable == nil || *enable {
					t.Errorf("%s is not turned off", name)
				}
			}
			if got := in.Requests(); !slices.Equal(got, []string{"POST /v3/mail/send"}) {
				t.Errorf("requests: %q", got)
			}
		})
	}
}

// TestNothingPrivateIsOutsideTheBody: what proxies log says nothing.
func TestNothingPrivateIsOutsideTheBody(t *testing.T) {
	srv := sendertest.Serve(t, accept)
	s := connector(t, srv.Endpoint)
	if _, err := s.Send(t.Context(), render(t, s)); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	if got := r.Header.Get("Authorization"); got != "Bearer "+key {
		t.Errorf("Authorization %q", got)
	}
	r.Header.Del("Authorization")
	sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), to, code, key, "SignIn", "no-reply", "id-1")
}

// accept answers as SendGrid does.
func accept(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("X-Message-Id", "M-1")
	w.WriteHeader(http.StatusAccepted)
}

// TestParallel: a connector is for many goroutines at once.
func TestParallel(t *testing.T) {
	in, endpoint := newStandIn(t)
	s := connector(t, endpoint)
	const n = 16
	ids := make(chan string, n)
	for range n {
		go func() {
			m, err := s.Render(signIn())
			if err != nil {
				ids <- err.Error()
				return
			}
			receipt, err := s.Send(t.Context(), m)
			ids <- fmt.Sprint(receipt.ProviderID, err)
		}()
	}
	seen := make(map[string]bool)
	for range n {
		seen[<-ids] = true
	}
	if len(seen) != n || len(in.Inbox()) != n {
		t.Errorf("%d answers, %d mails: %v", len(seen), len(in.Inbox()), seen)
	}
}

func TestFaults(t *testing.T) {
	sendertest.TransportFaults(t, func(endpoint string, timeout time.Duration) func(context.Context) error {
		s := connector(t, endpoint, func(c *sendgrid.Config) { c.Timeout = timeout })
		m := render(t, s)
		return func(ctx context.Context) error {
			_, err := s.Send(ctx, m)
			return err
		}
	}, to, code, key, "SignIn: "+code, "您的验证码")
}

// TestCancel: the caller's context ends a request whose answer does not come.
func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.ReadRequest()
		cancel()
		c.Wait()
	})
	s := connector(t, srv.Endpoint)
	_, err := s.Send(ctx, render(t, s))
	sendertest.Want(t, err, sender.Unknown)

	_, err = s.Send(ctx, render(t, s)) // it has ended already: nothing is written
	sendertest.Want(t, err, sender.Unavailable)
	if n := len(srv.Requests()); n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestRenderRefuses(t *testing.T) {
	s := connector(t, "http://127.0.0.1:1")
	m := signIn()
	delete(m.Payload, "code")
	_, err := s.Render(m)
	if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || !strings.Contains(e.Detail, "code") || !strings.Contains(e.Detail, "SignIn") {
		t.Errorf("%+v", e)
	}
	sendertest.Hides(t, err, to)
}

func check(t testing.TB, s sender.Sender) error {
	t.Helper()
	c, ok := s.(sender.Checker)
	if !ok {
		t.Fatal("no Checker")
	}
	return c.Check(t.Context())
}

func TestCheck(t *testing.T) {
	in, endpoint := newStandIn(t)
	if err := check(t, connector(t, endpoint)); err != nil {
		t.Error(err)
	}
	if got := in.Requests(); !slices.Equal(got, []string{"GET /v3/scopes"}) {
		t.Errorf("a check is one harmless request: %q", got)
	}

	const wrong = "SG.another.key"
	err := check(t, connector(t, endpoint, func(c *sendgrid.Config) { c.APIKey = sender.NewSecret(wrong) }))
	if e := sendertest.Want(t, err, sender.AccountDown); e.Code != "bad-key" || !strings.Contains(e.Detail, "invalid") {
		t.Errorf("%+v", e)
	}
	sendertest.Hides(t, err, wrong, key)

	in.Scopes = []string{"stats.read"}
	err = check(t, connector(t, endpoint))
	if e := sendertest.Want(t, err, sender.AccountDown); e.Code != "no-scope" || !strings.Contains(e.Detail, "Mail Send") {
		t.Errorf("%+v", e)
	}

	sendertest.Want(t, check(t, connector(t, "http://127.0.0.1:1")), sender.Unavailable)
	for _, c := range []struct {
		status int
		body   string
		class  sender.Class
	}{
		{200, "", sender.Unknown},
		{200, "{}", sender.Unknown},
		{200, "<html>", sender.Unknown},
		{200, `{"scopes":"mail.send"}`, sender.Unknown},
		{200, `{"scopes":null}`, sender.Unknown},
		{200, `{"scopes":["mail.send"`, sender.Unknown},
		{200, `{"scopes":[]}`, sender.AccountDown},
		{202, `{"scopes":["mail.send"]}`, sender.Unknown},
		{302, `{"scopes":["mail.send"]}`, sender.Unknown},
		{403, standin.SendGridError("", "access forbidden"), sender.AccountDown},
		{429, "", sender.Throttled},
		{500, `{"scopes":["mail.send"]}`, sender.Unknown},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			srv := sendertest.Serve(t, sendertest.Answer(c.status, c.body))
			sendertest.Want(t, check(t, connector(t, srv.Endpoint)), c.class)
		})
	}
}
