package aliyun

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dypnsapi"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/internal/check"
)

// sdkFixture uses the real clock: the SDK does.
func sdkFixture(t *testing.T) *fixture {
	t.Helper()
	return start(t, Options{
		Now:  time.Now,
		Keys: []Key{{ID: "testid", Secret: "testsecret"}, {ID: "STS.id", Secret: "testsecret", SecurityToken: "to/ken+=="}},
	})
}

func (f *fixture) config() *sdk.Config {
	return sdk.NewConfig().WithAutoRetry(false).WithHttpTransport(f.http.Client().Transport.(*http.Transport)).WithTimeout(10 * time.Second)
}

func (f *fixture) domain() string { return strings.TrimPrefix(f.http.URL, "http://") }

func (f *fixture) sms(secret string) *dysmsapi.Client {
	f.t.Helper()
	c, err := dysmsapi.NewClientWithOptions("cn-hangzhou", f.config(), credentials.NewAccessKeyCredential("testid", secret))
	if err != nil {
		f.t.Fatal(err)
	}
	return c
}

func (f *fixture) smsRequest() *dysmsapi.SendSmsRequest {
	r := dysmsapi.CreateSendSmsRequest()
	r.Scheme, r.Domain = requests.HTTP, f.domain()
	r.SignName, r.TemplateCode, r.OutId = "示例 *~+", "SMS_1", "out"
	r.FormParams["PhoneNumbers"] = "8613012345678"
	r.FormParams["TemplateParam"] = `{"code":"123456"}`
	return r
}

func TestSDKSendSmsAndQuery(t *testing.T) {
	f := sdkFixture(t)
	sent, err := f.sms("testsecret").SendSms(f.smsRequest())
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "Code", sent.Code, "OK")
	check.True(t, "BizId is set", sent.BizId != "", sent)
	check.True(t, "RequestId is set", sent.RequestId != "", sent)
	m := f.Inbox("13012345678")
	if len(m) != 1 {
		t.Fatalf("the inbox is %+v, want 1 message", m)
	}
	check.Equal(t, "SignName", m[0].SignName, "示例 *~+")
	check.Equal(t, "TemplateParam", m[0].TemplateParam, `{"code":"123456"}`)

	q := dysmsapi.CreateQuerySendDetailsRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	q.PhoneNumber, q.SendDate = "13012345678", f.Inbox("")[0].At.In(chinaTime).Format("20060102")
	q.PageSize, q.CurrentPage = requests.NewInteger(50), requests.NewInteger(1)
	found, err := f.sms("testsecret").QuerySendDetails(q)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "Code of the query", found.Code, "OK")
	check.Equal(t, "TotalCount", found.TotalCount, "1")
	details := found.SmsSendDetailDTOs.SmsSendDetailDTO
	if len(details) != 1 {
		t.Fatalf("the details are %+v, want those of 1 message", details)
	}
	d := details[0]
	check.Equal(t, "OutId", d.OutId, "out")
	check.Equal(t, "SendStatus", d.SendStatus, 3)
	check.Equal(t, "PhoneNum", d.PhoneNum, "13012345678")
	check.Equal(t, "ErrCode", d.ErrCode, "DELIVERED")
	check.True(t, "Content has the code", strings.Contains(d.Content, "123456"), d.Content)
}

func TestSDKSendSmsVerifyCode(t *testing.T) {
	f := sdkFixture(t)
	c, err := dypnsapi.NewClientWithOptions("cn-hangzhou", f.config(), credentials.NewStsTokenCredential("STS.id", "testsecret", "to/ken+=="))
	if err != nil {
		t.Fatal(err)
	}
	r := dypnsapi.CreateSendSmsVerifyCodeRequest()
	r.Scheme, r.Domain = requests.HTTP, f.domain()
	r.PhoneNumber, r.SignName, r.TemplateCode, r.TemplateParam, r.OutId = "13012345678", "s", "100001", `{"code":"1234","min":"5"}`, "out"
	sent, err := c.SendSmsVerifyCode(r)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "Success", sent.Success, true)
	check.Equal(t, "Code", sent.Code, "OK")
	check.True(t, "BizId is set", sent.Model.BizId != "", sent)
	check.Equal(t, "OutId", sent.Model.OutId, "out")

	q := dypnsapi.CreateQuerySendDetailsRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	q.PhoneNumber, q.SendDate = "13012345678", f.Inbox("")[0].At.In(chinaTime).Format("20060102")
	q.PageSize, q.CurrentPage = requests.NewInteger(50), requests.NewInteger(1)
	found, err := c.QuerySendDetails(q)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "Code of the query", found.Code, "OK")
	check.Equal(t, "Success of the query", found.Success, true)
	check.Equal(t, "TotalCount", found.TotalCount, 1)
	if len(found.Model) != 1 {
		t.Fatalf("the details are %+v, want those of 1 message", found.Model)
	}
	check.Equal(t, "OutId in the details", found.Model[0].OutId, "out")

	r.TemplateCode = "x"
	if sent, err = c.SendSmsVerifyCode(r); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "Success with a wrong template", sent.Success, false)
	check.Equal(t, "Code with a wrong template", sent.Code, "isv.SMS_TEMPLATE_ILLEGAL")
	r.PhoneNumber = "85212345678"
	_, err = c.SendSmsVerifyCode(r)
	if server, ok := errors.AsType[*sdkerrors.ServerError](err); !ok || server.ErrorCode() != "MOBILE_NUMBER_ILLEGAL" {
		t.Errorf("the error of a number overseas is %v, want MOBILE_NUMBER_ILLEGAL", err)
	}
}

func TestSDKMail(t *testing.T) {
	f := sdkFixture(t)
	c, err := dm.NewClientWithOptions("cn-hangzhou", f.config(), credentials.NewAccessKeyCredential("testid", "testsecret"))
	if err != nil {
		t.Fatal(err)
	}
	r := dm.CreateSingleSendMailRequest()
	r.Scheme, r.Domain = requests.HTTP, f.domain()
	r.AccountName, r.AddressType, r.ReplyToAddress = "a@example.com", "1", "false"
	html := "<p>代码 123456 & ~*+%</p>" + strings.Repeat("x", 200<<10)
	r.FormParams["ToAddress"], r.FormParams["Subject"], r.FormParams["HtmlBody"] = "b@example.com", "s", html
	sent, err := c.SingleSendMail(r)
	if err != nil {
		t.Fatal(err)
	}
	check.True(t, "EnvId is set", sent.EnvId != "", sent)
	check.True(t, "RequestId is set", sent.RequestId != "", sent)
	m := f.Inbox("b@example.com")
	if len(m) != 1 {
		t.Fatalf("the inbox has %d messages, want 1", len(m))
	}
	if m[0].HTMLBody != html {
		t.Errorf("the HTML has changed: %d bytes, want %d", len(m[0].HTMLBody), len(html))
	}

	q := dm.CreateDescAccountSummaryRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	sum, err := c.DescAccountSummary(q)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "DailyQuota", sum.DailyQuota, 2000)
}

func TestSDKErrors(t *testing.T) {
	f := sdkFixture(t)
	_, err := f.sms("wrong").SendSms(f.smsRequest())
	server, ok := errors.AsType[*sdkerrors.ServerError](err)
	if !ok {
		t.Fatalf("the error is %v, want one of the server", err)
	}
	check.Equal(t, "the code", server.ErrorCode(), "SignatureDoesNotMatch")
	check.Equal(t, "the status", server.HttpStatus(), 400)
	check.True(t, "RequestId is set", server.RequestId() != "", err)
	// The SDK says this if both sides signed the same string.
	if !strings.Contains(server.Recommend(), "InvalidAccessKeySecret") {
		t.Errorf("the SDK signed another string: %s", server.Message())
	}

	f.setFaults(Fault{Body: new(""), Count: 1}, Fault{HTTPStatus: 502, Count: 1})
	if sent, err := f.sms("testsecret").SendSms(f.smsRequest()); err != nil || sent.Code != "" {
		t.Errorf("an empty 200: %+v, %v", sent, err)
	}
	if _, err := f.sms("testsecret").SendSms(f.smsRequest()); err == nil {
		t.Error("a 502 was no error")
	}
	f.wantInbox(0)
}
