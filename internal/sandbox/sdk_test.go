package sandbox

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
	if err != nil || sent.Code != "OK" || sent.BizId == "" || sent.RequestId == "" {
		t.Fatalf("%+v, %v", sent, err)
	}
	if m := f.Inbox("13012345678"); len(m) != 1 || m[0].SignName != "示例 *~+" || m[0].TemplateParam != `{"code":"123456"}` {
		t.Errorf("%+v", m)
	}

	q := dysmsapi.CreateQuerySendDetailsRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	q.PhoneNumber, q.SendDate = "13012345678", f.Inbox("")[0].At.In(chinaTime).Format("20060102")
	q.PageSize, q.CurrentPage = requests.NewInteger(50), requests.NewInteger(1)
	found, err := f.sms("testsecret").QuerySendDetails(q)
	if err != nil || found.Code != "OK" || found.TotalCount != "1" {
		t.Fatalf("%+v, %v", found, err)
	}
	d := found.SmsSendDetailDTOs.SmsSendDetailDTO[0]
	if d.OutId != "out" || d.SendStatus != 3 || d.PhoneNum != "13012345678" || d.ErrCode != "DELIVERED" || !strings.Contains(d.Content, "123456") {
		t.Errorf("%+v", d)
	}
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
	if err != nil || !sent.Success || sent.Code != "OK" || sent.Model.BizId == "" || sent.Model.OutId != "out" {
		t.Fatalf("%+v, %v", sent, err)
	}

	q := dypnsapi.CreateQuerySendDetailsRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	q.PhoneNumber, q.SendDate = "13012345678", f.Inbox("")[0].At.In(chinaTime).Format("20060102")
	q.PageSize, q.CurrentPage = requests.NewInteger(50), requests.NewInteger(1)
	found, err := c.QuerySendDetails(q)
	if err != nil || found.Code != "OK" || !found.Success || found.TotalCount != 1 || len(found.Model) != 1 || found.Model[0].OutId != "out" {
		t.Errorf("%+v, %v", found, err)
	}

	r.TemplateCode = "x"
	if sent, err = c.SendSmsVerifyCode(r); err != nil || sent.Success || sent.Code != "isv.SMS_TEMPLATE_ILLEGAL" {
		t.Errorf("%+v, %v", sent, err)
	}
	r.PhoneNumber = "85212345678"
	_, err = c.SendSmsVerifyCode(r)
	if server, ok := errors.AsType[*sdkerrors.ServerError](err); !ok || server.ErrorCode() != "MOBILE_NUMBER_ILLEGAL" {
		t.Errorf("%v", err)
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
	if err != nil || sent.EnvId == "" || sent.RequestId == "" {
		t.Fatalf("%+v, %v", sent, err)
	}
	if m := f.Inbox("b@example.com"); len(m) != 1 || m[0].HTMLBody != html {
		t.Errorf("%d messages", len(m))
	}

	q := dm.CreateDescAccountSummaryRequest()
	q.Scheme, q.Domain = requests.HTTP, f.domain()
	if sum, err := c.DescAccountSummary(q); err != nil || sum.DailyQuota != 2000 {
		t.Errorf("%+v, %v", sum, err)
	}
}

func TestSDKErrors(t *testing.T) {
	f := sdkFixture(t)
	_, err := f.sms("wrong").SendSms(f.smsRequest())
	server, ok := errors.AsType[*sdkerrors.ServerError](err)
	if !ok || server.ErrorCode() != "SignatureDoesNotMatch" || server.HttpStatus() != 400 || server.RequestId() == "" {
		t.Fatalf("%v", err)
	}
	// The SDK says so where both sides signed the same string.
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
