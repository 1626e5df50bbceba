// Package sendgrid sends email through Twilio SendGrid (POST /v3/mail/send).
//
// SendGrid accepts a mail to an address on one of the account's suppression lists
// (bounces, blocks, spam reports, unsubscribes) as any other, with 202, and drops
// it. Only its Event Webhook tells, by an event "dropped", which has the message's
// id as its custom argument "id".
package sendgrid

import (
	"fmt"
	"net"
	"net/mail"
	"net/url"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/exchange"
)

// Config is Logto's sendgrid connector, field for field, and what codeferry adds
// to it.
type Config struct {
	// APIKey is a key with the permission Mail Send; it begins with "SG.".
	APIKey sender.Secret `yaml:"apiKey"`
	// FromEmail is the sender address: a verified Single Sender, or one of an
	// authenticated domain. SendGrid takes ASCII only.
	FromEmail string `yaml:"fromEmail"`
	// FromName is the sender's name, and may hold placeholders. Default: none.
	FromName  string     `yaml:"fromName"`
	Templates []Template `yaml:"templates"`

	// ReplyTo is the address that answers go to. Default: FromEmail.
	ReplyTo string `yaml:"replyTo"`
	// Endpoint is where the API is: https://api.eu.sendgrid.com for the EU's regional
	// subusers; http:// is for a stand-in only. Default: https://api.sendgrid.com.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request, from the connection to the answer's last byte.
	// Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
}

// Template is an email template with Logto's name for its content type.
type Template struct {
	// Type is what Content is; ContentType may be given in its place. Default:
	// text/html.
	Type                sender.ContentType `yaml:"type"`
	sender.MailTemplate `yaml:",inline"`
}

const (
	defaultEndpoint = "https://api.sendgrid.com"
	defaultTimeout  = 10 * time.Second
)

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := sender.Required("apiKey", c.APIKey.Reveal(), "fromEmail", c.FromEmail)
	add := func(path, text string) { problems = append(problems, sender.Problem{Path: path, Text: text}) }
	if strings.ContainsFunc(c.APIKey.Reveal(), func(r rune) bool { return r <= ' ' || r > '~' }) {
		add("apiKey", "holds a space, a line break or another character that no key has")
	}
	if c.FromEmail != "" && !isAddress(c.FromEmail) {
		add("fromEmail", fmt.Sprintf("%q is no email address that SendGrid takes; it is a verified sender address, without a name and in ASCII", c.FromEmail))
	}
	if c.ReplyTo != "" && !isAddress(c.ReplyTo) {
		add("replyTo", fmt.Sprintf("%q is no email address that SendGrid takes; it has no name and is in ASCII", c.ReplyTo))
	}
	if _, err := parseEndpoint(c.Endpoint); err != nil {
		add("endpoint", err.Error())
	}
	if c.Timeout < 0 {
		add("timeout", "is negative; it takes a duration such as 10s")
	}
	for i, t := range c.Templates {
		if t.Type != "" && t.ContentType != "" && t.Type != t.ContentType {
			add(fmt.Sprintf("templates[%d].contentType", i), fmt.Sprintf("is %s beside a type of %s; give one of them", t.ContentType, t.Type))
		}
	}
	_, wrong := sender.ParseMails(c.FromName, c.mailTemplates())
	return append(problems, wrong...)
}

// Warnings reports templates that are hardly meant as they are, and a way to the
// provider on which everyone can read along.
func (c *Config) Warnings() []sender.Problem {
	warnings := sender.MailWarnings(c.mailTemplates())
	if u, err := parseEndpoint(c.Endpoint); err == nil && u.Scheme == "http" && !isLoopback(u.Hostname()) {
		warnings = append(warnings, sender.Problem{Path: "endpoint", Text: "is http://: the key and the codes travel for everyone to read; it is for a stand-in only"})
	}
	return warnings
}

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	mails, problems := sender.ParseMails(c.FromName, c.mailTemplates())
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s %s", problems[0].Path, problems[0].Text)
	}
	endpoint, err := parseEndpoint(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %w", err)
	}
	return &connector{client: newClient(endpoint, c.APIKey, c.Timeout), mails: mails, fromEmail: c.FromEmail, replyTo: c.ReplyTo}, nil
}

func (c *Config) mailTemplates() []sender.MailTemplate {
	out := make([]sender.MailTemplate, len(c.Templates))
	for i, t := range c.Templates {
		out[i] = t.MailTemplate
		if t.Type != "" {
			out[i].ContentType = t.Type
		}
	}
	return out
}

// isAddress tells whether SendGrid takes s as an address of ours: bare, and in
// ASCII ("Unicode encoding is not supported for the from field").
func isAddress(s string) bool {
	a, err := mail.ParseAddress(s)
	return err == nil && a.Address == s && !strings.ContainsFunc(s, func(r rune) bool { return r > '~' })
}

// parseEndpoint returns the URL of an endpoint; without one, SendGrid's own.
func parseEndpoint(endpoint string) (*url.URL, error) {
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	return exchange.ParseEndpoint(endpoint, defaultEndpoint+", https://api.eu.sendgrid.com, or http://127.0.0.1:3000 for a stand-in")
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
