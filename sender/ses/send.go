package ses

import (
	"context"
	"net/mail"
	"regexp"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/sesv2"
	"github.com/aws/aws-sdk-go-v2/service/sesv2/types"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

type connector struct {
	client *client
	mails  *sender.Mails
	// from and feedback are bare addresses; feedback may be empty.
	from, feedback       string
	fromArn, feedbackArn string
	replyTo              mail.Address
	configurationSet     string
	// secrets returns what no error may hold. It is a function, so that printing a
	// connector shows none: fmt does not ask a Secret in an unexported field.
	secrets func() []string
}

// Render fills the template for the message's type in.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	out, err := c.mails.Render(m)
	if err != nil {
		return nil, err
	}
	if out.To, err = ascii(out.To); err != nil {
		return nil, sender.Invalid("the recipient's address %v", err)
	}
	return out, nil
}

// idTag is the message tag that carries a message's id to SES's events; a value
// takes no other characters (API reference, MessageTag).
const idTag = "codeferry-id"

var tagValue = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// Send calls SendEmail.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	out, a, err := call(ctx, c.client, c.client.ses.SendEmail, c.email(m))
	if err != nil {
		return sender.Receipt{}, c.failure(err, a, m)
	}
	if aws.ToString(out.MessageId) == "" {
		return sender.Receipt{}, &sender.Error{
			Class: sender.Unknown, Code: "SDK.NoMessageId", RequestID: a.requestID(),
			Detail: "the provider's answer is a success without a message id",
		}
	}
	return sender.Receipt{ProviderID: *out.MessageId, RequestID: a.requestID()}, nil
}

// email is the request for a message. What has nothing to say stays away.
func (c *connector) email(m *sender.Message) *sesv2.SendEmailInput {
	in := &sesv2.SendEmailInput{
		Content: &types.EmailContent{Simple: &types.Message{
			Subject: text(m.Subject),
			Body:    &types.Body{Html: text(m.HTML), Text: text(m.Text)},
		}},
		Destination:                               &types.Destination{ToAddresses: []string{m.To}},
		FromEmailAddress:                          aws.String(written(m.FromAlias, c.from)),
		FromEmailAddressIdentityArn:               given(c.fromArn),
		FeedbackForwardingEmailAddress:            given(c.feedback),
		FeedbackForwardingEmailAddressIdentityArn: given(c.feedbackArn),
		ConfigurationSetName:                      given(c.configurationSet),
	}
	if c.replyTo.Address != "" {
		in.ReplyToAddresses = []string{written(c.replyTo.Name, c.replyTo.Address)}
	}
	if tagValue.MatchString(m.ID) {
		in.EmailTags = []types.MessageTag{{Name: aws.String(idTag), Value: aws.String(m.ID)}}
	}
	return in
}

func text(s string) *types.Content {
	if s == "" {
		return nil
	}
	return &types.Content{Data: aws.String(s), Charset: aws.String("UTF-8")}
}

func given(s string) *string {
	if s == "" {
		return nil
	}
	return aws.String(s)
}
