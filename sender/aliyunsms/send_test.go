package aliyunsms_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer has goroutines of its own
	}
	goleak.VerifyTestMain(m)
}

func connector(t testing.TB, c *aliyunsms.Config) sender.Sender {
	t.Helper()
	s, err := c.New()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// at makes a connector that sends to an endpoint.
func at(t testing.TB, endpoint string) sender.Sender {
	t.Helper()
	c := good()
	c.Endpoint = endpoint
	return connector(t, c)
}

const (
	to     = "+86 130-1234-5678"
	digits = "13012345678"
	code   = "Qx7z9K"
)

func signIn() *messages.SendCode {
	return &messages.SendCode{ID: "id-1", To: to, Type: messages.SignIn, Payload: messages.Payload{"code": code, "locale": "zh-CN"}}
}

func render(t testing.TB, s sender.Sender) *sender.Message {
	t.Helper()
	m, err := s.Render(signIn())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestSend(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	receipt, err := s.Send(t.Context(), render(t, s))
	if err != nil {
		t.Fatal(err)
	}
	in := sb.Inbox(digits)
	if len(in) != 1 {
		t.Fatalf("%d messages", len(in))
	}
	got := in[0]
	want := sandbox.Message{
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
	srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
	s := at(t, srv.Endpoint)
	if _, err := s.Send(t.Context(), render(t, s)); err != nil {
		t.Fatal(err)
	}
	r := srv.Requests()[0]
	if q := r.URL.Query(); q.Get("Action") != "SendSms" || q.Get("Version") != "2017-05-25" || q.Get("RegionId") != "cn-hangzhou" {
		t.Error(r.URL)
	}
	sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), digits, code, "示例 签名", "SMS_1", "id-1", "TemplateParam")
}

func TestFaults(t *testing.T) {
	sendertest.Faults(t, func(endpoint string, timeout time.Duration) func(context.Context) error {
		c := good()
		c.Endpoint, c.Timeout = endpoint, timeout
		s := connector(t, c)
		m := render(t, s)
		return func(ctx context.Context) error {
			_, err := s.Send(ctx, m)
			return err
		}
	}, digits, code)
}

// TestCodes: SMS's own codes come with HTTP 200, and none of them is a success.
func TestCodes(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	m := render(t, s)
	codes := maps.Clone(sendertest.SMSCodes)
	maps.Copy(codes, sendertest.GatewayCodes)
	for code, class := range codes {
		t.Run(code, func(t *testing.T) {
			if err := sb.SetFaults([]sandbox.Fault{{Code: code}}); err != nil {
				t.Fatal(err)
			}
			receipt, err := s.Send(t.Context(), m)
			if e := sendertest.Want(t, err, class); e.Code != code || e.Detail == "" || e.RequestID == "" || receipt != (sender.Receipt{}) {
				t.Errorf("%+v, %+v", e, receipt)
			}
		})
	}
	if in := sb.Inbox(""); len(in) != 0 {
		t.Errorf("%d messages", len(in))
	}
}

// TestOnlyOKIsSuccess: whatever else the answer has.
func TestOnlyOKIsSuccess(t *testing.T) {
	for body, want := range map[string]sender.Error{
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","RequestId":"R"}`:                        {Class: sender.Misconfigured, Code: "isv.SMS_TEMPLATE_ILLEGAL", RequestID: "R"},
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Message":"","BizId":"B"}`:               {Class: sender.Misconfigured, Code: "isv.SMS_TEMPLATE_ILLEGAL"},
		`{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"13012345678invalid number"}`: {Class: sender.Permanent, Code: "isv.MOBILE_NUMBER_ILLEGAL", Detail: "[hidden]invalid number"},
		`{"Code":"isv.TEMPLATE_PARAMS_ILLEGAL","Message":"Qx7z9K is illegal"}`:       {Class: sender.Permanent, Code: "isv.TEMPLATE_PARAMS_ILLEGAL", Detail: "[hidden] is illegal"},
		`{"Code":"ok","Message":"OK","BizId":"B"}`:                                   {Class: sender.Unknown, Code: "ok", Detail: "OK"},
		`{"Code":" OK","Message":"OK","BizId":"B"}`:                                  {Class: sender.Unknown, Code: " OK", Detail: "OK"},
		`{"Message":"OK","BizId":"B","RequestId":"R"}`:                               {Class: sender.Unknown, Code: "SDK.NoCode", Detail: "the provider's answer has no code", RequestID: "R"},
		`{"Code":"","Message":"OK","BizId":"B"}`:                                     {Class: sender.Unknown, Code: "SDK.NoCode", Detail: "the provider's answer has no code"},
		`{"code":"OK","Message":"OK"}`:                                               {Class: sender.Unknown, Code: "SDK.NoCode", Detail: "the provider's answer has no code"},
		`{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"触发小时级流控Permits:5"}`:         {Class: sender.RecipientLimited, Code: "isv.BUSINESS_LIMIT_CONTROL", Detail: "触发小时级流控Permits:5", RetryAfter: time.Hour},
		`{"Code":"isv.BUSINESS_LIMIT_CONTROL","Message":"","RequestId":"R"}`:         {Class: sender.RecipientLimited, Code: "isv.BUSINESS_LIMIT_CONTROL", RequestID: "R"},
		`{"Code":"isv.SOMETHING_NEW","Message":"new"}`:                               {Class: sender.Permanent, Code: "isv.SOMETHING_NEW", Detail: "new"},
		`{"Code":"SOMETHING_NEW","Message":"new"}`:                                   {Class: sender.Unknown, Code: "SOMETHING_NEW", Detail: "new"},
	} {
		s := at(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint)
		receipt, err := s.Send(t.Context(), render(t, s))
		if got := sender.AsError(err); *got != want || receipt != (sender.Receipt{}) {
			t.Errorf("%s:\ngot  %+v, %+v\nwant %+v", body, *got, receipt, want)
		}
	}
}

func TestFlowControl(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{FlowControl: true})
	s := at(t, endpoint)
	m := render(t, s)
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	_, err := s.Send(t.Context(), m)
	if e := sendertest.Want(t, err, sender.RecipientLimited); e.RetryAfter != time.Minute || e.Code != "isv.BUSINESS_LIMIT_CONTROL" {
		t.Errorf("%+v", e)
	}
	if in := sb.Inbox(digits); len(in) != 1 {
		t.Errorf("%d messages", len(in))
	}
}

// TestNumberThatAliyunRefuses: its message repeats the number.
func TestNumberThatAliyunRefuses(t *testing.T) {
	_, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	m := render(t, s)
	m.To = "130123456789"
	_, err := s.Send(t.Context(), m)
	if e := sendertest.Want(t, err, sender.Permanent); e.Code != "isv.MOBILE_NUMBER_ILLEGAL" {
		t.Error(e)
	}
	sendertest.Hides(t, err, m.To)
}

func check(t testing.TB, s sender.Sender) error {
	t.Helper()
	c, ok := s.(sender.Checker)
	if !ok {
		t.Fatal("no Checker")
	}
	return c.Check(t.Context())
}

func TestCheck(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	if err := check(t, at(t, endpoint)); err != nil {
		t.Error(err)
	}
	if n := sb.Requests(); n["QuerySendDetails"] != 1 || len(n) != 1 || len(sb.Inbox("")) != 0 {
		t.Errorf("a check is one harmless request: %v", n)
	}

	c := good()
	c.Endpoint, c.AccessKeySecret = endpoint, sender.NewSecret("wrong-secret")
	err := check(t, connector(t, c))
	if e := sendertest.Want(t, err, sender.AccountDown); e.Code != "SignatureDoesNotMatch" {
		t.Error(e)
	}
	sendertest.Hides(t, err, "wrong-secret", sandbox.DefaultKeySecret)

	for body, class := range map[string]sender.Class{
		"": sender.Unknown, "{}": sender.Unknown, "<html>": sender.Unknown,
		`{"Code":"isp.RAM_PERMISSION_DENY","Message":"RAM"}`: sender.AccountDown,
	} {
		sendertest.Want(t, check(t, at(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint)), class)
	}
	sendertest.Want(t, check(t, at(t, "http://127.0.0.1:1")), sender.Unavailable)
}

// TestWhatIsRenderedIsAccepted sends what Render makes of every form of a number.
func TestWhatIsRenderedIsAccepted(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	for to, sent := range map[string]string{
		"+8613012345678": "13012345678", "008613012345678": "13012345678", "8613012345678": "13012345678", "13012345678": "13012345678",
		"+85291234567": "85291234567", "0085366123456": "85366123456", "+886 912 345 678": "886912345678", "+447911123456": "447911123456",
	} {
		sb.Reset()
		code := signIn()
		code.To = to
		m, err := s.Render(code)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(t.Context(), m); err != nil {
			t.Errorf("%s: %v", to, err)
		}
		if in := sb.Inbox(""); len(in) != 1 || in[0].To != sent {
			t.Errorf("%s: %+v, want it sent to %s", to, in, sent)
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
		{"a landline", both, "+861012345678", false, "", "", "to is a mainland number, but no mobile one: those have 11 digits and begin with 1"},
		{"no number", both, "hello", false, "", "", "to is no phone number of any country; write it with its country code, such as +8613012345678"},
		{"too short", both, "+8529123", false, "", "", "to has too few or too many digits for its country"},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			config.StrictPhoneRegionNumberCheck = c.strict
			for i := range config.Templates {
				config.Templates[i].TemplateCode = c.template
			}
			message := signIn()
			message.To = c.to
			m, err := connector(t, config).Render(message)
			if c.err != "" {
				if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || e.Detail != c.err || m != nil {
					t.Errorf("got %+v, want %s", e, c.err)
				}
				sendertest.Hides(t, err, c.to)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if m.ID != "id-1" || m.To != c.wantTo || m.TemplateCode != c.want || m.TemplateParam != `{"code":"Qx7z9K"}` {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestRenderByType(t *testing.T) {
	config := good()
	config.Templates = nil
	for i, usage := range messages.RequiredTypes() {
		one := fmt.Sprintf("SMS_%d", i)
		config.Templates = append(config.Templates, aliyunsms.Template{UsageType: usage, TemplateCode: aliyunsms.TemplateCode{China: one, Overseas: one}})
	}
	config.Templates[3].UsageType = messages.Test // an older name of Generic
	s := connector(t, config)
	for usage, want := range map[messages.Type]string{
		messages.Register: "SMS_0", messages.SignIn: "SMS_1", messages.ForgotPassword: "SMS_2", messages.Generic: "SMS_3",
		messages.Test: "SMS_3", messages.BindMfa: "SMS_3", messages.OrganizationInvitation: "SMS_3",
	} {
		message := signIn()
		message.Type = usage
		if m, err := s.Render(message); err != nil || m.TemplateCode != want {
			t.Errorf("%s: %+v, %v; want %s", usage, m, err, want)
		}
	}
	config.Templates = config.Templates[:1]
	if _, err := connector(t, config).Render(signIn()); sendertest.Want(t, err, sender.Permanent).Detail != "there is no template for SignIn, and none for Generic" {
		t.Error(err)
	}
}

// TestCodesTemplate: it takes the code and nothing else, whatever there is.
func TestCodesTemplate(t *testing.T) {
	code2 := aliyunsms.TypeCode
	for _, kind := range []*aliyunsms.TemplateType{nil, &code2} {
		config := good()
		for i := range config.Templates {
			config.Templates[i].Type = kind
		}
		s := connector(t, config)
		message := signIn()
		message.Payload = messages.Payload{
			"code": "aB12", "locale": "zh-CN", "uiLocales": "zh-CN en", "name": "Ann", "link": "https://example.com",
			"user": map[string]any{"name": "Ann"}, "list": []any{"1"}, "n": json.Number("7"), "nothing": nil,
		}
		if m, err := s.Render(message); err != nil || m.TemplateParam != `{"code":"aB12"}` {
			t.Errorf("%+v, %v", m, err)
		}
	}
}

func TestCodesThatAliyunRefuses(t *testing.T) {
	s := at(t, "http://127.0.0.1:1")
	for _, c := range []struct {
		payload messages.Payload
		want    string // "": it is fine
	}{
		{messages.Payload{"code": "1234"}, ""},
		{messages.Payload{"code": "abcXYZ"}, ""},
		{messages.Payload{"code": "735"}, "payload.code has 3 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "7351902"}, "payload.code has 7 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "73-519"}, "payload.code has 6 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "7351 9"}, "payload.code has 6 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "73519\n"}, "payload.code has 6 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "７３５１"}, "payload.code has 4 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": "é351"}, "payload.code has 4 characters; Aliyun takes 4 to 6 letters or digits (A-Z a-z 0-9)"},
		{messages.Payload{"code": ""}, "template SignIn uses ${code} and the payload has no code"},
		{messages.Payload{"code": json.Number("7351")}, "template SignIn uses ${code} and the payload has no code"},
		{messages.Payload{"link": "https://example.com"}, "template SignIn uses ${code} and the payload has no code"},
		{nil, "template SignIn uses ${code} and the payload has no code"},
	} {
		message := signIn()
		message.Payload = c.payload
		_, err := s.Render(message)
		if c.want == "" {
			if err != nil {
				t.Errorf("%v: %v", c.payload, err)
			}
			continue
		}
		if e := sendertest.Want(t, err, sender.Permanent); e.Detail != c.want || e.Code != sender.CodeInvalid {
			t.Errorf("%v: got %v, want %s", c.payload, err, c.want)
		}
		if code := c.payload.Text("code"); code != "" && strings.Contains(err.Error(), strings.TrimSpace(code)) {
			t.Errorf("the error holds the code: %v", err)
		}
	}
}

// TestOtherTemplates: they take what is text of 1 to 35 characters and no URL.
func TestOtherTemplates(t *testing.T) {
	for _, kind := range []aliyunsms.TemplateType{0, 1, 6, 7} {
		config := good()
		for i := range config.Templates {
			config.Templates[i].Type = &kind
		}
		s := connector(t, config)
		message := signIn()
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

func TestSendEndsWithItsContext(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	if err := sb.SetFaults([]sandbox.Fault{{Drop: sandbox.DropHang}}); err != nil {
		t.Fatal(err)
	}
	s := at(t, endpoint)
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	_, err := s.Send(ctx, render(t, s))
	if e := sendertest.Want(t, err, sender.Unknown); e.Code != "SDK.ReadTimeout" || !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		t.Error(e)
	}
}
