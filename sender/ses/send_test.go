package ses_test

import (
	"context"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/standin"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func connector(t testing.TB, endpoint string, change ...func(*ses.Config)) sender.Sender {
	t.Helper()
	c := good()
	c.Endpoint = endpoint
	for _, f := range change {
		f(c)
	}
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
		"code": code, "user": map[string]any{"name": `Ann "<&>" 安`}, "application": map[string]any{"name": `Shop, "A"`},
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

func want() standin.SESMail {
	var e standin.SESMail
	e.Content.Simple.Subject = standin.SESContent{Data: "SignIn 验证码: " + code, Charset: "UTF-8"}
	e.Content.Simple.Body.HTML = standin.SESContent{Data: `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">` + code + ` 您的验证码 🚢</p>`, Charset: "UTF-8"}
	e.Content.Simple.Body.Text = standin.SESContent{Data: code + " 您的验证码 🚢", Charset: "UTF-8"}
	e.Destination.ToAddresses = []string{to}
	e.FromEmailAddress = (&mail.Address{Name: `Example 示例 Shop, "A"`, Address: "no-reply@mail.example.com"}).String()
	e.EmailTags = []standin.SESTag{{Name: "codeferry-id", Value: "id-1"}}
	return e
}

func TestSend(t *testing.T) {
	srv := new(standin.SES)
	s := connector(t, serve(t, srv))
	receipt, err := s.Send(t.Context(), render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	if got := srv.Inbox(); len(got) != 1 || !reflect.DeepEqual(got[0], want()) {
		t.Errorf("got  %+v\nwant %+v", got, want())
	}
	if want := (sender.Receipt{ProviderID: "M-1", RequestID: "R-1"}); receipt != want {
		t.Errorf("got %+v, want %+v", receipt, want)
	}
}

// TestSendHasAllOfTheConfiguration in it, and nothing that says nothing.
func TestSendHasAllOfTheConfiguration(t *testing.T) {
	srv := new(standin.SES)
	s := connector(t, serve(t, srv), func(c *ses.Config) {
		c.EmailAddress, c.FromAlias = "", ""
		c.EmailAddressIdentityArn = fromArn + "other@example.com"
		c.FeedbackForwardingEmailAddress = "bounces@bücher.example"
		c.FeedbackForwardingEmailAddressIdentityArn = fromArn + "example.com"
		c.ConfigurationSetName = "set-1"
		c.ReplyTo = "Hilfe für Sie <help@example.com>"
	})
	if _, err := s.Send(t.Context(), &sender.Message{ID: "not a tag's value: ü", To: to, Subject: "the subject", Text: "the text"}); err != nil {
		t.Fatal(err)
	}
	var w standin.SESMail
	w.Content.Simple.Subject = standin.SESContent{Data: "the subject", Charset: "UTF-8"}
	w.Content.Simple.Body.Text = standin.SESContent{Data: "the text", Charset: "UTF-8"}
	w.Destination.ToAddresses = []string{to}
	w.FromEmailAddress = "other@example.com"
	w.FromEmailAddressIdentityArn = fromArn + "other@example.com"
	w.FeedbackForwardingEmailAddress = "bounces@xn--bcher-kva.example"
	w.FeedbackForwardingEmailAddressIdentityArn = fromArn + "example.com"
	w.ConfigurationSetName = "set-1"
	w.ReplyToAddresses = []string{"=?utf-8?q?Hilfe_f=C3=BCr_Sie?= <help@example.com>"}
	if got := srv.Inbox(); len(got) != 1 || !reflect.DeepEqual(got[0], w) {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
}

// TestFromNames: whatever a name holds, it stays one name before one address.
func TestFromNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Shop", "Shop"},
		{"", ""},
		{`a"b\c`, `a"b\c`},
		{"Evil <evil@example.org>, x", "Evil <evil@example.org>, x"},
		{"安 🚢 " + strings.Repeat("é", 100), "安 🚢 " + strings.Repeat("é", 60)},
		{strings.Repeat("x", 100), strings.Repeat("x", 64)},
	} {
		srv := new(standin.SES)
		s := connector(t, serve(t, srv), func(c *ses.Config) { c.EmailAddress, c.FromAlias = "{{name}} <no-reply@mail.example.com>", "" })
		m := signIn()
		m.Payload["name"] = c.name
		msg, err := s.Render(m)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), msg); err != nil {
			t.Fatal(err)
		}
		from := srv.Inbox()[0].FromEmailAddress
		got, err := (&mail.AddressParser{WordDecoder: new(mime.WordDecoder)}).Parse(from)
		if err != nil || got.Name != c.want || got.Address != "no-reply@mail.example.com" {
			t.Errorf("%q went as %s: %+v, %v", c.name, from, got, err)
		}
	}
}

// TestRecipients: SES takes ASCII alone.
func TestRecipients(t *testing.T) {
	s := connector(t, "http://127.0.0.1:1")
	for to, want := range map[string]string{
		to: to, "a@BÜCHER.example": "a@xn--bcher-kva.example", "ü@example.com": "", "a@例\u0000え": "",
	} {
		m := signIn()
		m.To = to
		out, err := s.Render(m)
		if want == "" {
			e := sendertest.Want(t, err, sender.Permanent)
			sendertest.Hides(t, e, to)
			continue
		}
		if err != nil || out.To != want {
			t.Errorf("%s: got %v, %v, want %s", to, out, err, want)
		}
	}
}

func TestRenderRefuses(t *testing.T) {
	m := signIn()
	m.Payload = nil
	_, err := connector(t, "http://127.0.0.1:1").Render(m)
	sendertest.Want(t, err, sender.Permanent)
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		server *standin.SES
		change func(*ses.Config)
		code   string // empty for success
		says   string
	}{
		{"wrong secret", &standin.SES{}, func(c *ses.Config) { c.AccessKeySecret = sender.NewSecret("wrong-secret") }, "InvalidSignatureException", "secret"},
		{"wrong id", &standin.SES{}, func(c *ses.Config) { c.AccessKeyID = sender.NewSecret("AKIDWRONG") }, "UnrecognizedClientException", "key"},
		{"wrong region", &standin.SES{Region: "eu-west-1"}, func(*ses.Config) {}, "InvalidSignatureException", "region"},
		{"a token", &standin.SES{Keys: standin.SESKeys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret, c.SessionToken = sender.NewSecret("ASIA"), sender.NewSecret("secret"), sender.NewSecret("to/ken+==")
		}, "", ""},
		{"a token and a wrong secret", &standin.SES{Keys: standin.SESKeys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret, c.SessionToken = sender.NewSecret("ASIA"), sender.NewSecret("wrong-secret"), sender.NewSecret("to/ken+==")
		}, "InvalidSignatureException", "secret"},
		{"no token", &standin.SES{Keys: standin.SESKeys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret = sender.NewSecret("ASIA"), sender.NewSecret("secret")
		}, "UnrecognizedClientException", "token"},
		{"a clock that is behind", &standin.SES{Ahead: time.Hour}, func(*ses.Config) {}, "InvalidSignatureException", "clock"},
		{"a clock that is ahead", &standin.SES{Ahead: -time.Hour}, func(*ses.Config) {}, "InvalidSignatureException", "clock"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := connector(t, serve(t, c.server), c.change)
			_, err := s.Send(t.Context(), render(t, s))
			if c.code == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			e := sendertest.Want(t, err, sender.AccountDown)
			if e.Code != c.code || !strings.Contains(e.Detail, c.says) || e.RequestID != "R-1" {
				t.Errorf("%+v", e)
			}
			sendertest.Hides(t, err, keySecret, "wrong-secret", "to/ken+==", to, code, "x-amz-date")
			if len(c.server.Inbox()) != 0 {
				t.Error("it was let in")
			}
		})
	}
}

// TestAClockIsPutRight: the SDK learns the provider's time from its refusal.
func TestAClockIsPutRight(t *testing.T) {
	srv := &standin.SES{Ahead: time.Hour}
	s := connector(t, serve(t, srv))
	_, err := s.Send(t.Context(), render(t, s))
	sendertest.Want(t, err, sender.AccountDown)
	if _, err := s.Send(t.Context(), render(t, s)); err != nil || len(srv.Inbox()) != 1 {
		t.Errorf("%v, %d messages", err, len(srv.Inbox()))
	}
}

// TestAtOnce: many goroutines share a connector.
func TestAtOnce(t *testing.T) {
	srv := new(standin.SES)
	s := connector(t, serve(t, srv))
	const n = 50
	done := make(chan error, n)
	for i := range n {
		m := render(t, s)
		m.ID = fmt.Sprint(i)
		go func() {
			_, err := s.Send(t.Context(), m)
			done <- err
		}()
	}
	for range n {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	var ids []string
	for _, e := range srv.Inbox() {
		ids = append(ids, e.EmailTags[0].Value)
	}
	slices.Sort(ids)
	if ids = slices.Compact(ids); len(ids) != n || len(srv.Requests()) != n {
		t.Errorf("%d messages, %d requests", len(ids), len(srv.Requests()))
	}
}

// TestContext: a call that is over before it begins has sent nothing; one that
// is given up may have.
func TestContext(t *testing.T) {
	srv := new(standin.SES)
	s := connector(t, serve(t, srv))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Send(ctx, render(t, s))
	sendertest.Want(t, err, sender.Unavailable)
	if n := srv.Requests(); len(n) != 0 {
		t.Error(n)
	}

	arrived := make(chan struct{})
	hang := sendertest.Raw(t, func(c *sendertest.Conn) {
		c.ReadRequest()
		close(arrived)
		c.Wait()
	})
	ctx, cancel = context.WithCancel(t.Context())
	go func() {
		<-arrived
		cancel()
	}()
	s = connector(t, hang.Endpoint)
	_, err = s.Send(ctx, render(t, s))
	if e := sendertest.Want(t, err, sender.Unknown); errors.Is(ctx.Err(), context.DeadlineExceeded) || e.Detail == "" {
		t.Error(e)
	}
}
