package sendgrid_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/sendgrid"
)

// good returns a configuration without mistakes.
func good() *sendgrid.Config {
	c := &sendgrid.Config{APIKey: sender.NewSecret(key), FromEmail: "no-reply@mail.example.com", FromName: "Example 示例"}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, sendgrid.Template{Type: sender.TextHTML, MailTemplate: sender.MailTemplate{
			UsageType: t, Subject: string(t) + ": {{code}}", Content: `<p title="{{user.name}}">{{code}} 您的验证码 🚢</p>`,
		}})
	}
	return c
}

func paths(problems []sender.Problem) []string {
	var out []string
	for _, p := range problems {
		out = append(out, p.Path)
	}
	return out
}

func TestValidate(t *testing.T) {
	sendertest.Validate(t, good, []string{"SG."}, []sendertest.Change[*sendgrid.Config]{
		{"good", func(*sendgrid.Config) {}, nil},
		{"no fromName", func(c *sendgrid.Config) { c.FromName = "" }, nil},
		{"empty", func(c *sendgrid.Config) { *c = sendgrid.Config{} }, []string{"apiKey", "fromEmail", "templates"}},
		{"apiKey, with its line's end", func(c *sendgrid.Config) { c.APIKey = sender.NewSecret(key + "\n") }, []string{"apiKey"}},
		{"apiKey, not ASCII", func(c *sendgrid.Config) { c.APIKey = sender.NewSecret(key + "钥") }, []string{"apiKey"}},
		{"fromEmail, a name", func(c *sendgrid.Config) { c.FromEmail = "no-reply" }, []string{"fromEmail"}},
		{"fromEmail, with a display name", func(c *sendgrid.Config) { c.FromEmail = "A <a@example.com>" }, []string{"fromEmail"}},
		{"fromEmail, not ASCII", func(c *sendgrid.Config) { c.FromEmail = "示例@example.com" }, []string{"fromEmail"}},
		{"fromEmail, an international domain", func(c *sendgrid.Config) { c.FromEmail = "a@bücher.example" }, nil},
		{"fromEmail, a domain that is none", func(c *sendgrid.Config) { c.FromEmail = "a@-ü.example" }, []string{"fromEmail"}},
		{"replyTo, not ASCII", func(c *sendgrid.Config) { c.ReplyTo = "示例@example.com" }, []string{"replyTo"}},
		{"replyTo", func(c *sendgrid.Config) { c.ReplyTo = "help@example.com" }, nil},
		{"replyTo, a name", func(c *sendgrid.Config) { c.ReplyTo = "help" }, []string{"replyTo"}},
		{"endpoint of the EU", func(c *sendgrid.Config) { c.Endpoint = "https://api.eu.sendgrid.com/" }, nil},
		{"endpoint, a bare host", func(c *sendgrid.Config) { c.Endpoint = "api.eu.sendgrid.com" }, nil},
		{"endpoint, a fake", func(c *sendgrid.Config) { c.Endpoint = "http://127.0.0.1:3000" }, nil},
		{"endpoint with a path", func(c *sendgrid.Config) { c.Endpoint = "https://api.sendgrid.com/v3" }, []string{"endpoint"}},
		{"endpoint with a password", func(c *sendgrid.Config) { c.Endpoint = "https://a:b@api.sendgrid.com" }, []string{"endpoint"}},
		{"endpoint of another kind", func(c *sendgrid.Config) { c.Endpoint = "ftp://api.sendgrid.com" }, []string{"endpoint"}},
		{"timeout", func(c *sendgrid.Config) { c.Timeout = -time.Second }, []string{"timeout"}},
		{"contentType in type's place", func(c *sendgrid.Config) {
			c.Templates[0].Type, c.Templates[0].ContentType = "", sender.TextPlain
		}, nil},
		{"contentType beside another type", func(c *sendgrid.Config) { c.Templates[1].ContentType = sender.TextPlain }, []string{"templates[1].contentType"}},
		{"templates", func(c *sendgrid.Config) {
			c.Templates = append(c.Templates,
				sendgrid.Template{MailTemplate: sender.MailTemplate{UsageType: "Register"}},
				sendgrid.Template{MailTemplate: sender.MailTemplate{UsageType: "BindMfa", Subject: "s", Content: "<a"}})
		}, []string{"templates[4].usageType", "templates[4].subject", "templates[4].content", "templates[5].content"}},
		{"text/plain is no HTML", func(c *sendgrid.Config) {
			c.Templates[0].Type, c.Templates[0].Content = sender.TextPlain, "<a {{code}}"
		}, nil},
		{"a template is missing", func(c *sendgrid.Config) { c.Templates = c.Templates[1:] }, []string{"templates"}},
	})
}

func TestWarnings(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*sendgrid.Config)
		want   []string
	}{
		{"good", func(*sendgrid.Config) {}, nil},
		{"http on this machine", func(c *sendgrid.Config) { c.Endpoint = "http://localhost:3000" }, nil},
		{"http", func(c *sendgrid.Config) { c.Endpoint = "http://fake:3000" }, []string{"endpoint"}},
		{"no code", func(c *sendgrid.Config) { c.Templates[2].Content, c.Templates[2].Subject = "hello", "hello" }, []string{"templates[2].content"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			c.change(config)
			if got := paths(config.Warnings()); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestChannel(t *testing.T) {
	sendertest.Equal(t, "the channel", good().Channel(), messages.Email)
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*sendgrid.Config){
		"endpoint ":  func(c *sendgrid.Config) { c.Endpoint = "ftp://host" },
		"templates ": func(c *sendgrid.Config) { c.Templates = nil },
	} {
		c := good()
		change(c)
		if _, err := c.New(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want it to begin with %q", err, want)
		}
	}
}
