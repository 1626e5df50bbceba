package smtp_test

import (
	"context"
	"io"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/smtp"
)

const (
	to   = "Alice+x@Example.com"
	code = "Qx7z9K"
	pass = "correct horse battery"
)

// good returns a configuration without mistakes.
func good() *smtp.Config {
	c := &smtp.Config{
		Host: "127.0.0.1", Port: 587, FromEmail: "Example 示例 <no-reply@example.com>",
		Auth: smtp.Auth{User: "u@example.com", Pass: sender.NewSecret(pass)},
	}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, sender.MailTemplate{
			UsageType: t, Subject: string(t) + ": {{code}}", Content: `<p title="{{user.name}}">{{code}} 您的验证码 🚢</p>`,
		})
	}
	return c
}

// at returns a configuration that sends to a server.
func at(s *server, changes ...func(*smtp.Config)) *smtp.Config {
	c := good()
	c.Host, c.Port = s.Host, s.Port
	for _, change := range changes {
		change(c)
	}
	return c
}

func noAuth(c *smtp.Config) { c.Auth = smtp.Auth{} }

// connector makes a connector that is closed when the test ends.
func connector(t testing.TB, c *smtp.Config) sender.Sender {
	t.Helper()
	if problems := c.Validate(); len(problems) > 0 {
		t.Fatalf("the configuration is wrong: %v", problems)
	}
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.(io.Closer).Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func signIn() *messages.SendCode {
	return &messages.SendCode{ID: "01JDCT0000000000000000000A", To: to, Type: messages.SignIn, Payload: messages.Payload{
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

func send(t testing.TB, s sender.Sender) (sender.Receipt, error) {
	t.Helper()
	return s.Send(t.Context(), render(t, s))
}

func checkSender(ctx context.Context, s sender.Sender) error { return s.(sender.Checker).Check(ctx) }
