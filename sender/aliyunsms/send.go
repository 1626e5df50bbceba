package aliyunsms

import (
	"context"
	"encoding/json"
	"net/http"
	"regexp"
	"strings"
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
}

// Render chooses the template's code by where the number is, and keeps of the
// payload what the template takes and Aliyun accepts.
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
		// +1 301 234 5678 and 13012345678 look the same to Aliyun: only the
		// template tells a stranger in China from a user in Maryland.
		return nil, sender.Invalid("to is a number of country code 1, which Aliyun takes for a mainland one unless template %s has an overseas code of its own", m.Type)
	}
	if code == "" {
		return nil, sender.Invalid("template %s has no templateCode for %s numbers", m.Type, where)
	}
	params, err := templateParams(t.templateType(), m)
	if err != nil {
		return nil, err
	}
	return &sender.Message{ID: m.ID, To: n.Digits, TemplateCode: code, TemplateParam: params}, nil
}

// maxValue is the most characters that a template's value may have.
const maxValue = 35

// templateParams returns SendSms's TemplateParam. A code's template takes
// exactly one variable, of 4 to 6 letters or digits; any other takes what is
// text of 1 to 35 characters and no URL. The locales are for choosing a
// template, never for filling it in.
func templateParams(t TemplateType, m *messages.SendCode) (string, error) {
	if t == TypeCode {
		code := m.Payload.Text("code")
		if code == "" {
			return "", sender.Invalid("template %s uses ${code} and the payload has no code", m.Type)
		}
		if !isCode(code) {
			return "", sender.Invalid("payload.code has %d characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)", utf8.RuneCountInString(code))
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
		return "", sender.Invalid("the payload makes no JSON")
	}
	return string(b), nil
}

func isCode(s string) bool {
	return len(s) >= 4 && len(s) <= 6 && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
	})
}

// urlLike is what Aliyun takes for a URL, a bare domain among them.
var urlLike = regexp.MustCompile(`(?i)://|www\.|[a-z0-9-]\.(?:com|cn|net|org)\b`)

func acceptable(s string) bool {
	n := utf8.RuneCountInString(s)
	return n >= 1 && n <= maxValue && !urlLike.MatchString(s)
}

var sendSms = aliyun.NewAction(dysmsapi.CreateSendSmsRequest())

// codeOK is the only Code of SendSms that means success; the HTTP status is 200
// either way.
const codeOK = "OK"

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
	if err := c.client.Do(ctx, sendSms, params, resp); err != nil {
		return sender.Receipt{}, err
	}
	if resp.Code != codeOK {
		return sender.Receipt{}, aliyun.NewError(resp.Code, resp.Message, resp.RequestId, http.StatusOK, params)
	}
	return sender.Receipt{ProviderID: resp.BizId, RequestID: resp.RequestId}, nil
}
