package sendgrid

import (
	"github.com/sendgrid/sendgrid-go/helpers/mail"

	"github.com/codeferry/codeferry/sender"
)

// newMail makes the body of POST /v3/mail/send.
func (c *connector) newMail(m *sender.Message) *mail.SGMailV3 {
	to := &mail.Personalization{To: []*mail.Email{mail.NewEmail("", m.To)}}
	out := &mail.SGMailV3{
		From:             mail.NewEmail(m.FromAlias, c.fromEmail),
		Subject:          m.Subject,
		Personalizations: []*mail.Personalization{to},
		TrackingSettings: noTracking(),
	}
	// SendGrid requires text/plain before text/html, and no empty part.
	if m.Text != "" {
		out.AddContent(mail.NewContent(string(sender.TextPlain), m.Text))
	}
	if m.HTML != "" {
		out.AddContent(mail.NewContent(string(sender.TextHTML), m.HTML))
	}
	if c.replyTo != "" {
		out.SetReplyTo(mail.NewEmail("", c.replyTo))
	}
	if m.ID != "" {
		out.SetCustomArg("id", m.ID) // each event of the Event Webhook has it
	}
	return out
}

// noTracking turns off what an account may have turned on for its newsletters: rewritten
// links, a tracking picture, and an unsubscribe link. A user who follows an unsubscribe
// link would get no code again.
func noTracking() *mail.TrackingSettings {
	return mail.NewTrackingSettings().
		SetClickTracking(mail.NewClickTrackingSetting().SetEnable(false).SetEnableText(false)).
		SetOpenTracking(mail.NewOpenTrackingSetting().SetEnable(false)).
		SetSubscriptionTracking(mail.NewSubscriptionTrackingSetting().SetEnable(false)).
		SetGoogleAnalytics(mail.NewGaSetting().SetEnable(false))
}
