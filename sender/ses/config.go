// Package ses sends email through Amazon SES (API v2, SendEmail).
package ses

import (
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Config is Logto's aws-ses connector, field for field, and what codeferry adds
// to it.
type Config struct {
	AccessKeyID     sender.Secret `yaml:"accessKeyId"`
	AccessKeySecret sender.Secret `yaml:"accessKeySecret"`
	// Region is the AWS region whose SES sends, such as eu-west-1. Identities,
	// quotas and the sandbox are each region's own.
	Region string `yaml:"region"`
	// EmailAddress is the sender: no-reply@example.com, or with a name that may hold
	// placeholders: Example <no-reply@example.com>. Default: the address that
	// EmailAddressIdentityArn names, where it names one and no domain.
	EmailAddress string `yaml:"emailAddress"`
	// EmailAddressIdentityArn is another account's identity that lets this one send
	// as EmailAddress (sending authorization).
	EmailAddressIdentityArn string `yaml:"emailAddressIdentityArn"`
	// FeedbackForwardingEmailAddress gets the bounces and complaints. Default: the
	// sender, as SES does it.
	FeedbackForwardingEmailAddress string `yaml:"feedbackForwardingEmailAddress"`
	// FeedbackForwardingEmailAddressIdentityArn is another account's identity that
	// lets this one use FeedbackForwardingEmailAddress.
	FeedbackForwardingEmailAddressIdentityArn string `yaml:"feedbackForwardingEmailAddressIdentityArn"`
	// ConfigurationSetName is the configuration set to send with. Default: the
	// identity's own, if it has one.
	ConfigurationSetName string                `yaml:"configurationSetName"`
	Templates            []sender.MailTemplate `yaml:"templates"`

	// FromAlias is the sender's name, where EmailAddress has none. It may hold
	// placeholders; of more than 64 characters the rest is cut.
	FromAlias string `yaml:"fromAlias"`
	// ReplyTo is where replies go, with or without a name. Default: to the sender.
	ReplyTo string `yaml:"replyTo"`
	// SessionToken belongs to temporary keys from STS.
	SessionToken sender.Secret `yaml:"sessionToken"`
	// Endpoint replaces the region's host; http:// is for a stand-in only.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request. Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
}

// maxFromAlias is how many characters of a sender's name are kept: a mail program
// shows no more, and a header has its limits.
const maxFromAlias = 64

// What AWS takes: the patterns of its API reference.
var (
	regionName       = regexp.MustCompile(`^[a-z]{2,}(-[a-z]+)+-[0-9]+$`)
	identityArn      = regexp.MustCompile(`^arn:aws[a-z-]*:ses:[a-z0-9-]+:[0-9]{12}:identity/(.+)$`)
	configurationSet = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)
)

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := sender.Required(
		"accessKeyId", c.AccessKeyID.Reveal(),
		"accessKeySecret", c.AccessKeySecret.Reveal(),
		"region", c.Region,
	)
	add := func(path, format string, args ...any) {
		problems = append(problems, sender.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	for _, key := range []struct {
		path   string
		secret sender.Secret
	}{{"accessKeyId", c.AccessKeyID}, {"accessKeySecret", c.AccessKeySecret}, {"sessionToken", c.SessionToken}} {
		if strings.ContainsFunc(key.secret.Reveal(), notInKey) {
			add(key.path, "holds a space, a line break or what is no ASCII; no key of AWS does")
		}
	}
	if c.Region != "" && !regionName.MatchString(c.Region) {
		add("region", "%q is no AWS region such as us-east-1", c.Region)
	}
	from, problem := c.from()
	if problem != "" {
		add("emailAddress", "%s", problem)
	}
	switch n := utf8.RuneCountInString(c.FromAlias); {
	case c.FromAlias == "":
	case c.FromAlias != from.Name:
		add("fromAlias", "stands beside the name in emailAddress; give one of them")
	case n > maxFromAlias && !strings.Contains(c.FromAlias, "{{"):
		add("fromAlias", "has %d characters; it takes at most %d", n, maxFromAlias)
	}
	for _, arn := range []struct{ path, value string }{
		{"emailAddressIdentityArn", c.EmailAddressIdentityArn},
		{"feedbackForwardingEmailAddressIdentityArn", c.FeedbackForwardingEmailAddressIdentityArn},
	} {
		if arn.value != "" && !identityArn.MatchString(arn.value) {
			add(arn.path, "%q is no identity's ARN, such as arn:aws:ses:us-east-1:123456789012:identity/example.com", arn.value)
		}
	}
	if a := c.FeedbackForwardingEmailAddress; a != "" {
		if parsed, err := parseAddress(a); err != nil || parsed.Name != "" {
			add("feedbackForwardingEmailAddress", "%q is no bare email address", a)
		}
	}
	if c.ReplyTo != "" {
		if _, err := parseAddress(c.ReplyTo); err != nil {
			add("replyTo", "%q %v", c.ReplyTo, err)
		}
	}
	if c.ConfigurationSetName != "" && !configurationSet.MatchString(c.ConfigurationSetName) {
		add("configurationSetName", "%q is no name of a configuration set: letters, digits, _ and -, 64 at most", c.ConfigurationSetName)
	}
	if c.Endpoint != "" {
		if _, err := parseEndpoint(c.Endpoint); err != nil {
			add("endpoint", "%v", err)
		}
	}
	_, wrong := sender.ParseMails(from.Name, c.Templates)
	return append(problems, wrong...)
}

func notInKey(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || r == 0x7f }

// Warnings reports templates that are hardly meant as they are.
func (c *Config) Warnings() []sender.Problem { return sender.MailWarnings(c.Templates) }

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	from, problem := c.from()
	if problem != "" {
		return nil, fmt.Errorf("emailAddress %s", problem)
	}
	mails, problems := sender.ParseMails(from.Name, c.Templates)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s %s", problems[0].Path, problems[0].Text)
	}
	client, err := newClient(c)
	if err != nil {
		return nil, fmt.Errorf("endpoint %w", err)
	}
	replyTo, err := optionalAddress(c.ReplyTo)
	if err != nil {
		return nil, fmt.Errorf("replyTo %w", err)
	}
	feedback, err := optionalAddress(c.FeedbackForwardingEmailAddress)
	if err != nil {
		return nil, fmt.Errorf("feedbackForwardingEmailAddress %w", err)
	}
	secrets := []string{c.AccessKeyID.Reveal(), c.AccessKeySecret.Reveal(), c.SessionToken.Reveal()}
	return &connector{
		client: client, mails: mails, from: from.Address, fromArn: c.EmailAddressIdentityArn,
		feedback: feedback.Address, feedbackArn: c.FeedbackForwardingEmailAddressIdentityArn,
		replyTo: replyTo, configurationSet: c.ConfigurationSetName,
		secrets: func() []string { return secrets },
	}, nil
}
