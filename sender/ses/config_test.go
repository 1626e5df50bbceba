package ses_test

import (
	"fmt"
	"strings"
	"testing"

	fakeses "github.com/codeferry/codeferry/internal/fakes/ses"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/ses"
)

const (
	keyID     = fakeses.KeyID
	keySecret = fakeses.KeySecret
	fromArn   = "arn:aws:ses:us-east-1:123456789012:identity/"
)

// good returns a configuration without mistakes.
func good() *ses.Config {
	c := &ses.Config{
		AccessKeyID: sender.NewSecret(keyID), AccessKeySecret: sender.NewSecret(keySecret), Region: "us-east-1",
		EmailAddress: "no-reply@mail.example.com", FromAlias: "Example 示例 {{application.name}}",
	}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, sender.MailTemplate{
			UsageType: t, Subject: string(t) + " 验证码: {{code}}", Content: `<p title="{{user.name}}">{{code}} 您的验证码 🚢</p>`,
		})
	}
	return c
}

func TestValidate(t *testing.T) {
	sendertest.Validate(t, good, []string{keySecret}, []sendertest.Change[*ses.Config]{
		{"good", func(*ses.Config) {}, nil},
		{"everything", func(c *ses.Config) {
			c.EmailAddressIdentityArn, c.FeedbackForwardingEmailAddress = fromArn+"example.com", "bounces@example.com"
			c.FeedbackForwardingEmailAddressIdentityArn, c.ConfigurationSetName = "arn:aws-us-gov:ses:us-gov-west-1:123456789012:identity/example.com", "my_set-1"
			c.ReplyTo, c.SessionToken, c.Endpoint, c.Timeout = `"Help, desk" <help@example.com>`, sender.NewSecret("t"), "http://127.0.0.1:1", 1
		}, nil},
		{"empty", func(c *ses.Config) { *c = ses.Config{} }, []string{"accessKeyId", "accessKeySecret", "region", "emailAddress", "templates"}},
		{"no alias", func(c *ses.Config) { c.FromAlias = "" }, nil},
		{"a name", func(c *ses.Config) { c.FromAlias, c.EmailAddress = "", "Example <a@example.com>" }, nil},
		{"a name with placeholders", func(c *ses.Config) {
			c.FromAlias, c.EmailAddress = "", "{{ user.name }} at {{application.name}} <a@example.com>"
		}, nil},
		{"a name with a comma", func(c *ses.Config) { c.FromAlias, c.EmailAddress = "", "Example, Inc. <a@example.com>" }, []string{"emailAddress"}},
		{"a name with a comma in quotes", func(c *ses.Config) { c.FromAlias, c.EmailAddress = "", `"Example, Inc." <a@example.com>` }, nil},
		{"two names", func(c *ses.Config) { c.EmailAddress = "Example <a@example.com>" }, []string{"fromAlias"}},
		{"an alias of 64", func(c *ses.Config) { c.FromAlias = strings.Repeat("码", 64) }, nil},
		{"an alias of 65", func(c *ses.Config) { c.FromAlias = strings.Repeat("码", 65) }, []string{"fromAlias"}},
		{"emailAddress, none", func(c *ses.Config) { c.EmailAddress = "no-reply" }, []string{"emailAddress"}},
		{"emailAddress, two", func(c *ses.Config) { c.EmailAddress = "a@example.com, b@example.com" }, []string{"emailAddress"}},
		{"emailAddress, a placeholder in the address", func(c *ses.Config) { c.EmailAddress = "no-reply@{{domain}}" }, []string{"emailAddress"}},
		{"emailAddress, a local part of Unicode", func(c *ses.Config) { c.EmailAddress = "码@example.com" }, []string{"emailAddress"}},
		{"emailAddress, a domain of Unicode", func(c *ses.Config) { c.EmailAddress = "a@例え.jp" }, nil},
		{"no emailAddress and an ARN of a domain", func(c *ses.Config) { c.EmailAddress, c.EmailAddressIdentityArn = "", fromArn+"example.com" }, []string{"emailAddress"}},
		{"no emailAddress and an ARN of an address", func(c *ses.Config) { c.EmailAddress, c.EmailAddressIdentityArn = "", fromArn+"a@example.com" }, nil},
		{"ARNs", func(c *ses.Config) {
			c.EmailAddressIdentityArn, c.FeedbackForwardingEmailAddressIdentityArn = "example.com", "arn:aws:sns:us-east-1:123456789012:identity/x"
		}, []string{"emailAddressIdentityArn", "feedbackForwardingEmailAddressIdentityArn"}},
		{"feedback", func(c *ses.Config) { c.FeedbackForwardingEmailAddress = "A <a@example.com>" }, []string{"feedbackForwardingEmailAddress"}},
		{"replyTo", func(c *ses.Config) { c.ReplyTo = "a@example.com b@example.com" }, []string{"replyTo"}},
		{"region", func(c *ses.Config) { c.Region = "Frankfurt" }, []string{"region"}},
		{"a host as region", func(c *ses.Config) { c.Region = "us-east-1.example.com" }, []string{"region"}},
		{"configurationSetName", func(c *ses.Config) { c.ConfigurationSetName = "my set" }, []string{"configurationSetName"}},
		{"keys with what no key has", func(c *ses.Config) {
			c.AccessKeyID, c.AccessKeySecret, c.SessionToken = sender.NewSecret(keyID+"\n"), sender.NewSecret(" "+keySecret), sender.NewSecret("码")
		}, []string{"accessKeyId", "accessKeySecret", "sessionToken"}},
		{"endpoint", func(c *ses.Config) { c.Endpoint = "https://host/path" }, []string{"endpoint"}},
		{"templates", func(c *ses.Config) {
			c.Templates = append(c.Templates, sender.MailTemplate{UsageType: "Register"}, sender.MailTemplate{UsageType: "BindMfa", Subject: "s", Content: "<a"})
		}, []string{"templates[4].usageType", "templates[4].subject", "templates[4].content", "templates[5].content"}},
	})
}

func TestChannel(t *testing.T) {
	sendertest.Equal(t, "the channel", good().Channel(), messages.Email)
}

func TestWarnings(t *testing.T) {
	c := good()
	if w := c.Warnings(); len(w) != 0 {
		t.Errorf("a good configuration has warnings: %v", w)
	}
	c.Templates[0].Subject, c.Templates[0].Content = "s", "no code"
	if w := c.Warnings(); len(w) != 1 || w[0].Path != "templates[0].content" {
		t.Errorf("the warnings are %v, want one at templates[0].content", w)
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*ses.Config){
		"emailAddress ":                   func(c *ses.Config) { c.EmailAddress = "" },
		"templates ":                      func(c *ses.Config) { c.Templates = nil },
		"endpoint ":                       func(c *ses.Config) { c.Endpoint = "ftp://host" },
		"replyTo ":                        func(c *ses.Config) { c.ReplyTo = "x" },
		"feedbackForwardingEmailAddress ": func(c *ses.Config) { c.FeedbackForwardingEmailAddress = "x" },
	} {
		c := good()
		change(c)
		if _, err := c.New(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want it to begin with %q", err, want)
		}
	}
}

// TestPrintingShowsNoKey: neither a configuration nor a connector.
func TestPrintingShowsNoKey(t *testing.T) {
	c := good()
	c.SessionToken = sender.NewSecret("the-session-token")
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range []any{c, *c, s} {
		for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
			for _, secret := range []string{keyID, keySecret, "the-session-token"} {
				if text := fmt.Sprintf(format, v); strings.Contains(text, secret) {
					t.Errorf("%s of %T holds %s: %s", format, v, secret, text)
				}
			}
		}
	}
}
