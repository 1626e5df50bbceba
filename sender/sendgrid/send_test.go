package sendgrid_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

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
	return sendertest.Make(t, c)
}

func signIn() *messages.SendCode { return sendertest.SignIn(to, code) }

func render(t testing.TB, s sender.Sender) *sender.Message { return sendertest.Render(t, s, signIn()) }

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
			in, endpoint := newFake(t)
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
			if got := m.Personalizations[0].To[0]; got != (fakesendgrid.Person{Email: to}) {
				t.Errorf("to %+v", got)
			}
			if got, want := m.From, (fakesendgrid.Person{Email: fakesendgrid.From, Name: c.fromName}); got != want {
				t.Errorf("from %+v, want %+v", got, want)
			}
			if got := m.ReplyTo; (got == nil) != (c.replyTo == "") || got != nil && *got != (fakesendgrid.Person{Email: c.replyTo}) {
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

// TestInternationalDomains are written in Punycode, in every field.
func TestInternationalDomains(t *testing.T) {
	srv := faulty.Serve(t, accept)
	s := connector(t, srv.Endpoint, func(c *sendgrid.Config) {
		c.FromEmail, c.ReplyTo = "no-reply@bücher.example", "help@bücher.example"
	})
	for to, want := range map[string]string{"u@bücher.example": "u@xn--bcher-kva.example", "用户@bücher.example": "用户@xn--bcher-kva.example"} {
		m := signIn()
		m.To = to
		rendered, err := s.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), rendered); err != nil {
			t.Fatal(err)
		}
		requests := srv.Requests()
		body := string(requests[len(requests)-1].Raw)
		for _, address := range []string{want, "no-reply@xn--bcher-kva.example", "help@xn--bcher-kva.example"} {
			if !strings.Contains(body, `"email":"`+address+`"`) {
				t.Errorf("%s is not in %s", address, body)
			}
		}
	}
}

// TestNothingPrivateIsOutsideTheBody, so that logs of proxies show nothing.
func TestNothingPrivateIsOutsideTheBody(t *testing.T) {
	srv := faulty.Serve(t, accept)
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

func TestCheck(t *testing.T) {
	in, endpoint := newFake(t)
	if err := sendertest.Check(t, connector(t, endpoint)); err != nil {
		t.Error(err)
	}
	if got := in.Requests(); !slices.Equal(got, []string{"GET /v3/scopes"}) {
		t.Errorf("the requests are %q, want only GET /v3/scopes", got)
	}

	const wrong = "SG.another.key"
	err := sendertest.Check(t, connector(t, endpoint, func(c *sendgrid.Config) { c.APIKey = sender.NewSecret(wrong) }))
	e := sendertest.WantCode(t, err, sender.AccountDown, "bad-key")
	sendertest.Equal(t, "the advice", e.Advice, "Check the connector's apiKey.")
	sendertest.Holds(t, "the detail", e.Detail, "invalid")
	sendertest.Hides(t, err, wrong, key)

	in.Scopes = []string{"stats.read"}
	err = sendertest.Check(t, connector(t, endpoint))
	e = sendertest.WantCode(t, err, sender.AccountDown, "no-scope")
	sendertest.Holds(t, "the detail", e.Detail, "Mail Send")

	sendertest.Want(t, sendertest.Check(t, connector(t, "http://127.0.0.1:1")), sender.Unavailable)
	for _, c := range []struct {
		status int
		body   string
		class  sender.Class
	}{
		{200, "", sender.Misconfigured},
		{200, "{}", sender.Misconfigured},
		{200, "<html>", sender.Misconfigured},
		{200, `{"scopes":"mail.send"}`, sender.Misconfigured},
		{200, `{"scopes":null}`, sender.Misconfigured},
		{200, `{"scopes":["mail.send"`, sender.Misconfigured},
		{200, `{"scopes":[]}`, sender.AccountDown},
		{202, `{"scopes":["mail.send"]}`, sender.Misconfigured},
		{302, `{"scopes":["mail.send"]}`, sender.Misconfigured},
		{403, fakesendgrid.ErrorBody("", "access forbidden"), sender.AccountDown},
		{429, "", sender.Throttled},
		{400, `{"message":"a gateway says this"}`, sender.Misconfigured},
		{400, fakesendgrid.ErrorBody("", "something is wrong"), sender.Permanent},
		{404, "<html><title>Not here</title>", sender.Misconfigured},
		{500, `{"scopes":["mail.send"]}`, sender.Unavailable},
	} {
		t.Run(fmt.Sprint(c.status, " ", c.body), func(t *testing.T) {
			srv := faulty.Serve(t, faulty.Answer(c.status, c.body))
			sendertest.Want(t, sendertest.Check(t, connector(t, srv.Endpoint)), c.class)
		})
	}
}
