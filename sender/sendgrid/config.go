// Package sendgrid sends email through Twilio SendGrid (POST /v3/mail/send).
//
// SendGrid accepts a mail to an address on one of the account's suppression lists
// (bounces, blocks, spam reports, unsubscribes) with 202, like any other, and drops it.
// Only its Event Webhook reports that, by an event "dropped" with the message's id in the
// custom argument "id".
package sendgrid

import (
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/address"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Config is Logto's sendgrid connector, field for field, and what codeferry adds
// to it.
type Config struct {
	// APIKey is a key with the permission Mail Send; it begins with "SG.".
	APIKey sender.Secret `yaml:"apiKey"`
	// FromEmail is the sender address: a verified Single Sender, or one of an
	// authenticated domain. SendGrid takes only ASCII; an international domain is written
	// in Punycode.
	FromEmail string `yaml:"fromEmail"`
	// FromName is the sender's name. It can hold placeholders. Default: none.
	FromName  string     `yaml:"fromName"`
	Templates []Template `yaml:"templates"`

	// ReplyTo is the address for replies. Default: FromEmail.
	ReplyTo string `yaml:"replyTo"`
	// Endpoint is the URL of the API: https://api.eu.sendgrid.com for the EU's regional
	// subusers. http:// is for a fake provider only. Default: https://api.sendgrid.com.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request, from the connection to the answer's last byte.
	// Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
	// NetHTTP makes all requests by Go's net/http. Requests through a proxy always use it.
	// Default: false, which uses codeferry's own connections.
	NetHTTP bool `yaml:"netHTTP"`
}

// Template is an email template with Logto's name for its content type.
type Template struct {
	// Type is the type of Content. contentType can be set instead. Default: text/html.
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
		add("apiKey", "holds a space, a line break or another character that keys do not have")
	}
	if _, err := ownAddress(c.FromEmail); err != nil {
		add("fromEmail", fmt.Sprintf("%q %v; use a verified sender address, without a name and in ASCII before the @", c.FromEmail, err))
	}
	if _, err := ownAddress(c.ReplyTo); err != nil {
		add("replyTo", fmt.Sprintf("%q %v; use an address without a name and in ASCII before the @", c.ReplyTo, err))
	}
	if _, err := parseEndpoint(c.Endpoint); err != nil {
		add("endpoint", err.Error())
	}
	if c.Timeout < 0 {
		add("timeout", "is negative; it takes a duration such as 10s")
	}
	for i, t := range c.Templates {
		if t.Type != "" && t.ContentType != "" && t.Type != t.ContentType {
			add(fmt.Sprintf("templates[%d].contentType", i), fmt.Sprintf("is %s, but type is %s; set one of them", t.ContentType, t.Type))
		}
	}
	_, wrong := sender.ParseMails(c.FromName, c.mailTemplates())
	return append(problems, wrong...)
}

// Warnings reports valid templates that are probably mistakes, and an unencrypted
// connection to the provider.
func (c *Config) Warnings() []sender.Problem {
	warnings := sender.MailWarnings(c.mailTemplates())
	if u, err := parseEndpoint(c.Endpoint); err == nil && u.Scheme == "http" && !httpclient.IsThisMachine(u.Hostname()) {
		warnings = append(warnings, sender.Problem{Path: "endpoint", Text: "is http://, which sends the key and the codes unencrypted; it is for a fake provider only"})
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
	from, err := ownAddress(c.FromEmail)
	if err != nil {
		return nil, fmt.Errorf("fromEmail %w", err)
	}
	replyTo, err := ownAddress(c.ReplyTo)
	if err != nil {
		return nil, fmt.Errorf("replyTo %w", err)
	}
	return &connector{client: newClient(endpoint, c.APIKey, c.Timeout, httpclient.Options{NetHTTP: c.NetHTTP}), mails: mails, fromEmail: from, replyTo: replyTo}, nil
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

// ownAddress returns one of our addresses as SendGrid takes it: without a name, and in
// ASCII ("Unicode encoding is not supported for the from field"). It is empty if s is.
func ownAddress(s string) (string, error) {
	if s == "" {
		return "", nil
	}
	a, err := address.Bare(s)
	if err != nil {
		return "", err
	}
	return a.ASCII()
}

// parseEndpoint returns the URL of an endpoint; if it is empty, that of SendGrid.
func parseEndpoint(endpoint string) (*url.URL, error) {
	if endpoint == "" {
		endpoint = defaultEndpoint
	}
	return httpclient.ParseEndpoint(endpoint, defaultEndpoint+", https://api.eu.sendgrid.com, or http://127.0.0.1:3000 for a fake")
}
