package aliyunmas_test

import (
	"strings"
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

// good returns a configuration without mistakes.
func good() *aliyunmas.Config {
	c := &aliyunmas.Config{
		Account: aliyuntest.Keys(), SignName: "速通互联 验证码",
	}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, aliyunmas.Template{UsageType: t, TemplateCode: "100001"})
	}
	return c
}

// connectors makes connectors from good configurations.
var connectors = aliyuntest.Connector[*aliyunmas.Config]{Good: good, Account: func(c *aliyunmas.Config) *aliyun.Account { return &c.Account }}

func TestValidate(t *testing.T) {
	sendertest.Validate(t, good, []string{fakealiyun.DefaultKeySecret}, []sendertest.Change[*aliyunmas.Config]{
		{"good", func(*aliyunmas.Config) {}, nil},
		{"empty", func(c *aliyunmas.Config) { *c = aliyunmas.Config{} }, []string{"accessKeyId", "accessKeySecret", "signName", "templates"}},
		{"the region", func(c *aliyunmas.Config) { c.RegionID = "cn-hangzhou" }, nil},
		{"another region", func(c *aliyunmas.Config) { c.RegionID = "ap-southeast-1" }, []string{"regionId"}},
		{"endpoint", func(c *aliyunmas.Config) { c.Endpoint = "host/path" }, []string{"endpoint"}},
		{"no template code", func(c *aliyunmas.Config) { c.Templates[1].TemplateCode = "" }, []string{"templates[1].templateCode"}},
		{"a word for a template code", func(c *aliyunmas.Config) { c.Templates[1].TemplateCode = "x100001" }, []string{"templates[1].templateCode"}},
		{"SMS's template code", func(c *aliyunmas.Config) { c.Templates[1].TemplateCode = "SMS_123456789" }, nil},
		{"usage types", func(c *aliyunmas.Config) { c.Templates[1].UsageType = "Login" }, []string{"templates[1].usageType", "templates"}},
		{"minutes", func(c *aliyunmas.Config) { c.Minutes = new(5) }, nil},
		{"no minutes", func(c *aliyunmas.Config) { c.Minutes = new(0) }, nil},
		{"negative minutes", func(c *aliyunmas.Config) { c.Minutes = new(-1) }, []string{"minutes"}},
		{"more than a day", func(c *aliyunmas.Config) { c.Minutes = new(24*60 + 1) }, []string{"minutes"}},
		{"schemeName", func(c *aliyunmas.Config) { c.SchemeName = strings.Repeat("案", 20) }, nil},
		{"a long schemeName", func(c *aliyunmas.Config) { c.SchemeName = strings.Repeat("案", 21) }, []string{"schemeName"}},
	})
}

func TestNewNamesWhatIsWrong(t *testing.T) { connectors.NamesWrongEndpoint(t) }

func TestChannel(t *testing.T) {
	if got := good().Channel(); got != messages.SMS {
		t.Errorf("got %s, want sms", got)
	}
}

func TestTemplateCodeIsReadAsItIsWritten(t *testing.T) {
	var got aliyunmas.TemplateCode
	if err := got.UnmarshalText([]byte("0100001")); err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the code", got, "0100001")
}
