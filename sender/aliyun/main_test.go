package aliyun_test

import (
	"context"
	"net/http"
	"testing"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// options are those of a client that the sandbox accepts.
func options(endpoint string) aliyun.Account {
	return aliyun.Account{
		AccessKeyID: sender.NewSecret(sandbox.DefaultKeyID), AccessKeySecret: sender.NewSecret(sandbox.DefaultKeySecret),
		RegionID: "cn-hangzhou", Endpoint: endpoint,
	}
}

func newClient(t testing.TB, o aliyun.Account) *aliyun.Client {
	t.Helper()
	c, err := aliyun.NewClient(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// form is an SMS to a number.
func form(number string) aliyun.Params {
	return aliyun.Params{
		{Name: "PhoneNumbers", Value: number},
		{Name: "SignName", Value: "示例 签名"},
		{Name: "TemplateCode", Value: "SMS_123456789"},
		{Name: "TemplateParam", Value: `{"code":"` + code + `"}`},
		{Name: "OutId", Value: "out-1"},
	}
}

// The actions that the tests call.
var (
	sendSms            = aliyun.NewAction(dysmsapi.CreateSendSmsRequest())
	singleSendMail     = aliyun.NewAction(dm.CreateSingleSendMailRequest())
	descAccountSummary = aliyun.NewAction(dm.CreateDescAccountSummaryRequest())
)

const (
	phone = "13012345678"
	code  = "Qx7z9K"
)

// private is what no URL and no error may hold.
var private = []string{phone, code, `{"code":"` + code + `"}`}

// send sends an SMS, as a connector does.
func send(ctx context.Context, c *aliyun.Client, form aliyun.Params) error {
	resp := dysmsapi.CreateSendSmsResponse()
	if err := c.Do(ctx, sendSms, form, resp); err != nil {
		return err
	}
	if resp.Code != "OK" {
		return aliyun.NewError(resp.Code, resp.Message, resp.RequestId, http.StatusOK, form)
	}
	return nil
}
