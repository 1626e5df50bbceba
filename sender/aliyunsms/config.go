// Package aliyunsms sends SMS through Aliyun (SendSms).
package aliyunsms

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
)

// Config is Logto's aliyun-sms connector, field for field, and what codeferry
// adds to it.
type Config struct {
	aliyun.Account `yaml:",inline"`

	// SignName is the reviewed signature (签名名称).
	SignName  string     `yaml:"signName"`
	Templates []Template `yaml:"templates"`
	// StrictPhoneRegionNumberCheck treats a number as a mainland one only if it begins
	// with +86, 0086 or 86. Default: false, which also treats 11 digits that begin with 1
	// as a mainland number.
	StrictPhoneRegionNumberCheck bool `yaml:"strictPhoneRegionNumberCheck"`
}

// Template names the reviewed template of a usage type.
type Template struct {
	UsageType messages.Type `yaml:"usageType"`
	// Locale is the template's language (BCP 47). Default: that of every user whose
	// language no other template has.
	Locale string `yaml:"locale"`
	// TemplateCode is a template's code such as SMS_123456789 (模板 CODE), or one
	// for mainland numbers and one for all others.
	TemplateCode TemplateCode `yaml:"templateCode"`
	// Type is Aliyun's template type: 0 notification, 1 promotion, 2 code (the default), 6
	// international, 7 digits only. A code's template takes only the variable code.
	Type *TemplateType `yaml:"type"`
}

// TemplateType is Aliyun's type of a template.
type TemplateType int

// TypeCode is the type of a verification code's template, which has exactly one variable.
const TypeCode TemplateType = 2

func (t Template) templateType() TemplateType {
	if t.Type == nil {
		return TypeCode
	}
	return *t.Type
}

// UnmarshalText reads Logto's number, with or without quotes.
func (t *TemplateType) UnmarshalText(text []byte) error {
	for _, n := range []TemplateType{0, 1, 2, 6, 7} {
		if string(text) == strconv.Itoa(int(n)) {
			*t = n
			return nil
		}
	}
	return fmt.Errorf("%q is not a template type; it takes 0 (notification), 1 (promotion), 2 (code), 6 (international) or 7 (digits only)", text)
}

// TemplateCode is a template's code for mainland numbers and for others. A plain string
// in the configuration sets both.
type TemplateCode struct {
	China    string `yaml:"china"`
	Overseas string `yaml:"overseas"`
}

// UnmarshalText reads one code for all numbers.
func (t *TemplateCode) UnmarshalText(text []byte) error {
	t.China, t.Overseas = string(text), string(text)
	return nil
}

var codePattern = regexp.MustCompile(`^SMS_[0-9]+$`)

// Channel returns sms.
func (*Config) Channel() messages.Channel { return messages.SMS }

// Validate reports everything that is wrong.
func (c *Config) Validate() []sender.Problem {
	problems := append(c.KeyProblems(), sender.Required("signName", c.SignName)...)
	problems = append(problems, aliyun.ValidateEndpoint(aliyun.SMS, c.RegionID, c.Endpoint)...)
	keys := make([]sender.TemplateKey, len(c.Templates))
	for i, t := range c.Templates {
		keys[i] = sender.TemplateKey{UsageType: t.UsageType, Locale: t.Locale}
		path := fmt.Sprintf("templates[%d].templateCode", i)
		if t.TemplateCode == (TemplateCode{}) {
			problems = append(problems, sender.Problem{Path: path, Text: "is required: a code such as SMS_123456789, or {china: …, overseas: …}"})
		}
		for _, code := range t.TemplateCode.distinct() {
			if !codePattern.MatchString(code) {
				problems = append(problems, sender.Problem{Path: path, Text: fmt.Sprintf("%q is not a template code such as SMS_123456789", code)})
			}
		}
	}
	return append(problems, sender.CheckTemplates(keys)...)
}

func (t TemplateCode) distinct() []string {
	var codes []string
	if t.China != "" {
		codes = append(codes, t.China)
	}
	if t.Overseas != "" && t.Overseas != t.China {
		codes = append(codes, t.Overseas)
	}
	return codes
}

// New makes the connector.
func (c *Config) New() (sender.Sender, error) {
	client, err := c.Connect(aliyun.SMS)
	if err != nil {
		return nil, err
	}
	s := &connector{
		client: client, signName: c.SignName, strict: c.StrictPhoneRegionNumberCheck,
		templates: new(sender.Templates[Template]), filled: make(map[string]bool),
	}
	for _, t := range c.Templates {
		if t.templateType() != TypeCode {
			s.filled[t.TemplateCode.China], s.filled[t.TemplateCode.Overseas] = true, true
		}
		s.templates.Add(sender.TemplateKey{UsageType: t.UsageType, Locale: t.Locale}, t)
	}
	return s, nil
}
