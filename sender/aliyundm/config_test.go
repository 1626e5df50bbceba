package aliyundm_test

import (
	"strings"
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

// good returns a configuration without mistakes.
func good() *aliyundm.Config {
	c := &aliyundm.Config{
		Account:     aliyuntest.Keys(),
		AccountName: "no-reply@mail.example.com", FromAlias: "Example 示例",
	}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, sender.MailTemplate{
			UsageType: t, Subject: string(t) + ": {{code}}", Content: `<p title="{{user.name}}">{{code}} 您的验证码 🚢</p>`,
		})
	}
	return c
}

// connectors makes connectors from good configurations.
var connectors = aliyuntest.Connector[*aliyundm.Config]{Good: good, Account: func(c *aliyundm.Config) *aliyun.Account { return &c.Account }}

func TestValidate(t *testing.T) {
	sendertest.Validate(t, good, []string{fakealiyun.DefaultKeySecret}, []sendertest.Change[*aliyundm.Config]{
		{"good", func(*aliyundm.Config) {}, nil},
		{"no FromAlias", func(c *aliyundm.Config) { c.FromAlias = "" }, nil},
		{"empty", func(c *aliyundm.Config) { *c = aliyundm.Config{} }, []string{"accessKeyId", "accessKeySecret", "accountName", "templates"}},
		{"accountName, a name", func(c *aliyundm.Config) { c.AccountName = "no-reply" }, []string{"accountName"}},
		{"accountName, with a display name", func(c *aliyundm.Config) { c.AccountName = "A <a@example.com>" }, []string{"accountName"}},
		{"fromAlias of 14", func(c *aliyundm.Config) { c.FromAlias = strings.Repeat("码", 14) }, nil},
		{"fromAlias of 15", func(c *aliyundm.Config) { c.FromAlias = strings.Repeat("码", 15) }, []string{"fromAlias"}},
		{"a region", func(c *aliyundm.Config) { c.RegionID = "us-east-1" }, nil},
		{"another region", func(c *aliyundm.Config) { c.RegionID = "cn-nowhere" }, []string{"regionId"}},
		{"another region and an endpoint", func(c *aliyundm.Config) { c.RegionID, c.Endpoint = "cn-nowhere", "http://127.0.0.1:9090" }, nil},
		{"endpoint", func(c *aliyundm.Config) { c.Endpoint = "https://host/path" }, []string{"endpoint"}},
		{"templates", func(c *aliyundm.Config) {
			c.Templates = append(c.Templates, sender.MailTemplate{UsageType: "Register"}, sender.MailTemplate{UsageType: "BindMfa", Subject: "s", Content: "<a"})
		}, []string{"templates[4].usageType", "templates[4].subject", "templates[4].content", "templates[5].content"}},
		{"a template is missing", func(c *aliyundm.Config) { c.Templates = c.Templates[1:] }, []string{"templates"}},
	})
}

func TestChannel(t *testing.T) {
	sendertest.Equal(t, "the channel", good().Channel(), messages.Email)
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	for want, change := range map[string]func(*aliyundm.Config){
		"endpoint ":  func(c *aliyundm.Config) { c.Endpoint = "ftp://host" },
		"templates ": func(c *aliyundm.Config) { c.Templates = nil },
	} {
		c := good()
		change(c)
		if _, err := c.New(); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("got %v, want it to begin with %q", err, want)
		}
	}
}
