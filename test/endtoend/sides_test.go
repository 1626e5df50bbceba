package endtoend_test

import (
	"cmp"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	netmail "net/mail"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	fakesendgrid "github.com/codeferry/codeferry/internal/fakes/sendgrid"
	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	fakesmtp "github.com/codeferry/codeferry/internal/fakes/smtp"
	"github.com/codeferry/codeferry/messages"
)

// message is a publisher's message.
type message struct {
	ID      string         `json:"id"`
	To      string         `json:"to"`
	Type    messages.Type  `json:"type"`
	Payload map[string]any `json:"payload"`
}

const (
	code   = "48K921"
	person = `<&"> 安 🚢`
	group  = `渡船, "A"`

	mailbox = "alice+x@example.com"
	mobile  = "+8613800000001"
)

func signIn(id, to string) message {
	return message{ID: id, To: to, Type: messages.SignIn, Payload: map[string]any{
		"code": code, "user": map[string]any{"name": person}, "organization": map[string]any{"name": group},
	}}
}

// recipient returns a recipient for a channel.
func recipient(c messages.Channel) string {
	if c == messages.SMS {
		return mobile
	}
	return mailbox
}

// The templates of every connector for email.
const (
	fromAddress = "no-reply@mail.example.com"
	fromName    = "{{organization.name}} 🚢"
	subject     = "登录 {{code}} — {{user.name}}"
	html        = `<p title="{{user.name}}">你好 {{user.name}}: <b>{{code}}</b> 🚢</p>`
)

// arrival is a message as the recipient gets it, or as the provider reports it.
type arrival struct {
	To, Subject, HTML, Text string
	FromName, FromAddress   string
	Template, Params, Sign  string
	// ID is the message's id, if the provider gets it.
	ID string
	// ProviderID is the provider's id.
	ProviderID string
}

// side is a provider's fake, and a connector that sends to it.
type side struct {
	kind string
	// logto is Logto's JSON; beside holds codeferry's own settings, as YAML.
	logto  map[string]any
	beside string

	address *address
	box     *fakealiyun.Server
	http    http.Handler
	sms     bool
	script  fakesmtp.Script
	smtp    atomic.Pointer[fakesmtp.Server]
	// asked counts the send requests.
	asked func() int
	// arrivals are the accepted messages, oldest first.
	arrivals func() []arrival
}

func (s *side) channel() messages.Channel {
	if s.sms {
		return messages.SMS
	}
	return messages.Email
}

// kinds are all types of connectors.
var kinds = config.ConnectorTypes()

const (
	smtpUser = "mailer@example.com"
	smtpPass = "Sm7p/Pass+word="
)

// newSide makes a fake that is down: nobody listens at its address.
func newSide(t *testing.T, kind string) *side {
	t.Helper()
	s := &side{kind: kind, address: reserve(t)}
	s.beside = fmt.Sprintf(", endpoint: %q", "http://"+s.address.String())
	switch kind {
	case "smtp":
		s.overSMTP()
	case "sendgrid":
		s.overSendGrid(new(fakesendgrid.Server))
	case "aws-ses":
		s.overSES(new(fakeses.Server))
	case "aliyun-dm":
		s.overAliyun(t, "SingleSendMail")
		s.logto["accountName"], s.logto["fromAlias"], s.logto["templates"] = fromAddress, fromName, mailTemplates("")
	case "aliyun-sms":
		s.sms = true
		s.overAliyun(t, "SendSms")
		s.logto["signName"], s.logto["templates"] = "渡船", smsTemplates("SMS_")
	case "aliyun-sms-mas":
		s.sms = true
		s.overAliyun(t, "SendSmsVerifyCode")
		s.logto["signName"], s.logto["templates"] = "渡船", smsTemplates("10000")
	default:
		t.Fatalf("newSide, in test/endtoend/sides_test.go, lacks %s: add a case with its fake, the connector's JSON (logto), asked and arrivals", kind)
	}
	return s
}

// up makes the fake serve until the test ends.
func (s *side) up(t *testing.T) *side {
	t.Helper()
	l := s.address.listen(t)
	if s.http == nil {
		s.smtp.Store(fakesmtp.ServeOn(t, l, s.script))
		return s
	}
	srv := &httptest.Server{Listener: l, Config: &http.Server{Handler: s.http}}
	srv.Start()
	t.Cleanup(srv.Close)
	return s
}

// usageTypes are those that Logto asks for.
var usageTypes = []string{"SignIn", "Register", "ForgotPassword", "Generic"}

// mailTemplates are Logto's, with the field for the content type, if the connector has one.
func mailTemplates(contentType string) []map[string]string {
	var all []map[string]string
	for _, usage := range usageTypes {
		t := map[string]string{"usageType": usage, "subject": subject, "content": html}
		if contentType != "" {
			t[contentType] = "text/html"
		}
		all = append(all, t)
	}
	return all
}

func smsTemplates(prefix string) []map[string]string {
	var all []map[string]string
	for i, usage := range usageTypes {
		all = append(all, map[string]string{"usageType": usage, "templateCode": fmt.Sprint(prefix, i+1)})
	}
	return all
}

func (s *side) overAliyun(t *testing.T, action string) {
	t.Helper()
	s.box = fakealiyun.New(fakealiyun.Options{})
	t.Cleanup(s.box.Close)
	s.http = s.box
	s.logto = map[string]any{"accessKeyId": fakealiyun.DefaultKeyID, "accessKeySecret": fakealiyun.DefaultKeySecret}
	s.asked = func() int { return s.box.Requests()[action] }
	s.arrivals = func() []arrival {
		var all []arrival
		for _, m := range s.box.Inbox("") {
			all = append(all, arrival{
				To: m.To, Subject: m.Subject, HTML: m.HTMLBody, Text: m.TextBody, FromName: m.FromAlias, FromAddress: m.AccountName,
				Template: m.TemplateCode, Params: m.TemplateParam, Sign: m.SignName, ID: m.OutID, ProviderID: cmp.Or(m.BizID, m.EnvID),
			})
		}
		slices.Reverse(all)
		return all
	}
}

func (s *side) overSendGrid(in *fakesendgrid.Server) {
	s.http = in
	s.logto = map[string]any{"apiKey": fakesendgrid.Key, "fromEmail": fromAddress, "fromName": fromName, "templates": mailTemplates("type")}
	s.asked = func() int { return len(in.Requests()) }
	s.arrivals = func() []arrival {
		var all []arrival
		for i, m := range in.Inbox() {
			a := arrival{
				To: m.Personalizations[0].To[0].Email, Subject: m.Subject, FromName: m.From.Name, FromAddress: m.From.Email,
				ID: m.CustomArgs["id"], ProviderID: fmt.Sprint("message-", i+1),
			}
			for _, part := range m.Content {
				a.put(part.Type, part.Value)
			}
			all = append(all, a)
		}
		return all
	}
}

func (s *side) overSES(in *fakeses.Server) {
	s.http = in
	s.logto = map[string]any{
		"accessKeyId": fakeses.KeyID, "accessKeySecret": fakeses.KeySecret, "region": "us-east-1",
		"emailAddress": fromName + " <" + fromAddress + ">", "templates": mailTemplates(""),
	}
	s.asked = func() int { return len(in.Requests()) }
	s.arrivals = func() []arrival {
		var all []arrival
		for i, m := range in.Inbox() {
			simple := m.Content.Simple
			a := arrival{
				To: m.Destination.ToAddresses[0], Subject: simple.Subject.Data, HTML: simple.Body.HTML.Data, Text: simple.Body.Text.Data,
				ProviderID: fmt.Sprint("M-", i+1),
			}
			a.from(m.FromEmailAddress)
			for _, tag := range m.EmailTags {
				if tag.Name == "codeferry-id" {
					a.ID = tag.Value
				}
			}
			all = append(all, a)
		}
		return all
	}
}

// overSMTP makes a side with an SMTP server that accepts one user. The server is on this
// machine, so no TLS is needed.
func (s *side) overSMTP() {
	s.script = fakesmtp.Script{User: smtpUser, Pass: smtpPass}
	s.logto = map[string]any{
		"host": "127.0.0.1", "port": s.address.Port, "auth": map[string]any{"type": "login", "user": smtpUser, "pass": smtpPass},
		"fromEmail": fromName + " <" + fromAddress + ">", "secure": false, "templates": mailTemplates("contentType"),
	}
	s.beside = ""
	s.asked = func() int {
		if srv := s.smtp.Load(); srv != nil {
			return max(srv.Count("AUTH"), srv.Count("MAIL"))
		}
		return 0
	}
	var all []arrival
	s.arrivals = func() []arrival {
		srv := s.smtp.Load()
		for srv != nil && len(srv.Mails) > 0 {
			m := <-srv.Mails
			a := read(m.Data)
			a.To = strings.TrimSuffix(strings.TrimPrefix(m.To, "RCPT TO:<"), ">")
			a.ProviderID = fmt.Sprint("Q", len(all)+1)
			all = append(all, a)
		}
		return all
	}
}

// read parses a mail as a mail program does.
func read(data string) arrival {
	m, err := netmail.ReadMessage(strings.NewReader(data))
	if err != nil {
		return arrival{Text: err.Error()}
	}
	words := new(mime.WordDecoder)
	a := arrival{ID: m.Header.Get("Message-Id")}
	a.Subject, _ = words.DecodeHeader(m.Header.Get("Subject"))
	a.from(m.Header.Get("From"))
	_, params, _ := mime.ParseMediaType(m.Header.Get("Content-Type"))
	parts := multipart.NewReader(m.Body, params["boundary"])
	for {
		p, err := parts.NextPart() // decodes quoted-printable
		if err != nil {
			return a
		}
		text, _ := io.ReadAll(p)
		kind, _, _ := mime.ParseMediaType(p.Header.Get("Content-Type"))
		a.put(kind, string(text))
	}
}

func (a *arrival) put(kind, text string) {
	switch kind {
	case "text/html":
		a.HTML += text
	case "text/plain":
		a.Text += text
	}
}

func (a *arrival) from(header string) {
	if from, err := netmail.ParseAddress(header); err == nil {
		a.FromName, a.FromAddress = from.Name, from.Address
	}
}
