package aliyunsms_test

import (
	"strings"
	"testing"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

// good returns a configuration without mistakes.
func good() *aliyunsms.Config {
	c := &aliyunsms.Config{
		Account: aliyuntest.Keys(), SignName: "示例 签名",
	}
	for _, t := range sender.RequiredTypes() {
		c.Templates = append(c.Templates, aliyunsms.Template{UsageType: t, TemplateCode: aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_2"}})
	}
	return c
}

// connectors makes connectors from good configurations.
var connectors = aliyuntest.Connector[*aliyunsms.Config]{Good: good, Account: func(c *aliyunsms.Config) *aliyun.Account { return &c.Account }}

func TestValidate(t *testing.T) {
	sendertest.Validate(t, good, []string{fakealiyun.DefaultKeySecret}, []sendertest.Change[*aliyunsms.Config]{
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
	})
}

func TestNewNamesWhatIsWrong(t *testing.T) { connectors.NamesWrongEndpoint(t) }

func TestChannel(t *testing.T) {
	if got := good().Channel(); got != messages.SMS {
		t.Errorf("got %s, want sms", got)
	}
}

func TestTemplateTypeIsRead(t *testing.T) {
	for text, want := range map[string]aliyunsms.TemplateType{"0": 0, "1": 1, "2": aliyunsms.TypeCode, "6": 6, "7": 7} {
		var got aliyunsms.TemplateType = -1
		if err := got.UnmarshalText([]byte(text)); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		sendertest.Equal(t, text, got, want)
	}
	for _, text := range []string{"", "3", "02", "2.0", "code", "-1"} {
		var got aliyunsms.TemplateType
		if err := got.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), "2 (code)") {
			t.Errorf("%q: got %d and error %v, want an error that names the types", text, got, err)
		}
	}
}

func TestTemplateCodeIsRead(t *testing.T) {
	var got aliyunsms.TemplateCode
	if err := got.UnmarshalText([]byte("SMS_1")); err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the code", got, aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_1"})
}
