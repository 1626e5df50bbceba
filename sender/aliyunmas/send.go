package aliyunmas

import (
	"context"
	"encoding/json"
	"net/http"
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

// codeOK is the only Code that means success.
const codeOK = "OK"

// answer is SendSmsVerifyCode's. The SDK's own type has no RequestId, and takes
// an answer without Success for a failure.
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
// Aliyun takes ValidTime for how long it may try again by itself, so it is told
// when the code is no longer good. Interval, CodeLength, CodeType and
// DuplicatePolicy speak of codes that Aliyun makes and checks, or are better left
// as they are: an Interval below the default meets the carriers' own limit of one
// message a minute.
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
	if err := c.client.Do(ctx, sendSmsVerifyCode, params, resp); err != nil {
		return sender.Receipt{}, err
	}
	switch {
	case resp.Code != codeOK:
		return sender.Receipt{}, aliyun.NewError(resp.Code, resp.Message, resp.RequestID, http.StatusOK, params)
	case resp.Success != nil && !*resp.Success:
		return sender.Receipt{}, &sender.Error{
			Class: sender.Unknown, Code: codeOK, Detail: "the provider's answer says OK, and that it is no success", RequestID: resp.RequestID,
		}
	}
	return sender.Receipt{ProviderID: resp.Model.BizId, RequestID: resp.RequestID}, nil
}

// validTime returns how many seconds a code is good for, and 0 where its
// parameters do not say.
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
