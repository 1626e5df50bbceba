package aliyunsms_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

// good is a configuration in which nothing is wrong.
func good() *aliyunsms.Config {
	c := &aliyunsms.Config{
		Account: aliyun.Account{AccessKeyID: sender.NewSecret(sandbox.DefaultKeyID), AccessKeySecret: sender.NewSecret(sandbox.DefaultKeySecret)}, SignName: "示例 签名",
	}
	for _, t := range messages.RequiredTypes() {
		c.Templates = append(c.Templates, aliyunsms.Template{UsageType: t, TemplateCode: aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_2"}})
	}
	return c
}

func TestValidate(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*aliyunsms.Config)
		want   []string // paths
	}{
		{"good", func(*aliyunsms.Config) {}, nil},
		{"empty", func(c *aliyunsms.Config) { *c = aliyunsms.Config{} }, []string{"accessKeyId", "accessKeySecret", "signName", "templates"}},
		{"a region", func(c *aliyunsms.Config) { c.RegionID = "cn-hongkong" }, nil},
		{"another region", func(c *aliyunsms.Config) { c.RegionID = "ap-southeast-2" }, []string{"regionId"}},
		{"endpoint", func(c *aliyunsms.Config) { c.Endpoint = "host/path" }, []string{"endpoint"}},
		{"china alone", func(c *aliyunsms.Config) { c.Templates[0].TemplateCode.Overseas = "" }, nil},
		{"overseas alone", func(c *aliyunsms.Config) { c.Templates[0].TemplateCode.China = "" }, nil},
		{"no template code", func(c *aliyunsms.Config) { c.Templates[1].TemplateCode = aliyunsms.TemplateCode{} }, []string{"templates[1].templateCode"}},
		{"a number for a template code", func(c *aliyunsms.Config) { c.Templates[1].TemplateCode.China = "123" }, []string{"templates[1].templateCode"}},
		{"the same mistake twice", func(c *aliyunsms.Config) {
			c.Templates[1].TemplateCode = aliyunsms.TemplateCode{China: "SMS_x", Overseas: "SMS_x"}
		}, []string{"templates[1].templateCode"}},
		{"two mistakes", func(c *aliyunsms.Config) {
			c.Templates[1].TemplateCode = aliyunsms.TemplateCode{China: "SMS_x", Overseas: "SMS_1 "}
		}, []string{"templates[1].templateCode", "templates[1].templateCode"}},
		{"usage types", func(c *aliyunsms.Config) { c.Templates[1].UsageType = "Login" }, []string{"templates[1].usageType", "templates"}},
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

func TestTemplateTypeIsRead(t *testing.T) {
	for text, want := range map[string]aliyunsms.TemplateType{"0": 0, "1": 1, "2": aliyunsms.TypeCode, "6": 6, "7": 7} {
		var got aliyunsms.TemplateType = -1
		if err := got.UnmarshalText([]byte(text)); err != nil || got != want {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "3", "02", "2.0", "code", "-1"} {
		var got aliyunsms.TemplateType
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "2 (code)") {
			t.Errorf("%q: %d, %v", text, got, err)
		}
	}
}

func TestTemplateCodeIsRead(t *testing.T) {
	var got aliyunsms.TemplateCode
	if err := got.UnmarshalText([]byte("SMS_1")); err != nil || got != (aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_1"}) {
		t.Errorf("%+v, %v", got, err)
	}
}
