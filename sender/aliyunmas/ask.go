package aliyunmas

import (
	"context"
	"net/http"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dypnsapi"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Ask looks for the message among what was sent to its number, by Dypnsapi's own
// QuerySendDetails: SMS's, of the same name and version, belongs to another
// product and does not know these messages. CheckSmsVerifyCode is of no use here,
// since it knows only codes that Aliyun has made.
func (c *connector) Ask(ctx context.Context, m *sender.Message, since time.Time) (r sender.Receipt, found bool, err error) {
	return aliyun.FindSent(ctx, m.ID, since, c.sentTo(m.To))
}

// Check calls QuerySendDetails, which sends nothing. Keys of a RAM user need
// dypns:QuerySendDetails for it, beside dypns:SendSmsVerifyCode.
func (c *connector) Check(ctx context.Context) error {
	return aliyun.CheckSent(ctx, c.sentTo(aliyun.CheckNumber))
}

// details is QuerySendDetails' answer. The SDK's own type has no RequestId, and
// makes 0 of a TotalCount that is not there.
type details struct {
	*responses.BaseResponse
	Code       string
	Message    string
	RequestID  string `json:"RequestId"`
	TotalCount *int
	Model      []dypnsapi.ModelItem
}

var querySendDetails = aliyun.NewAction(dypnsapi.CreateQuerySendDetailsRequest())

// sentTo queries what was sent to a number.
func (c *connector) sentTo(number string) aliyun.SentQuery {
	return func(ctx context.Context, day string, page, size int) (sent aliyun.Sent, err error) {
		resp := &details{BaseResponse: new(responses.BaseResponse)}
		params := aliyun.QueryParams(number, day, page, size)
		if err := c.client.Do(ctx, querySendDetails, params, resp); err != nil {
			return sent, err
		}
		if resp.Code != codeOK {
			return sent, aliyun.NewError(resp.Code, resp.Message, resp.RequestID, http.StatusOK, params)
		}
		sent = aliyun.Sent{Total: -1, RequestID: resp.RequestID}
		if resp.TotalCount != nil {
			sent.Total = *resp.TotalCount
		}
		for _, d := range resp.Model {
			sent.OutIDs = append(sent.OutIDs, d.OutId)
		}
		return sent, nil
	}
}
