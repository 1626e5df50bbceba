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

// Render fills the template for the message's type in.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	return c.mails.Render(m)
}

// Send calls SingleSendMail.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	form := map[string]string{
		"AccountName":    c.accountName,
		"AddressType":    "1",     // AccountName is a sender address
		"ReplyToAddress": "false", // replies go to the sender address
		"ToAddress":      m.To,
		"Subject":        m.Subject,
	}
	for name, value := range map[string]string{"HtmlBody": m.HTML, "TextBody": m.Text, "FromAlias": cut(m.FromAlias)} {
		if value != "" {
			form[name] = value
		}
	}
	resp := dm.CreateSingleSendMailResponse()
	if err := c.client.Do(ctx, dm.CreateSingleSendMailRequest(), form, resp); err != nil {
		return sender.Receipt{}, err
	}
	if resp.EnvId == "" {
		return sender.Receipt{}, aliyun.NewError("", "", resp.RequestId, http.StatusOK, form)
	}
	return sender.Receipt{ProviderID: resp.EnvId, RequestID: resp.RequestId}, nil
}

// cut keeps of a sender's name what Aliyun takes.
func cut(fromAlias string) string {
	if r := []rune(fromAlias); len(r) >= maxFromAlias {
		return string(r[:maxFromAlias-1])
	}
	return fromAlias
}

// Check calls DescAccountSummary, which sends nothing.
func (c *connector) Check(ctx context.Context) error {
	resp := dm.CreateDescAccountSummaryResponse()
	if err := c.client.Do(ctx, dm.CreateDescAccountSummaryRequest(), nil, resp); err != nil {
		return err
	}
	if resp.RequestId == "" {
		return aliyun.NewError("", "", "", http.StatusOK, nil) // whoever answered, it was not Aliyun
	}
	return nil
}
