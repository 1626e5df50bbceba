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
	// Region is the AWS region of SES, such as eu-west-1. Each region has its own
	// identities, quotas and sandbox.
	Region string `yaml:"region"`
	// EmailAddress is the sender: no-reply@example.com, or with a name that can hold
	// placeholders: Example <no-reply@example.com>. Default: the address in
	// EmailAddressIdentityArn, if that names an address.
	EmailAddress string `yaml:"emailAddress"`
	// EmailAddressIdentityArn is another account's identity that allows this account to
	// send as EmailAddress (sending authorization).
	EmailAddressIdentityArn string `yaml:"emailAddressIdentityArn"`
	// FeedbackForwardingEmailAddress receives bounces and complaints. Default: the sender.
	FeedbackForwardingEmailAddress string `yaml:"feedbackForwardingEmailAddress"`
	// FeedbackForwardingEmailAddressIdentityArn is another account's identity that allows
	// this account to use FeedbackForwardingEmailAddress.
	FeedbackForwardingEmailAddressIdentityArn string `yaml:"feedbackForwardingEmailAddressIdentityArn"`
	// ConfigurationSetName is the configuration set to use. Default: that of the identity,
	// if it has one.
	ConfigurationSetName string                `yaml:"configurationSetName"`
	Templates            []sender.MailTemplate `yaml:"templates"`

	// FromAlias is the sender's name, if EmailAddress has none. It can hold placeholders.
	// A name is cut after 64 characters.
	FromAlias string `yaml:"fromAlias"`
	// ReplyTo is the address for replies, with or without a name. Default: the sender.
	ReplyTo string `yaml:"replyTo"`
	// SessionToken is the session token of temporary keys from STS.
	SessionToken sender.Secret `yaml:"sessionToken"`
	// Endpoint replaces the region's host; http:// is for a fake provider only.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request. Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
	// NetHTTP makes all requests by Go's net/http. Requests through a proxy always use it.
	// Default: false, which uses codeferry's own connections.
	NetHTTP bool `yaml:"netHTTP"`
}

// maxFromAlias is how many characters of a sender's name are kept: mail programs show no
// more, and the length of a header is limited.
const maxFromAlias = 64

// The patterns of AWS's API reference.
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
	c.validateKeys(add)
	if c.Region != "" && !regionName.MatchString(c.Region) {
		add("region", "%q is not an AWS region such as us-east-1", c.Region)
	}
	name := c.validateFrom(add)
	c.validateFeedback(add)
	if c.ReplyTo != "" {
		if _, err := parseAddress(c.ReplyTo); err != nil {
			add("replyTo", "%q %v", c.ReplyTo, err)
		}
	}
	if c.ConfigurationSetName != "" && !configurationSet.MatchString(c.ConfigurationSetName) {
		add("configurationSetName", "%q is not a configuration set's name; it takes at most 64 letters, digits, _ and -", c.ConfigurationSetName)
	}
	if c.Endpoint != "" {
		if _, err := parseEndpoint(c.Endpoint); err != nil {
			add("endpoint", "%v", err)
		}
	}
	_, wrong := sender.ParseMails(name, c.Templates)
	return append(problems, wrong...)
}

// adder adds a problem to a list.
type adder func(path, format string, args ...any)

func (c *Config) validateKeys(add adder) {
	for _, key := range []struct {
		path   string
		secret sender.Secret
	}{{"accessKeyId", c.AccessKeyID}, {"accessKeySecret", c.AccessKeySecret}, {"sessionToken", c.SessionToken}} {
		if strings.ContainsFunc(key.secret.Reveal(), notInKey) {
			add(key.path, "holds a space, a line break or a character that is not ASCII; keys of AWS have none of them")
		}
	}
}

// validateFrom checks the sender, and returns its name.
func (c *Config) validateFrom(add adder) (name string) {
	from, problem := c.from()
	if problem != "" {
		add("emailAddress", "%s", problem)
	}
	switch n := utf8.RuneCountInString(c.FromAlias); {
	case c.FromAlias == "":
	case c.FromAlias != from.Name:
		add("fromAlias", "can't be set if emailAddress has a name; remove one of them")
	case n > maxFromAlias && !strings.Contains(c.FromAlias, "{{"):
		add("fromAlias", "has %d characters; it takes at most %d", n, maxFromAlias)
	}
	return from.Name
}

// validateFeedback checks the address for bounces and complaints, and the ARNs of
// identities.
func (c *Config) validateFeedback(add adder) {
	for _, arn := range []struct{ path, value string }{
		{"emailAddressIdentityArn", c.EmailAddressIdentityArn},
		{"feedbackForwardingEmailAddressIdentityArn", c.FeedbackForwardingEmailAddressIdentityArn},
	} {
		if arn.value != "" && !identityArn.MatchString(arn.value) {
			add(arn.path, "%q is not an identity's ARN, such as arn:aws:ses:us-east-1:123456789012:identity/example.com", arn.value)
		}
	}
	if a := c.FeedbackForwardingEmailAddress; a != "" {
		if parsed, err := parseAddress(a); err != nil || parsed.Name != "" {
			add("feedbackForwardingEmailAddress", "%q is not an email address without a name", a)
		}
	}
}

func notInKey(r rune) bool { return r <= ' ' || r > unicode.MaxASCII || r == 0x7f }

// Warnings reports valid templates that are probably mistakes.
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
