package aliyunsms

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/internal/phone"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

type connector struct {
	client    *aliyun.Client
	signName  string
	strict    bool
	templates *sender.Templates[Template]
	// filled holds the codes of the templates whose variables the payload chooses. A
	// code's template is not among them: it takes only the code.
	filled map[string]bool
}

// Render selects the template's code by the number's country, and keeps the payload's
// values that the template takes and Aliyun accepts.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	n, err := phone.Parse(m.To, c.strict)
	if err != nil {
		return nil, sender.Invalid("to %v", err)
	}
	t, ok := c.templates.For(m)
	if !ok {
		return nil, sender.Invalid("there is no template for %s, and none for Generic", m.Type)
	}
	code, where := t.TemplateCode.China, "china"
	if !n.Mainland {
		code, where = t.TemplateCode.Overseas, "overseas"
	}
	if !n.Mainland && phone.IsMobile(n.Digits) && t.TemplateCode.Overseas == t.TemplateCode.China {
		// +1 301 234 5678 and 13012345678 look the same to Aliyun. Only the template
		// separates a stranger in China from a user in Maryland.
		return nil, noOverseasCode(t.UsageType)
	}
	if code == "" {
		return nil, sender.Invalid("template %s has no templateCode for %s numbers", m.Type, where)
	}
	params, err := templateParams(t.templateType(), m)
	if err != nil {
		return nil, err
	}
	return &sender.Message{
		ID: m.ID, To: n.Digits, Template: templateName(c.signName, code, n.Mainland), TemplateCode: code, TemplateParam: params,
	}, nil
}

// noOverseasCode is the error for a number of country code 1 and a template that has one
// code for all numbers. The configuration is at fault: the number is valid.
func noOverseasCode(template messages.Type) *sender.Error {
	return &sender.Error{
		Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "NoOverseasTemplate",
		Detail: fmt.Sprintf("to is a number of country code 1; Aliyun treats it as a mainland number unless template %s has a separate overseas code", template),
		Advice: fmt.Sprintf("Give template %s a templateCode.overseas that differs from templateCode.china.", template),
	}
}

// templateName returns a Message.Template: a signature and a template's code. They may be
// approved for the mainland alone, so an error about a number abroad speaks only of
// numbers abroad.
func templateName(sign, code string, mainland bool) string {
	name := sign + "/" + code
	if !mainland {
		name += "/overseas"
	}
	return name
}

const (
	// maxCode is the length of the longest code that a code's template takes.
	maxCode = 6
	// maxValue is the length of the longest value that any other template takes, in
	// characters.
	maxValue = 35
)

// templateParams returns SendSms's TemplateParam. A code's template takes exactly one
// variable, of 4 to 6 letters or digits. Any other template takes texts of 1 to 35
// characters without a URL. The locales select a template and never fill it in.
func templateParams(t TemplateType, m *messages.SendCode) (string, error) {
	if t == TypeCode {
		code, err := aliyun.PayloadCode(m, maxCode)
		if err != nil {
			return "", err
		}
		return `{"code":"` + code + `"}`, nil // a code needs no escaping
	}
	params := make(map[string]string)
	for name, v := range m.Payload {
		if text, ok := v.(string); ok && name != "locale" && name != "uiLocales" && acceptable(text) {
			params[name] = text
		}
	}
	b, err := json.Marshal(params)
	if err != nil {
		return "", sender.Invalid("the payload can't be written as JSON")
	}
	return string(b), nil
}

// urlLike matches what Aliyun treats as a URL, such as a bare domain.
var urlLike = regexp.MustCompile(`(?i)://|www\.|[a-z0-9-]\.(?:com|cn|net|org)\b`)

func acceptable(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= maxValue && !urlLike.MatchString(s)
}

var sendSms = aliyun.NewAction(dysmsapi.CreateSendSmsRequest())

// Send calls SendSms.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	params := aliyun.Params{
		{Name: "PhoneNumbers", Value: m.To},
		{Name: "SignName", Value: c.signName},
		{Name: "TemplateCode", Value: m.TemplateCode},
		{Name: "TemplateParam", Value: m.TemplateParam},
		{Name: "OutId", Value: m.ID},
	}
	resp := dysmsapi.CreateSendSmsResponse()
	err := c.client.DoBefore(ctx, m.NotAfter, sendSms, params, resp)
	if err == nil {
		err = aliyun.CodeError(resp.Code, resp.Message, resp.RequestId, params)
	}
	if err != nil && c.filled[m.TemplateCode] {
		err = aliyun.ByPayload(err)
	}
	if err != nil {
		return sender.Receipt{}, err
	}
	return sender.Receipt{ProviderID: resp.BizId, RequestID: resp.RequestId}, nil
}
