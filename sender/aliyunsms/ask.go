package aliyunsms

import (
	"context"
	"net/http"
	"strconv"
	"time"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dysmsapi"

	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Ask looks for the message among what was sent to its number, by QuerySendDetails.
func (c *connector) Ask(ctx context.Context, m *sender.Message, since time.Time) (r sender.Receipt, found bool, err error) {
	return aliyun.FindSent(ctx, m.ID, since, c.sentTo(m.To))
}

// Check calls QuerySendDetails, which sends nothing.
func (c *connector) Check(ctx context.Context) error {
	return aliyun.CheckSent(ctx, c.sentTo(aliyun.CheckNumber))
}

var querySendDetails = aliyun.NewAction(dysmsapi.CreateQuerySendDetailsRequest())

// sentTo queries what was sent to a number.
func (c *connector) sentTo(number string) aliyun.SentQuery {
	return func(ctx context.Context, day string, page, size int) (sent aliyun.Sent, err error) {
		resp := dysmsapi.CreateQuerySendDetailsResponse()
		params := aliyun.QueryParams(number, day, page, size)
		if err := c.client.Do(ctx, querySendDetails, params, resp); err != nil {
			return sent, err
		}
		if resp.Code != codeOK {
			return sent, aliyun.NewError(resp.Code, resp.Message, resp.RequestId, http.StatusOK, params)
		}
		sent = aliyun.Sent{Total: -1, RequestID: resp.RequestId}
		if total, err := strconv.Atoi(resp.TotalCount); err == nil {
			sent.Total = total
		}
		for _, d := range resp.SmsSendDetailDTOs.SmsSendDetailDTO {
			sent.OutIDs = append(sent.OutIDs, d.OutId)
		}
		return sent, nil
	}
}
