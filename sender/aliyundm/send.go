package aliyundm

import (
	"context"
	"net/http"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/dm"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

type connector struct {
	client      *aliyun.Client
	mails       *sender.Mails
	accountName string
}

// From returns the address that mail comes from.
func (c *connector) From() string { return c.accountName }

// Render fills in the template for the message's type.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	return c.mails.Render(m)
}

var (
	singleSendMail     = aliyun.NewAction(dm.CreateSingleSendMailRequest())
	descAccountSummary = aliyun.NewAction(dm.CreateDescAccountSummaryRequest())
)

// Send calls SingleSendMail.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	params := aliyun.Params{
		{Name: "AccountName", Value: c.accountName},
		{Name: "AddressType", Value: "1"},        // AccountName is a sender address
		{Name: "ReplyToAddress", Value: "false"}, // replies go to the sender address
		{Name: "ToAddress", Value: m.To},
		{Name: "Subject", Value: m.Subject},
	}
	params = params.With("HtmlBody", m.HTML).With("TextBody", m.Text).With("FromAlias", cut(m.FromAlias))
	resp := dm.CreateSingleSendMailResponse()
	if err := c.client.DoBefore(ctx, m.NotAfter, singleSendMail, params, resp); err != nil {
		return sender.Receipt{}, err
	}
	if resp.EnvId == "" {
		return sender.Receipt{}, aliyun.NewError("", "", resp.RequestId, http.StatusOK, params)
	}
	return sender.Receipt{ProviderID: resp.EnvId, RequestID: resp.RequestId}, nil
}

// cut shortens a sender's name to the length that Aliyun takes.
func cut(fromAlias string) string {
	if r := []rune(fromAlias); len(r) >= maxFromAlias {
		return string(r[:maxFromAlias-1])
	}
	return fromAlias
}

// Check calls DescAccountSummary, which sends nothing.
func (c *connector) Check(ctx context.Context) error {
	resp := dm.CreateDescAccountSummaryResponse()
	client, explain := c.client.ForCheck()
	if err := client.Do(ctx, descAccountSummary, nil, resp); err != nil {
		return explain(err)
	}
	if resp.RequestId == "" {
		return explain(aliyun.NewError("", "", "", http.StatusOK, nil)) // this answer is not from Aliyun
	}
	return nil
}
