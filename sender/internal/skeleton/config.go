// Package skeleton is a connector to copy for a new one; docs/adding-a-connector.md
// explains it. Its provider does not exist. It takes a mail by POST /messages, with a key
// in the header Authorization. It answers with 201 and {"id":"…"}, or with another status
// and {"code":"…","message":"…"}. GET /messages?name=… answers with 200 and
// {"found":true,"id":"…"} or {"found":false}.
package skeleton

import (
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/internal/address"
	"github.com/codeferry/codeferry/sender/internal/httpclient"
)

// Config is the connector's part of codeferry.yaml.
type Config struct {
	// APIKey is sent with each request.
	APIKey sender.Secret `yaml:"apiKey"`
	// FromEmail is the sender address.
	FromEmail string                `yaml:"fromEmail"`
	Templates []sender.MailTemplate `yaml:"templates"`

	// Endpoint is the URL of the API. Default: https://api.mail.example.
	Endpoint string `yaml:"endpoint"`
	// Timeout bounds a request, from the connection to the answer's last byte. Default: 10s.
	Timeout time.Duration `yaml:"timeout"`
	// NetHTTP makes the requests by Go's net/http. Default: false.
	NetHTTP bool `yaml:"netHTTP"`
}

const (
	defaultEndpoint = "https://api.mail.example"
	defaultTimeout  = 10 * time.Second
)

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := sender.Required("apiKey", c.APIKey.Reveal(), "fromEmail", c.FromEmail)
	add := func(path, text string) { problems = append(problems, sender.Problem{Path: path, Text: text}) }
	if _, err := address.Bare(c.FromEmail); err != nil && c.FromEmail != "" {
		add("fromEmail", fmt.Sprintf("%q %v", c.FromEmail, err))
	}
	if c.Endpoint != "" {
		if _, err := httpclient.ParseEndpoint(c.Endpoint, defaultEndpoint); err != nil {
			add("endpoint", err.Error())
		}
	}
	if c.Timeout < 0 {
		add("timeout", "is negative; it takes a duration such as 10s")
	}
	_, wrong := sender.ParseMails("", c.Templates)
	return append(problems, wrong...)
}

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	mails, problems := sender.ParseMails("", c.Templates)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s %s", problems[0].Path, problems[0].Text)
	}
	where := c.Endpoint
	if where == "" {
		where = defaultEndpoint
	}
	endpoint, err := httpclient.ParseEndpoint(where, defaultEndpoint)
	if err != nil {
		return nil, fmt.Errorf("endpoint %w", err)
	}
	from, err := address.Bare(c.FromEmail)
	if err != nil {
		return nil, fmt.Errorf("fromEmail %w", err)
	}
	timeout := c.Timeout
	if timeout == 0 {
		timeout = defaultTimeout
	}
	return &connector{
		http: httpclient.New(httpclient.Options{NetHTTP: c.NetHTTP}), url: endpoint.JoinPath("messages"),
		key: c.APIKey, from: from.Addr, timeout: timeout, mails: mails,
	}, nil
}
