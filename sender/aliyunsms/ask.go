package aliyunsms

import (
	"context"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Ask looks for the message among those sent to its number, by QuerySendDetails.
func (c *connector) Ask(ctx context.Context, m *sender.Message, since time.Time) (r sender.Receipt, found bool, err error) {
	return aliyun.FindSent(ctx, m.ID, since, sentTo(c.client, m.To))
}

// Check calls QuerySendDetails, which sends nothing.
func (c *connector) Check(ctx context.Context) error {
	client, explain := c.client.ForCheck()
	return explain(aliyun.CheckSent(ctx, sentTo(client, aliyun.CheckNumber)))
}

var querySendDetails = aliyun.NewAction(dysmsapi.CreateQuerySendDetailsRequest())

// sentTo returns a query for the messages sent to a number.
func sentTo(client *aliyun.Client, number string) aliyun.SentQuery {
	return func(ctx context.Context, day string, page, size int) (sent aliyun.Sent, err error) {
		resp := dysmsapi.CreateQuerySendDetailsResponse()
		params := aliyun.QueryParams(number, day, page, size)
		if err := client.Do(ctx, querySendDetails, params, resp); err != nil {
			return sent, err
		}
		if err := aliyun.CodeError(resp.Code, resp.Message, resp.RequestId, params); err != nil {
			return sent, err
		}
		sent.RequestID = resp.RequestId
		if sent.Total, err = aliyun.ReadTotal(resp.TotalCount, resp.RequestId); err != nil {
			return sent, err
		}
		for _, d := range resp.SmsSendDetailDTOs.SmsSendDetailDTO {
			sent.OutIDs = append(sent.OutIDs, d.OutId)
		}
		return sent, nil
	}
}
