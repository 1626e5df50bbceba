package aliyun_test

import (
	"context"
	"net/http"
	"testing"

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
func form(number string) map[string]string {
	return map[string]string{
		"PhoneNumbers": number, "SignName": "示例 签名", "TemplateCode": "SMS_123456789",
		"TemplateParam": `{"code":"` + code + `"}`, "OutId": "out-1",
	}
}

const (
	phone = "13012345678"
	code  = "Qx7z9K"
)

// private is what no URL and no error may hold.
var private = []string{phone, code, `{"code":"` + code + `"}`}

// send sends an SMS, as a connector does.
func send(ctx context.Context, c *aliyun.Client, form map[string]string) error {
	resp := dysmsapi.CreateSendSmsResponse()
	if err := c.Do(ctx, dysmsapi.CreateSendSmsRequest(), form, resp); err != nil {
		return err
	}
	if resp.Code != "OK" {
		return aliyun.NewError(resp.Code, resp.Message, resp.RequestId, http.StatusOK, form)
	}
	return nil
}
