// Package aliyundm sends email through Aliyun DirectMail (SingleSendMail).
package aliyundm

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/internal/address"
)

// Config is Logto's aliyun-dm connector, field for field, and what codeferry
// adds to it.
type Config struct {
	aliyun.Account `yaml:",inline"`

	// AccountName is a sender address (发信地址) of the DirectMail console.
	AccountName string `yaml:"accountName"`
	// FromAlias is the sender's name, of fewer than 15 characters. It may hold
	// placeholders; a name that they make too long is cut.
	FromAlias string                `yaml:"fromAlias"`
	Templates []sender.MailTemplate `yaml:"templates"`
}

// maxFromAlias is the first length, in characters, that FromAlias must not have.
const maxFromAlias = 15

// Channel returns email.
func (*Config) Channel() messages.Channel { return messages.Email }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := append(c.KeyProblems(), sender.Required("accountName", c.AccountName)...)
	add := func(path, format string, args ...any) {
		problems = append(problems, sender.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if _, err := address.Bare(c.AccountName); c.AccountName != "" && err != nil {
		add("accountName", "%q %v; use a sender address of the DirectMail console", c.AccountName, err)
	}
	if n := utf8.RuneCountInString(c.FromAlias); n >= maxFromAlias && !strings.Contains(c.FromAlias, "{{") {
		add("fromAlias", "has %d characters; Aliyun takes fewer than %d", n, maxFromAlias)
	}
	problems = append(problems, aliyun.ValidateEndpoint(aliyun.DirectMail, c.RegionID, c.Endpoint)...)
	_, wrong := sender.ParseMails(c.FromAlias, c.Templates)
	return append(problems, wrong...)
}

// Warnings reports valid templates that are probably mistakes.
func (c *Config) Warnings() []sender.Problem { return sender.MailWarnings(c.Templates) }

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	mails, problems := sender.ParseMails(c.FromAlias, c.Templates)
	if len(problems) > 0 {
		return nil, fmt.Errorf("%s %s", problems[0].Path, problems[0].Text)
	}
	client, err := c.Connect(aliyun.DirectMail)
	if err != nil {
		return nil, err
	}
	from, err := address.Bare(c.AccountName)
	if err != nil {
		return nil, fmt.Errorf("accountName %w", err)
	}
	return &connector{client: client, mails: mails, accountName: from.Addr}, nil
}
