package aliyunmas

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dypnsapi"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

type connector struct {
	client     *aliyun.Client
	signName   string
	schemeName string
	minutes    int
	autoRetry  *bool
	templates  *sender.Templates[TemplateCode]
}

var sendSmsVerifyCode = aliyun.NewAction(dypnsapi.CreateSendSmsVerifyCodeRequest())

// answer is SendSmsVerifyCode's answer. The SDK's own type has no RequestId, and reads an
// answer without Success as a failure.
type answer struct {
	*responses.BaseResponse
	Code      string
	Message   string
	RequestID string `json:"RequestId"`
	Success   *bool
	Model     dypnsapi.Model
}

// Send calls SendSmsVerifyCode.
//
// ValidTime tells Aliyun how long it may try again by itself, so it is set to the code's
// remaining time. Interval, CodeLength, CodeType and DuplicatePolicy are not set. They
// are for codes that Aliyun makes and checks, or their defaults are better: an Interval
// below the default meets the carriers' own limit of one message a minute.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	params := aliyun.Params{
		{Name: "PhoneNumber", Value: m.To},
		{Name: "CountryCode", Value: "86"},
		{Name: "SignName", Value: c.signName},
		{Name: "TemplateCode", Value: m.TemplateCode},
		{Name: "TemplateParam", Value: m.TemplateParam},
		{Name: "OutId", Value: m.ID},
	}
	params = params.With("SchemeName", c.schemeName)
	if seconds := validTime(m.TemplateParam); seconds > 0 {
		params = params.With("ValidTime", strconv.Itoa(seconds))
	}
	if c.autoRetry != nil {
		params = params.With("AutoRetry", map[bool]string{false: "0", true: "1"}[*c.autoRetry])
	}
	resp := &answer{BaseResponse: new(responses.BaseResponse)}
	if err := c.client.DoBefore(ctx, m.NotAfter, sendSmsVerifyCode, params, resp); err != nil {
		return sender.Receipt{}, err
	}
	if err := aliyun.CodeError(resp.Code, resp.Message, resp.RequestID, params); err != nil {
		return sender.Receipt{}, err
	}
	if resp.Success != nil && !*resp.Success {
		return sender.Receipt{}, &sender.Error{
			Class: sender.Unknown, Scope: sender.ScopeConnector, Code: resp.Code, Detail: "the provider's answer has the code OK, but Success is false", RequestID: resp.RequestID,
		}
	}
	return sender.Receipt{ProviderID: resp.Model.BizId, RequestID: resp.RequestID}, nil
}

// validTime returns how long a code is valid, in seconds; 0 if its parameters do not say.
func validTime(templateParam string) int {
	var p params
	if json.Unmarshal([]byte(templateParam), &p) != nil {
		return 0
	}
	minutes, err := strconv.Atoi(p.Min)
	if err != nil {
		return 0
	}
	return minutes * 60
}
