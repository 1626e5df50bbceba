package aliyundm_test

import (
	"context"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connector(t testing.TB, endpoint string, timeout time.Duration) sender.Sender {
	t.Helper()
	c := good()
	c.Endpoint, c.Timeout = endpoint, timeout
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const (
	to   = "Alice+x@Example.com"
	code = "Qx7z9K"
)

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

func TestSend(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := connector(t, endpoint, 0)
	receipt, err := s.Send(t.Context(), render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	in := sb.Inbox(to)
	if len(in) != 1 {
		t.Fatalf("%d messages", len(in))
	}
	got := in[0]
	want := sandbox.Message{
		Action: "SingleSendMail", To: to, Subject: "SignIn: " + code,
		HTMLBody:    `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">` + code + ` 您的验证码 🚢</p>`,
		TextBody:    code + " 您的验证码 🚢",
		AccountName: "no-reply@mail.example.com", FromAlias: "Example 示例",
		At: got.At, EnvID: got.EnvID, RequestID: got.RequestID,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want := (sender.Receipt{ProviderID: got.EnvID, RequestID: got.RequestID}); receipt != want || receipt.ProviderID == "" || receipt.RequestID == "" {
		t.Errorf("got %+v, want %+v", receipt, want)
	}
}

// TestSendSendsWhatItIsGiven: parameters that have nothing to say stay away, and
// nothing of the message is in the URL.
func TestSendSendsWhatItIsGiven(t *testing.T) {
	srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
	c := good()
	c.Endpoint = srv.Endpoint
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), &sender.Message{To: to, Subject: "the subject", Text: "the text"}); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	got := make(map[string]string)
	for name := range r.Body {
		got[name] = r.Body.Get(name)
	}
	if want := map[string]string{
		"AccountName": "no-reply@mail.example.com", "AddressType": "1", "ReplyToAddress": "false",
		"ToAddress": to, "Subject": "the subject", "TextBody": "the text",
	}; !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if r.URL.Query().Get("Action") != "SingleSendMail" || r.URL.Query().Get("Version") != "2015-11-23" || r.URL.Query().Get("RegionId") != "cn-hangzhou" {
		t.Error(r.URL)
	}
	sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), to, "the subject", "the text", "no-reply")
}

func TestFaults(t *testing.T) {
	sendertest.Faults(t, func(endpoint string, timeout time.Duration) func(context.Context) error {
		s := connector(t, endpoint, timeout)
		m := render(t, s)
		return func(ctx context.Context) error {
			_, err := s.Send(ctx, m)
			return err
		}
	}, to, code, "SignIn: "+code, "您的验证码")
}

func TestCodes(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := connector(t, endpoint, 0)
	m := render(t, s)
	codes := maps.Clone(sendertest.MailCodes)
	maps.Copy(codes, sendertest.GatewayCodes)
	for code, class := range codes {
		t.Run(code, func(t *testing.T) {
			if err := sb.SetFaults([]sandbox.Fault{{Code: code}}); err != nil {
				t.Fatal(err)
			}
			_, err := s.Send(t.Context(), m)
			if e := sendertest.Want(t, err, class); e.Code != code || e.Detail == "" || e.RequestID == "" || e.RetryAfter != 0 {
				t.Errorf("%+v", e)
			}
		})
	}
	if in := sb.Inbox(""); len(in) != 0 {
		t.Errorf("%d messages", len(in))
	}
}

func TestAnAnswerWithoutEnvIdIsDoubt(t *testing.T) {
	for _, body := range []string{`{"RequestId":"R-1"}`, `{"RequestId":"R-1","EnvId":""}`, `{"RequestId":"R-1","EnvId":null}`, `{"RequestId":"R-1","Code":"OK"}`} {
		srv := sendertest.Serve(t, sendertest.Answer(200, body))
		s := connector(t, srv.Endpoint, 0)
		receipt, err := s.Send(t.Context(), render(t, s))
		if e := sendertest.Want(t, err, sender.Unknown); e.RequestID != "R-1" || receipt != (sender.Receipt{}) {
			t.Errorf("%s: %+v, %+v", body, e, receipt)
		}
	}
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
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	if err := check(t, connector(t, endpoint, 0)); err != nil {
		t.Error(err)
	}
	if n := sb.Requests(); n["DescAccountSummary"] != 1 || len(n) != 1 || len(sb.Inbox("")) != 0 {
		t.Errorf("a check is one harmless request: %v", n)
	}

	c := good()
	c.Endpoint, c.AccessKeySecret = endpoint, sender.NewSecret("wrong-secret")
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	err = check(t, s)
	if e := sendertest.Want(t, err, sender.AccountDown); e.Code != "SignatureDoesNotMatch" {
		t.Error(e)
	}
	sendertest.Hides(t, err, "wrong-secret", sandbox.DefaultKeySecret)

	for body, class := range map[string]sender.Class{"": sender.Unknown, "{}": sender.Unknown, "<html>": sender.Unknown} {
		sendertest.Want(t, check(t, connector(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint, 0)), class)
	}
	sendertest.Want(t, check(t, connector(t, "http://127.0.0.1:1", 0)), sender.Unavailable)
}

// TestKeysOfSTS: the token travels with the request.
func TestKeysOfSTS(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{Keys: []sandbox.Key{{ID: "STS.id", Secret: "secret", SecurityToken: "to/ken+=="}}})
	c := good()
	c.Endpoint, c.AccessKeyID, c.AccessKeySecret, c.SecurityToken = endpoint, sender.NewSecret("STS.id"), sender.NewSecret("secret"), sender.NewSecret("to/ken+==")
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Send(t.Context(), render(t, s)); err != nil || len(sb.Inbox(to)) != 1 {
		t.Error(err)
	}
}

func TestRenderRefuses(t *testing.T) {
	s := connector(t, "http://127.0.0.1:1", 0)
	m := signIn()
	delete(m.Payload, "code")
	_, err := s.Render(m)
	if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || !strings.Contains(e.Detail, "code") || !strings.Contains(e.Detail, "SignIn") {
		t.Errorf("%+v", e)
	}
	sendertest.Hides(t, err, to)
}

// TestFromAlias: placeholders are filled in, and what gets too long is cut.
func TestFromAlias(t *testing.T) {
	for name, want := range map[string]string{"Acme": "Acme 渡船", "A name of many words": "A name of many"} {
		sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
		c := good()
		c.Endpoint, c.FromAlias = endpoint, "{{user.name}} 渡船"
		if problems := c.Validate(); len(problems) > 0 {
			t.Fatal(problems)
		}
		s, err := c.New()
		if err != nil {
			t.Fatal(err)
		}
		m := signIn()
		m.Payload["user"] = map[string]any{"name": name}
		rendered, err := s.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), rendered); err != nil {
			t.Fatal(err)
		}
		if got := sb.Inbox(to)[0].FromAlias; got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
