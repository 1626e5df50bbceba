package aliyun_test

import (
	"context"
	"testing"

	"github.com/codeferry/codeferry/internal/testmain"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

// options returns an account that the fake accepts.
func options(endpoint string) aliyun.Account {
	return aliyun.Account{
		AccessKeyID: sender.NewSecret(fakealiyun.DefaultKeyID), AccessKeySecret: sender.NewSecret(fakealiyun.DefaultKeySecret),
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

// form returns the parameters of an SMS to a number.
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
	return aliyun.CodeError(resp.Code, resp.Message, resp.RequestId, form)
}
