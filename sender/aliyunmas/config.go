// Package aliyunmas sends verification codes by SMS through Aliyun's message
// authentication (短信认证), a part of its phone number verification (Dypnsapi 2017-05-25,
// SendSmsVerifyCode). Aliyun provides the signature and the templates, and they need no
// review. The code is ours. It serves only numbers of mainland China.
package aliyunmas

import (
	"fmt"
	"regexp"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Config is Logto's aliyun-sms-mas connector, field for field, and what codeferry
// adds to it.
type Config struct {
	aliyun.Account `yaml:",inline"`

	// SignName is one of the signatures that the console provides (赠送签名).
	SignName  string     `yaml:"signName"`
	Templates []Template `yaml:"templates"`

	// Minutes fills in ${min}, how long the code is valid, for a message with neither
	// payload.min nor expiresAt. 0 omits min, for templates without it. Default: 10, as in
	// Logto.
	Minutes *int `yaml:"minutes"`
	// SchemeName names the scheme (方案名称), in at most 20 characters. Default: Aliyun's
	// default scheme.
	SchemeName string `yaml:"schemeName"`
	// AutoRetry lets Aliyun try again by itself, with another carrier or signature, if a
	// carrier refuses the message, until the code expires. Default: Aliyun's default,
	// which is true.
	AutoRetry *bool `yaml:"autoRetry"`
}

// Template names Aliyun's template for a usage type.
type Template struct {
	UsageType messages.Type `yaml:"usageType"`
	// Locale is the template's language (BCP 47). Default: that of every user whose
	// language no other template has.
	Locale string `yaml:"locale"`
	// TemplateCode is a template's code (模板 CODE): a number such as 100001 for the
	// templates that Aliyun provides (赠送模板).
	TemplateCode TemplateCode `yaml:"templateCode"`
}

// TemplateCode is a template's code. In a configuration it needs no quotes.
type TemplateCode string

// UnmarshalText takes a number as it is written.
func (t *TemplateCode) UnmarshalText(text []byte) error {
	*t = TemplateCode(text)
	return nil
}

var codePattern = regexp.MustCompile(`^(?:SMS_)?[0-9]+$`)

const (
	defaultMinutes = 10
	// maxMinutes is a day: no code is valid for longer.
	maxMinutes = 24 * 60
	// maxSchemeName is the maximum length of a scheme's name, in characters.
	maxSchemeName = 20
)

// Channel returns sms.
func (*Config) Channel() messages.Channel { return messages.SMS }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := append(c.KeyProblems(), sender.Required("signName", c.SignName)...)
	add := func(path, format string, args ...any) {
		problems = append(problems, sender.Problem{Path: path, Text: fmt.Sprintf(format, args...)})
	}
	if n := c.minutes(); n < 0 || n > maxMinutes {
		add("minutes", "%d is out of range; it takes 1 to %d, or 0 for templates without ${min}", n, maxMinutes)
	}
	if n := utf8.RuneCountInString(c.SchemeName); n > maxSchemeName {
		add("schemeName", "has %d characters; Aliyun takes at most %d", n, maxSchemeName)
	}
	problems = append(problems, aliyun.ValidateEndpoint(aliyun.PhoneVerification, c.RegionID, c.Endpoint)...)
	keys := make([]sender.TemplateKey, len(c.Templates))
	for i, t := range c.Templates {
		keys[i] = sender.TemplateKey{UsageType: t.UsageType, Locale: t.Locale}
		path := fmt.Sprintf("templates[%d].templateCode", i)
		switch {
		case t.TemplateCode == "":
			add(path, "is required: a code such as 100001")
		case !codePattern.MatchString(string(t.TemplateCode)):
			add(path, "%q is not a template code such as 100001", t.TemplateCode)
		}
	}
	return append(problems, sender.CheckTemplates(keys)...)
}

func (c *Config) minutes() int {
	if c.Minutes == nil {
		return defaultMinutes
	}
	return *c.Minutes
}

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	client, err := c.Connect(aliyun.PhoneVerification)
	if err != nil {
		return nil, err
	}
	s := &connector{
		client: client, signName: c.SignName, schemeName: c.SchemeName, minutes: c.minutes(), autoRetry: c.AutoRetry,
		templates: new(sender.Templates[TemplateCode]),
	}
	for _, t := range c.Templates {
		s.templates.Add(sender.TemplateKey{UsageType: t.UsageType, Locale: t.Locale}, t.TemplateCode)
	}
	return s, nil
}
