package aliyunsms_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

// TestTemplateNames: each template has one name of its own.
func TestTemplateNames(t *testing.T) {
	config := good()
	sms := aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_1"}
	for i := range config.Templates {
		config.Templates[i].TemplateCode = sms
	}
	config.Templates[1].TemplateCode = aliyunsms.TemplateCode{China: "SMS_2", Overseas: "SMS_3"}
	s := sendertest.Make(t, config)
	first, other := config.Templates[0].UsageType, config.Templates[1].UsageType
	for _, c := range []struct {
		usage    messages.Type
		to, want string
	}{
		{first, digits, "示例 签名/SMS_1"},
		{config.Templates[2].UsageType, digits, "示例 签名/SMS_1"},
		{first, "+4930123456", "示例 签名/SMS_1/overseas"},
		{other, digits, "示例 签名/SMS_2"},
		{other, "+4930123456", "示例 签名/SMS_3/overseas"},
	} {
		m := aliyuntest.SignIn()
		m.Type, m.To = c.usage, c.to
		if got, err := s.Render(m); err != nil || got.Template != c.want {
			t.Errorf("%s to %s: template %q, %v; want %q", c.usage, c.to, got.Template, err, c.want)
		}
	}
}

// TestWhatThePayloadFills: if a code's template does not fit, the configuration is wrong.
// If the payload fills in the template, a value that a user left empty can be the reason,
// so the error speaks of the message alone.
func TestWhatThePayloadFills(t *testing.T) {
	notification := aliyunsms.TemplateType(0)
	template := sendertest.Meaning{Class: sender.Misconfigured, Scope: sender.ScopeTemplate}
	message := sendertest.Meaning{Class: sender.Permanent, Scope: sender.ScopeMessage}
	for _, code := range []string{"isv.TEMPLATE_MISSING_PARAMETERS", "template_parameter_count_illegal", "isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE", "isv.SMS_TEMPLATE_ILLEGAL"} {
		for _, status := range []int{200, 400} {
			srv := faulty.Serve(t, faulty.Answer(status, `{"Code":"`+code+`","Message":"no","RequestId":"R"}`))
			for _, kind := range []*aliyunsms.TemplateType{nil, &notification} {
				config := good()
				config.Endpoint = srv.Endpoint
				for i := range config.Templates {
					config.Templates[i].Type = kind
				}
				want := template
				if kind != nil && code != "isv.SMS_TEMPLATE_ILLEGAL" {
					want = message
				}
				s := sendertest.Make(t, config)
				_, err := s.Send(t.Context(), aliyuntest.Render(t, s))
				want.Check(t, err)
			}
		}
	}
}
