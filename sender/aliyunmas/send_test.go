package aliyunmas_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run()) // the fuzzer has goroutines of its own
	}
	goleak.VerifyTestMain(m)
}

func connector(t testing.TB, c *aliyunmas.Config) sender.Sender {
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
		t.Errorf("requests: %v", n)
	}
}

// TestWhatIsAsked looks at the request itself: what is private stands in its body,
// and what is not meant is not said.
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
			srv := sendertest.Serve(t, sendertest.Answer(200, sendertest.OK))
			config := good()
			config.Endpoint = srv.Endpoint
			c.change(config)
			s := connector(t, config)
			if _, err := s.Send(t.Context(), render(t, s)); err != nil {
				t.Fatal(err)
			}
			r := srv.Requests()[0]
			if q := r.URL.Query(); q.Get("Action") != "SendSmsVerifyCode" || q.Get("Version") != "2017-05-25" || q.Get("RegionId") != "cn-hangzhou" {
				t.Error(r.URL)
			}
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

// TestWhatIsRenderedIsAccepted sends what Render makes, with all that a
// configuration may hold, to a stand-in that checks it.
func TestWhatIsRenderedIsAccepted(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	for _, n := range []*int{nil, new(0), new(1), new(24 * 60)} {
		for _, code := range []string{"1234", "aB345678"} {
			c := good()
			c.Endpoint, c.Minutes, c.SchemeName, c.AutoRetry = endpoint, n, "测试方案", new(false)
			s := connector(t, c)
			message := signIn()
			message.Payload["code"] = code
			m, err := s.Render(message)
			if err != nil {
				t.Fatal(err)
			}
			sb.Reset()
			if _, err := s.Send(t.Context(), m); err != nil || len(sb.Inbox(digits)) != 1 {
				t.Errorf("%s: %v", m.TemplateParam, err)
			}
		}
	}
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

// TestCodes: the product's own, SMS's and the gateway's; none is a success.
func TestCodes(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{})
	s := at(t, endpoint)
	m := render(t, s)
	codes := maps.Clone(sendertest.VerifyCodes)
	maps.Copy(codes, sendertest.SMSCodes)
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

func TestAnswers(t *testing.T) {
	send := func(body string) (sender.Receipt, error) {
		s := at(t, sendertest.Serve(t, sendertest.Answer(200, body)).Endpoint)
		return s.Send(t.Context(), render(t, s))
	}
	for body, want := range map[string]sender.Receipt{
		`{"Code":"OK","Message":"OK","Success":true,"RequestId":"R","Model":{"BizId":"B","OutId":"id-1","RequestId":"M"}}`: {ProviderID: "B", RequestID: "R"},
		`{"Code":"OK","Success":true,"RequestId":"R"}`:                                                                     {RequestID: "R"},
		`{"Code":"OK","Success":true,"Model":null}`:                                                                        {},
		`{"Code":"OK","Message":"OK","Model":{"BizId":"B"}}`:                                                               {ProviderID: "B"}, // Code decides
		`{"Code":"OK","Success":null,"RequestId":"R","Model":{}}`:                                                          {RequestID: "R"},
		`{"Code":"OK","Success":true,"Model":{"VerifyCode":"Qx7z9K"}}`:                                                     {},
	} {
		if got, err := send(body); err != nil || got != want {
			t.Errorf("%s: %+v, %v; want %+v", body, got, err, want)
		}
	}
	for body, want := range map[string]sender.Error{
		`{"Code":"OK","Message":"OK","Success":false,"RequestId":"R","Model":{"BizId":"B"}}`: {Class: sender.Unknown, Code: "OK", Detail: "the provider's answer says OK, and that it is no success", RequestID: "R"},
		`{"Code":"ok","Message":"OK","Success":true}`:                                        {Class: sender.Unknown, Code: "ok", Detail: "OK"},
		`{"Message":"OK","Success":true,"RequestId":"R","Model":{"BizId":"B"}}`:              {Class: sender.Unknown, Code: "SDK.NoCode", Detail: "the provider's answer has no code", RequestID: "R"},
		`{"Code":"biz.FREQUENCY","Message":"check frequency failed","Success":false}`:        {Class: sender.RecipientLimited, Code: "biz.FREQUENCY", Detail: "check frequency failed", RetryAfter: time.Minute},
		`{"Code":"isv.SMS_TEMPLATE_ILLEGAL","Success":true,"RequestId":"R"}`:                 {Class: sender.Misconfigured, Code: "isv.SMS_TEMPLATE_ILLEGAL", RequestID: "R"},
		`{"Code":"isv.MOBILE_NUMBER_ILLEGAL","Message":"13012345678invalid number"}`:         {Class: sender.Permanent, Code: "isv.MOBILE_NUMBER_ILLEGAL", Detail: "[hidden]invalid number"},
		`{"Code":"isv.TEMPLATE_PARAMS_ILLEGAL","Message":"Qx7z9K is illegal"}`:               {Class: sender.Permanent, Code: "isv.TEMPLATE_PARAMS_ILLEGAL", Detail: "[hidden] is illegal"},
		`{"Code":"SOMETHING_NEW","Message":"new"}`:                                           {Class: sender.Unknown, Code: "SOMETHING_NEW", Detail: "new"},
	} {
		receipt, err := send(body)
		if got := sender.AsError(err); err == nil || *got != want || receipt != (sender.Receipt{}) {
			t.Errorf("%s:\ngot  %+v, %+v\nwant %+v", body, *got, receipt, want)
		}
	}
}

// TestInterval: the product's own limit lets one message a minute through.
func TestInterval(t *testing.T) {
	sb, endpoint := sendertest.Sandbox(t, sandbox.Options{FlowControl: true})
	s := at(t, endpoint)
	m := render(t, s)
	if _, err := s.Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	_, err := s.Send(t.Context(), m)
	if e := sendertest.Want(t, err, sender.RecipientLimited); e.RetryAfter != time.Minute || e.Code != "biz.FREQUENCY" {
		t.Errorf("%+v", e)
	}
	if in := sb.Inbox(digits); len(in) != 1 {
		t.Errorf("%d messages", len(in))
	}
}
