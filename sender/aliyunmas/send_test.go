package aliyunmas_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/faulty"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunmas"
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
	sendertest.Conformance(t, connectors.SMS("SendSmsVerifyCode", sendertest.SMSCodes, sendertest.VerifyCodes))
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
		Action: "SendSmsVerifyCode", To: digits, SignName: "速通互联 验证码", TemplateCode: "100001",
		TemplateParam: `{"code":"Qx7z9K","min":"10"}`, OutID: "id-1",
		At: got.At, BizID: got.BizID, RequestID: got.RequestID,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if want := (sender.Receipt{ProviderID: got.BizID, RequestID: got.RequestID}); receipt != want || receipt.ProviderID == "" || receipt.RequestID == "" {
		t.Errorf("got %+v, want %+v", receipt, want)
	}
	if n := sb.Requests(); n["SendSmsVerifyCode"] != 1 || len(n) != 1 {
		t.Errorf("the requests are %v, want one of SendSmsVerifyCode", n)
	}
}

// TestWhatIsAsked checks the request: private values are in its body, and unset options
// are not sent.
func TestWhatIsAsked(t *testing.T) {
	same := map[string]string{
		"PhoneNumber": digits, "CountryCode": "86", "SignName": "速通互联 验证码", "TemplateCode": "100001", "OutId": "id-1",
	}
	for _, c := range []struct {
		name   string
		change func(*aliyunmas.Config)
		want   map[string]string
	}{
		{"as it comes", func(*aliyunmas.Config) {}, map[string]string{"TemplateParam": `{"code":"Qx7z9K","min":"10"}`, "ValidTime": "600"}},
		{"without minutes", func(c *aliyunmas.Config) { c.Minutes = new(0) }, map[string]string{"TemplateParam": `{"code":"Qx7z9K"}`}},
		{"all", func(c *aliyunmas.Config) { c.Minutes, c.SchemeName, c.AutoRetry = new(5), "测试方案", new(false) }, map[string]string{
			"TemplateParam": `{"code":"Qx7z9K","min":"5"}`, "ValidTime": "300", "SchemeName": "测试方案", "AutoRetry": "0",
		}},
		{"autoRetry", func(c *aliyunmas.Config) { c.AutoRetry = new(true) }, map[string]string{
			"TemplateParam": `{"code":"Qx7z9K","min":"10"}`, "ValidTime": "600", "AutoRetry": "1",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			srv := faulty.Serve(t, faulty.Answer(200, sendertest.OK))
			config := good()
			config.Endpoint = srv.Endpoint
			c.change(config)
			s := sendertest.Make(t, config)
			if _, err := s.Send(t.Context(), aliyuntest.Render(t, s)); err != nil {
				t.Fatal(err)
			}
			r := srv.Requests()[0]
			q := r.URL.Query()
			sendertest.Equal(t, "the Action", q.Get("Action"), "SendSmsVerifyCode")
			sendertest.Equal(t, "the Version", q.Get("Version"), "2017-05-25")
			sendertest.Equal(t, "the RegionId", q.Get("RegionId"), "cn-hangzhou")
			sendertest.Hides(t, fmt.Errorf("%s %v", r.URL, r.Header), digits, code, "验证码", "100001", "id-1", "TemplateParam")
			want := maps.Clone(same)
			maps.Copy(want, c.want)
			got := make(map[string]string)
			for name := range r.Body {
				got[name] = r.Body.Get(name)
			}
			if !maps.Equal(got, want) {
				t.Errorf("got  %v\nwant %v", got, want)
			}
		})
	}
}

// TestWhatIsRenderedIsAccepted sends what Render makes, with every option of the
// configuration, to a fake that checks it.
func TestWhatIsRenderedIsAccepted(t *testing.T) {
	sb, endpoint := sendertest.Aliyun(t, fakealiyun.Options{})
	for _, n := range []*int{nil, new(0), new(1), new(24 * 60)} {
		for _, code := range []string{"1234", "aB345678"} {
			c := good()
			c.Endpoint, c.Minutes, c.SchemeName, c.AutoRetry = endpoint, n, "测试方案", new(false)
			s := sendertest.Make(t, c)
			message := aliyuntest.SignIn()
			message.Payload["code"] = code
			m, err := s.Render(message)
			if err != nil {
				t.Fatal(err)
			}
			sb.Reset()
			if _, err := s.Send(t.Context(), m); err != nil {
				t.Errorf("%s: %v", m.TemplateParam, err)
			}
			sendertest.Equal(t, "the number of messages with "+m.TemplateParam, len(sb.Inbox(digits)), 1)
		}
	}
}

func TestAnswers(t *testing.T) {
	send := func(body string) (sender.Receipt, error) {
		s := connectors.At(t, faulty.Serve(t, faulty.Answer(200, body)).Endpoint)
		return s.Send(t.Context(), aliyuntest.Render(t, s))
	}
	for body, want := range map[string]sender.Receipt{
		`{"Code":"OK","Message":"OK","Success":true,"RequestId":"R","Model":{"BizId":"B","OutId":"id-1","RequestId":"M"}}`: {ProviderID: "B", RequestID: "R"},
		`{"Code":"OK","Success":true,"RequestId":"R"}`:                                                                     {RequestID: "R"},
		`{"Code":"OK","Success":true,"Model":null}`:                                                                        {},
		`{"Code":"OK","Message":"OK","Model":{"BizId":"B"}}`:                                                               {ProviderID: "B"}, // Code decides
		`{"Code":"OK","Success":null,"RequestId":"R","Model":{}}`:                                                          {RequestID: "R"},
		`{"Code":"OK","Success":true,"Model":{"VerifyCode":"Qx7z9K"}}`:                                                     {},
	} {
		got, err := send(body)
		if err != nil {
			t.Errorf("%s: %v", body, err)
		}
		sendertest.Equal(t, "the receipt of "+body, got, want)
	}
	for body, want := range map[string]sender.Error{
		`{"Code":"OK","Message":"OK","Success":false,"RequestId":"R","Model":{"BizId":"B"}}`: {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "OK", Detail: "the provider's answer has the code OK, but Success is false", RequestID: "R"},
		`{"Code":"ok","Message":"OK","Success":true}`:                                        {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "ok", Detail: "OK"},
		`{"Message":"OK","Success":true,"RequestId":"R","Model":{"BizId":"B"}}`:              {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoCode", Detail: "the provider's answer has no code", RequestID: "R"},
		`{"Code":"biz.FREQUENCY","Message":"check frequency failed","Success":false}`:        {Class: sender.RecipientLimited, Scope: sender.ScopeRecipient, Code: "biz.FREQUENCY", Detail: "check frequency failed", RetryAfter: time.Minute},
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Success":true,"RequestId":"R"}`:                 {Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL", RequestID: "R"},
		`{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"13012345678invalid number"}`:         {Class: sender.Permanent, Scope: sender.ScopeRecipient, Code: "isv.MOBILE_NUMBER_ILLEGAL", Detail: "[hidden]invalid number"},
		`{"Code":"isv.TEMPLATE_PARAMS_ILLEGAL","Message":"Qx7z9K is illegal"}`:               {Class: sender.Permanent, Scope: sender.ScopeMessage, Code: "isv.TEMPLATE_PARAMS_ILLEGAL", Detail: "[hidden] is illegal"},
		`{"Code":"SOMETHING_NEW","Message":"new"}`:                                           {Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SOMETHING_NEW", Detail: "new"},
	} {
		receipt, err := send(body)
		if got := sender.AsError(err); err == nil || *got != want || receipt != (sender.Receipt{}) {
			t.Errorf("%s:\ngot  %+v, %+v\nwant %+v", body, *got, receipt, want)
		}
	}
}

// TestInterval: the product itself limits a number to one message a minute.
func TestInterval(t *testing.T) { connectors.Limited(t, "biz.FREQUENCY") }
