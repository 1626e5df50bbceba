package aliyunmas_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunmas"
)

// good is a configuration in which nothing is wrong.
func good() *aliyunmas.Config {
	c := &aliyunmas.Config{
		Account: aliyun.Account{AccessKeyID: sender.NewSecret(sandbox.DefaultKeyID), AccessKeySecret: sender.NewSecret(sandbox.DefaultKeySecret)}, SignName: "速通互联 验证码",
	}
	for _, t := range messages.RequiredTypes() {
		c.Templates = append(c.Templates, aliyunmas.Template{UsageType: t, TemplateCode: "100001"})
	}
	return c
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*aliyunmas.Config)
		want   []string // paths
	}{
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
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			c.change(config)
			problems := config.Validate()
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
				if p.Text == "" || strings.Contains(p.Text, sandbox.DefaultKeySecret) {
					t.Errorf("%s: %q", p.Path, p.Text)
				}
			}
			if !slices.Equal(paths, c.want) {
				t.Errorf("got %v, want problems of %v", problems, c.want)
			}
		})
	}
}

func TestNewNamesWhatIsWrong(t *testing.T) {
	c := good()
	c.Endpoint = "ftp://host"
	if _, err := c.New(); err == nil || !strings.HasPrefix(err.Error(), "endpoint ") {
		t.Error(err)
	}
	if c.Channel() != messages.SMS {
		t.Error(c.Channel())
	}
}

func TestTemplateCodeIsReadAsItIsWritten(t *testing.T) {
	var got aliyunmas.TemplateCode
	if err := got.UnmarshalText([]byte("0100001")); err != nil || got != "0100001" {
		t.Errorf("%q, %v", got, err)
	}
}
