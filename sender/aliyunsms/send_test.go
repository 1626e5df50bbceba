package aliyunsms_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

const (
	digits = aliyuntest.Digits
	code   = aliyuntest.Code
)

func TestConformance(t *testing.T) {
	sendertest.Conformance(t, connectors.SMS("SendSms", sendertest.SMSCodes))
}

func TestSend(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := connectors.At(t, endpoint)
	receipt, err := s.Send(t.Context(), aliyuntest.Render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	in := sb.Inbox(digits)
	if len(in) != 1 {
		t.Fatalf("%d messages were accepted, want 1", len(in))
	}
	got := in[0]
	want := fakealiyun.Message{
		Action: "SendSms", To: digits, SignName: "示例 签名", TemplateCode: "SMS_1", TemplateParam: `{"code":"Qx7z9K"}`, OutID: "id-1",
		At: got.At, BizID: got.BizID, RequestID: got.RequestID,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want := (sender.Receipt{ProviderID: got.BizID, RequestID: got.RequestID}); receipt != want || receipt.ProviderID == "" || receipt.RequestID == "" {
		t.Errorf("got %+v, want %+v", receipt, want)
	}
}

func TestSendKeepsThePrivateOutOfTheURL(t *testing.T) {
	srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
	s := connectors.At(t, srv.Endpoint)
	if _, err := s.Send(t.Context(), aliyuntest.Render(t, s)); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	q := r.URL.Query()
	sendertest.Equal(t, "the Action", q.Get("Action"), "SendSms")
	sendertest.Equal(t, "the Version", q.Get("Version"), "2017-05-25")
	sendertest.Equal(t, "the RegionId", q.Get("RegionId"), "cn-hangzhou")
	sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), digits, code, "示例 签名", "SMS_1", "id-1", "TemplateParam")
}

// TestOnlyOKIsSuccess, whatever else is in the answer.
func TestOnlyOKIsSuccess(t *testing.T) {
	for body, want := range map[string]sender.Error{
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","RequestId":"R"}`:                        {Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL", RequestID: "R"},
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Message":"","BizId":"B"}`:               {Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL"},
		`{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"13012345678invalid number"}`: {Class: sender.Permanent, Scope: sender.ScopeRecipient, Code: "isv.MOBILE_NUMBER_ILLEGAL", Detail: "[hidden]invalid number"},
		`{"Code":"isv.TEMPLATE_PARAMS_ILLEGAL","Message":"Qx7z9K is illegal"}`:       {Class: sender.Permanent, Scope: sender.ScopeMessage, Code: "isv.TEMPLATE_PARAMS_ILLEGAL", Detail: "[hidden] is illegal"},
		`{"Code":"ok","Message":"OK","BizId":"B"}`:                                   {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "ok", Detail: "OK"},
		`{"Code":" OK","Message":"OK","BizId":"B"}`:                                  {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: " OK", Detail: "OK"},
		`{"Message":"OK","BizId":"B","RequestId":"R"}`:                               {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoCode", Detail: "the provider's answer has no code", RequestID: "R"},
		`{"Code":"","Message":"OK","BizId":"B"}`:                                     {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoCode", Detail: "the provider's answer has no code"},
		`{"code":"OK","Message":"OK"}`:                                               {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoCode", Detail: "the provider's answer has no code"},
		`{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5"}`:         {Class: sender.RecipientLimited, Scope: sender.ScopeRecipient, Code: "isv.BUSINESS_LIMIT_CONTROL", Detail: "触发小时级流控Permits:5", RetryAfter: time.Hour},
		`{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"","RequestId":"R"}`:         {Class: sender.RecipientLimited, Scope: sender.ScopeRecipient, Code: "isv.BUSINESS_LIMIT_CONTROL", RequestID: "R"},
		`{"Code":"isv.SOMETHING_NEW","Message":"new"}`:                               {Class: sender.Permanent, Scope: sender.ScopeMessage, Code: "isv.SOMETHING_NEW", Detail: "new"},
		`{"Code":"SOMETHING_NEW","Message":"new"}`:                                   {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SOMETHING_NEW", Detail: "new"},
	} {
		s := connectors.At(t, faulty.Serve(t, faulty.Answer(200, body)).Endpoint)
		receipt, err := s.Send(t.Context(), aliyuntest.Render(t, s))
		if got := sender.AsError(err); *got != want || receipt != (sender.Receipt{}) {
			t.Errorf("%s:\ngot  %+v, %+v\nwant %+v", body, *got, receipt, want)
		}
	}
}

func TestFlowControl(t *testing.T) { connectors.Limited(t, "isv.BUSINESS_LIMIT_CONTROL") }

// TestNumberThatAliyunRefuses: Aliyun's message repeats the number.
func TestNumberThatAliyunRefuses(t *testing.T) {
	_, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := connectors.At(t, endpoint)
	m := aliyuntest.Render(t, s)
	m.To = "130123456789"
	_, err := s.Send(t.Context(), m)
	sendertest.WantCode(t, err, sender.Permanent, "isv.MOBILE_NUMBER_ILLEGAL")
	sendertest.Hides(t, err, m.To)
}

func TestCheck(t *testing.T) { connectors.Check(t, "QuerySendDetails", "isp.RAM_PERMISSION_DENY") }

// TestWhatIsRenderedIsAccepted sends what Render makes for every form of a number.
func TestWhatIsRenderedIsAccepted(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	s := connectors.At(t, endpoint)
	for to, sent := range map[string]string{
		"+8613012345678": "13012345678", "008613012345678": "13012345678", "8613012345678": "13012345678", "13012345678": "13012345678",
		"+85291234567": "85291234567", "0085366123456": "85366123456", "+886 912 345 678": "886912345678", "+447911123456": "447911123456",
	} {
		sb.Reset()
		code := aliyuntest.SignIn()
		code.To = to
		m, err := s.Render(code)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		if in := sb.Inbox(""); len(in) != 1 || in[0].To != sent {
			t.Errorf("%s: the inbox is %+v, want one message to %s", to, in, sent)
		}
	}
}

func TestRender(t *testing.T) {
	china := aliyunsms.TemplateCode{China: "SMS_1"}
	overseas := aliyunsms.TemplateCode{Overseas: "SMS_2"}
	both := aliyunsms.TemplateCode{China: "SMS_1", Overseas: "SMS_2"}
	for _, c := range []struct {
		name     string
		template aliyunsms.TemplateCode
		to       string
		strict   bool
		wantTo   string
		want     string // the template's code
		err      string
	}{
		{"the mainland", both, "+8613012345678", false, "13012345678", "SMS_1", ""},
		{"no country", both, "13012345678", false, "13012345678", "SMS_1", ""},
		{"no country, strict", both, "13012345678", true, "13012345678", "SMS_2", ""},
		{"Hong Kong", both, "+85291234567", false, "85291234567", "SMS_2", ""},
		{"Macao", both, "0085366123456", false, "85366123456", "SMS_2", ""},
		{"Taiwan", both, "886912345678", false, "886912345678", "SMS_2", ""},
		{"china alone, the mainland", china, "+8613012345678", false, "13012345678", "SMS_1", ""},
		{"china alone, Hong Kong", china, "+85291234567", false, "", "", "template SignIn has no templateCode for overseas numbers"},
		{"overseas alone, Hong Kong", overseas, "+85291234567", false, "85291234567", "SMS_2", ""},
		{"overseas alone, the mainland", overseas, "+8613012345678", false, "", "", "template SignIn has no templateCode for china numbers"},
		{"a landline", both, "+861012345678", false, "", "", "to is a mainland number, but not a mobile number: these have 11 digits and begin with 1"},
		{"no number", both, "hello", false, "", "", "to is not a phone number of any country; write it with its country code, such as +8613012345678"},
		{"too short", both, "+8529123", false, "", "", "to has too few or too many digits for its country"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			config.StrictPhoneRegionNumberCheck = c.strict
			for i := range config.Templates {
				config.Templates[i].TemplateCode = c.template
			}
			message := aliyuntest.SignIn()
			message.To = c.to
			m, err := sendertest.Make(t, config).Render(message)
			if c.err != "" {
				e := sendertest.WantCode(t, err, sender.Permanent, sender.CodeInvalid)
				sendertest.Equal(t, "the detail", e.Detail, c.err)
				if m != nil {
					t.Errorf("there is a message together with the error: %v", m)
				}
				sendertest.Hides(t, err, c.to)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			sendertest.Equal(t, "the ID", m.ID, "id-1")
			sendertest.Equal(t, "the recipient", m.To, c.wantTo)
			sendertest.Equal(t, "the template's code", m.TemplateCode, c.want)
			sendertest.Equal(t, "the parameters", m.TemplateParam, `{"code":"Qx7z9K"}`)
		})
	}
}

func TestRenderByType(t *testing.T) {
	config := good()
	config.Templates = nil
	for i, usage := range sender.RequiredTypes() {
		one := fmt.Sprintf("SMS_%d", i)
		config.Templates = append(config.Templates, aliyunsms.Template{UsageType: usage, TemplateCode: aliyunsms.TemplateCode{China: one, Overseas: one}})
	}
	config.Templates[3].UsageType = messages.Test // an older name of Generic
	s := sendertest.Make(t, config)
	for usage, want := range map[messages.Type]string{
		messages.Register: "SMS_0", messages.SignIn: "SMS_1", messages.ForgotPassword: "SMS_2", messages.Generic: "SMS_3",
		messages.Test: "SMS_3", messages.BindMfa: "SMS_3", messages.OrganizationInvitation: "SMS_3",
	} {
		message := aliyuntest.SignIn()
		message.Type = usage
		m, err := s.Render(message)
		if err != nil {
			t.Fatalf("%s: %v", usage, err)
		}
		sendertest.Equal(t, "the template of "+string(usage), m.TemplateCode, want)
	}
	config.Templates = config.Templates[:1] // which Validate would not let through
	s, err := config.New()
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Render(aliyuntest.SignIn())
	e := sendertest.Want(t, err, sender.Permanent)
	sendertest.Equal(t, "the detail", e.Detail, "there is no template for SignIn, and none for Generic")
}

// TestCodesTemplate: a code's template takes only the code, whatever else is in the
// payload.
func TestCodesTemplate(t *testing.T) {
	code2 := aliyunsms.TypeCode
	for _, kind := range []*aliyunsms.TemplateType{nil, &code2} {
		config := good()
		for i := range config.Templates {
			config.Templates[i].Type = kind
		}
		s := sendertest.Make(t, config)
		message := aliyuntest.SignIn()
		message.Payload = messages.Payload{
			"code": "aB12", "locale": "zh-CN", "uiLocales": "zh-CN en", "name": "Ann", "link": "https://example.com",
			"user": map[string]any{"name": "Ann"}, "list": []any{"1"}, "n": json.Number("7"), "nothing": nil,
		}
		m, err := s.Render(message)
		if err != nil {
			t.Fatal(err)
		}
		sendertest.Equal(t, "the parameters", m.TemplateParam, `{"code":"aB12"}`)
	}
}

func TestCodesThatAliyunRefuses(t *testing.T) { connectors.Codes(t, 6) }

// TestOtherTemplates: other templates take texts of 1 to 35 characters without a URL.
func TestOtherTemplates(t *testing.T) {
	for _, kind := range []aliyunsms.TemplateType{0, 1, 6, 7} {
		config := good()
		for i := range config.Templates {
			config.Templates[i].Type = &kind
		}
		s := sendertest.Make(t, config)
		message := aliyuntest.SignIn()
		message.Payload = messages.Payload{
			"code": "123456", "name": "安 & <Ann>", "full": strings.Repeat("码", 35), "dots": "J.Doe v1.2",
			"locale": "zh-CN", "uiLocales": "zh-CN en", "empty": "", "long": strings.Repeat("码", 36),
			"link": "https://a.example", "other": "ftp://a", "www": "WWW.example", "domain": "example.com", "mail": "ann@example.cn",
			"user": map[string]any{"name": "Ann"}, "list": []any{"1"}, "n": json.Number("7"), "f": 7.5, "b": true, "nothing": nil,
		}
		m, err := s.Render(message)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]string
		if err := json.Unmarshal([]byte(m.TemplateParam), &got); err != nil {
			t.Fatal(err)
		}
		if want := map[string]string{"code": "123456", "name": "安 & <Ann>", "full": strings.Repeat("码", 35), "dots": "J.Doe v1.2"}; !maps.Equal(got, want) {
			t.Errorf("type %d: got %v, want %v", kind, got, want)
		}
	}
}
