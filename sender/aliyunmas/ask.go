package aliyunmas

import (
	"context"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/responses"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/dypnsapi"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Ask looks for the message among those sent to its number. It uses Dypnsapi's own
// QuerySendDetails: the action of SMS with the same name and version belongs to another
// product and does not know these messages. CheckSmsVerifyCode does not help, since it
// knows only codes that Aliyun made.
func (c *connector) Ask(ctx context.Context, m *sender.Message, since time.Time) (r sender.Receipt, found bool, err error) {
	return aliyun.FindSent(ctx, m.ID, since, sentTo(c.client, m.To))
}

// Check calls QuerySendDetails, which sends nothing. A RAM user's keys need the
// permission dypns:QuerySendDetails for it, in addition to dypns:SendSmsVerifyCode.
func (c *connector) Check(ctx context.Context) error {
	client, explain := c.client.ForCheck()
	return explain(aliyun.CheckSent(ctx, sentTo(client, aliyun.CheckNumber)))
}

// details is the answer of QuerySendDetails. The SDK's own type has no RequestId, and
// reads a missing TotalCount as 0.
type details struct {
	*responses.BaseResponse
	Code       string
	Message    string
	RequestID  string `json:"RequestId"`
	TotalCount *int
	Model      []dypnsapi.ModelItem
}

var querySendDetails = aliyun.NewAction(dypnsapi.CreateQuerySendDetailsRequest())

// sentTo returns a query for the messages sent to a number.
func sentTo(client *aliyun.Client, number string) aliyun.SentQuery {
	return func(ctx context.Context, day string, page, size int) (sent aliyun.Sent, err error) {
		resp := &details{BaseResponse: new(responses.BaseResponse)}
		params := aliyun.QueryParams(number, day, page, size)
		if err := client.Do(ctx, querySendDetails, params, resp); err != nil {
			return sent, err
		}
		if err := aliyun.CodeError(resp.Code, resp.Message, resp.RequestID, params); err != nil {
			return sent, err
		}
		sent = aliyun.Sent{Total: -1, RequestID: resp.RequestID}
		if resp.TotalCount != nil {
			if sent.Total, err = aliyun.ReadTotal(strconv.Itoa(*resp.TotalCount), resp.RequestID); err != nil {
				return sent, err
			}
		}
		for _, d := range resp.Model {
			sent.OutIDs = append(sent.OutIDs, d.OutId)
		}
		return sent, nil
	}
}
