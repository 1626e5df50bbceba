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
	"github.com/codeferry/codeferry/sender/internal/address"
)

type connector struct {
	client *client
	mails  *sender.Mails
	// from and feedback are addresses without a name; feedback can be empty.
	from, feedback       string
	fromArn, feedbackArn string
	replyTo              mail.Address
	configurationSet     string
	// secrets returns the secrets, which no error may hold. It is a function, so printing
	// a connector does not show them: fmt does not call the methods of a Secret in an
	// unexported field.
	secrets func() []string
}

// From returns the address that mail comes from.
func (c *connector) From() string { return c.from }

// Render fills in the template for the message's type.
func (c *connector) Render(m *messages.SendCode) (*sender.Message, error) {
	out, err := c.mails.Render(m)
	if err != nil {
		return nil, err
	}
	if !address.IsASCII(out.To) { // its domain always is
		return nil, sender.Invalid("the recipient's address %v, and SES takes only ASCII", address.ErrLocal)
	}
	return out, nil
}

// idTag is the message tag with which SES's events show a message's id. A tag's value
// takes only some characters (API reference, MessageTag).
const idTag = "codeferry-id"

var tagValue = regexp.MustCompile(`^[A-Za-z0-9_-]{1,256}$`)

// Send calls SendEmail.
func (c *connector) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	out, a, err := call(ctx, c.client, m.NotAfter, c.client.ses.SendEmail, c.email(m))
	if err != nil {
		return sender.Receipt{}, c.failure(err, a, m)
	}
	if aws.ToString(out.MessageId) == "" {
		return sender.Receipt{}, &sender.Error{
			Class: sender.Unknown, Scope: sender.ScopeConnector, Code: "SDK.NoMessageId", RequestID: a.requestID(),
			Detail: "the provider's answer means success, but has no message id",
		}
	}
	return sender.Receipt{ProviderID: *out.MessageId, RequestID: a.requestID()}, nil
}

// email returns the request for a message. Empty values are omitted.
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
