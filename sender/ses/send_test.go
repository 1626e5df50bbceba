package ses_test

import (
	"mime"
	"net/mail"
	"reflect"
	"strings"
	"testing"
	"time"

	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

func connector(t testing.TB, endpoint string, change ...func(*ses.Config)) sender.Sender {
	t.Helper()
	c := good()
	c.Endpoint = endpoint
	for _, f := range change {
		f(c)
	}
	return sendertest.Make(t, c)
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

func render(t testing.TB, s sender.Sender) *sender.Message { return sendertest.Render(t, s, signIn()) }

func want() fakeses.Mail {
	var e fakeses.Mail
	e.Content.Simple.Subject = fakeses.Content{Data: "SignIn 验证码: " + code, Charset: "UTF-8"}
	e.Content.Simple.Body.HTML = fakeses.Content{Data: `<p title="Ann &#34;&lt;&amp;&gt;&#34; 安">` + code + ` 您的验证码 🚢</p>`, Charset: "UTF-8"}
	e.Content.Simple.Body.Text = fakeses.Content{Data: code + " 您的验证码 🚢", Charset: "UTF-8"}
	e.Destination.ToAddresses = []string{to}
	e.FromEmailAddress = (&mail.Address{Name: `Example 示例 Shop, "A"`, Address: "no-reply@mail.example.com"}).String()
	e.EmailTags = []fakeses.Tag{{Name: "codeferry-id", Value: "id-1"}}
	return e
}

func TestSend(t *testing.T) {
	srv := new(fakeses.Server)
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

// TestSendHasAllOfTheConfiguration, and no empty values.
func TestSendHasAllOfTheConfiguration(t *testing.T) {
	srv := new(fakeses.Server)
	s := connector(t, serve(t, srv), func(c *ses.Config) {
		c.EmailAddress, c.FromAlias = "", ""
		c.EmailAddressIdentityArn = fromArn + "other@example.com"
		c.FeedbackForwardingEmailAddress = "bounces@bücher.example"
		c.FeedbackForwardingEmailAddressIdentityArn = fromArn + "example.com"
		c.ConfigurationSetName = "set-1"
		c.ReplyTo = "Hilfe für Sie <help@bücher.example>"
	})
	if _, err := s.Send(t.Context(), &sender.Message{ID: "not a tag's value: ü", To: to, Subject: "the subject", Text: "the text"}); err != nil {
		t.Fatal(err)
	}
	var w fakeses.Mail
	w.Content.Simple.Subject = fakeses.Content{Data: "the subject", Charset: "UTF-8"}
	w.Content.Simple.Body.Text = fakeses.Content{Data: "the text", Charset: "UTF-8"}
	w.Destination.ToAddresses = []string{to}
	w.FromEmailAddress = "other@example.com"
	w.FromEmailAddressIdentityArn = fromArn + "other@example.com"
	w.FeedbackForwardingEmailAddress = "bounces@xn--bcher-kva.example"
	w.FeedbackForwardingEmailAddressIdentityArn = fromArn + "example.com"
	w.ConfigurationSetName = "set-1"
	w.ReplyToAddresses = []string{"=?utf-8?q?Hilfe_f=C3=BCr_Sie?= <help@xn--bcher-kva.example>"}
	if got := srv.Inbox(); len(got) != 1 || !reflect.DeepEqual(got[0], w) {
		t.Errorf("got  %+v\nwant %+v", got, w)
	}
}

// TestFromNames: any name stays one name before one address.
func TestFromNames(t *testing.T) {
	for _, c := range []struct{ name, want string }{
		{"Shop", "Shop"},
		{"", ""},
		{`a"b\c`, `a"b\c`},
		{"Evil <evil@example.org>, x", "Evil <evil@example.org>, x"},
		{"安 🚢 " + strings.Repeat("é", 100), "安 🚢 " + strings.Repeat("é", 60)},
		{strings.Repeat("x", 100), strings.Repeat("x", 64)},
	} {
		srv := new(fakeses.Server)
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

// TestRecipients: SES takes only ASCII.
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

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		name   string
		server *fakeses.Server
		change func(*ses.Config)
		code   string // empty for success
		says   string
	}{
		{"wrong secret", &fakeses.Server{}, func(c *ses.Config) { c.AccessKeySecret = sender.NewSecret("wrong-secret") }, "InvalidSignatureException", "secret"},
		{"wrong id", &fakeses.Server{}, func(c *ses.Config) { c.AccessKeyID = sender.NewSecret("AKIDWRONG") }, "UnrecognizedClientException", "key"},
		{"wrong region", &fakeses.Server{Region: "eu-west-1"}, func(*ses.Config) {}, "InvalidSignatureException", "region"},
		{"a token", &fakeses.Server{Keys: fakeses.Keys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret, c.SessionToken = sender.NewSecret("ASIA"), sender.NewSecret("secret"), sender.NewSecret("to/ken+==")
		}, "", ""},
		{"a token and a wrong secret", &fakeses.Server{Keys: fakeses.Keys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret, c.SessionToken = sender.NewSecret("ASIA"), sender.NewSecret("wrong-secret"), sender.NewSecret("to/ken+==")
		}, "InvalidSignatureException", "secret"},
		{"no token", &fakeses.Server{Keys: fakeses.Keys{ID: "ASIA", Secret: "secret", Token: "to/ken+=="}}, func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret = sender.NewSecret("ASIA"), sender.NewSecret("secret")
		}, "UnrecognizedClientException", "token"},
		{"a clock that is behind", &fakeses.Server{Ahead: time.Hour}, func(*ses.Config) {}, "InvalidSignatureException", "clock"},
		{"a clock that is ahead", &fakeses.Server{Ahead: -time.Hour}, func(*ses.Config) {}, "InvalidSignatureException", "clock"},
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
			sendertest.Equal(t, "the code", e.Code, c.code)
			sendertest.Holds(t, "the detail", e.Detail, c.says)
			sendertest.Equal(t, "the RequestID", e.RequestID, "R-1")
			sendertest.Hides(t, err, keySecret, "wrong-secret", "to/ken+==", to, code, "x-amz-date")
			if len(c.server.Inbox()) != 0 {
				t.Error("a wrong key was accepted")
			}
		})
	}
}

// TestAClockIsPutRight: the SDK learns the provider's time from a refusal.
func TestAClockIsPutRight(t *testing.T) {
	srv := &fakeses.Server{Ahead: time.Hour}
	s := connector(t, serve(t, srv))
	_, err := s.Send(t.Context(), render(t, s))
	sendertest.Want(t, err, sender.AccountDown)
	if _, err := s.Send(t.Context(), render(t, s)); err != nil {
		t.Error(err)
	}
	sendertest.Equal(t, "the number of messages", len(srv.Inbox()), 1)
}
