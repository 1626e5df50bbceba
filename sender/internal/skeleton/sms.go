package skeleton

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"github.com/codeferry/codeferry/internal/phone"
	"github.com/codeferry/codeferry/internal/template"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// TextTemplate is a template for SMS: the provider has its text, and we fill in its variables.
// A connector for SMS has these in place of sender.MailTemplate; one for email has no sms.go.
type TextTemplate struct {
	UsageType messages.Type `yaml:"usageType"`
	// Locale is the template's language (BCP 47). Default: that of every user whose
	// language no other template has.
	Locale string `yaml:"locale"`
	// TemplateCode is the template's name at the provider.
	TemplateCode string `yaml:"templateCode"`
	// Vars are its variables, with placeholders. Default: code is {{code}}.
	Vars map[string]string `yaml:"vars"`
}

// Texts are a connector's templates, parsed: what sender.Mails is for email.
type Texts struct{ templates sender.Templates[text] }

type text struct {
	code string
	vars map[string]*template.Template
}

// ParseTexts parses templates, and reports everything that is wrong with them.
func ParseTexts(all []TextTemplate) (*Texts, []sender.Problem) {
	keys := make([]sender.TemplateKey, len(all))
	for i, t := range all {
		keys[i] = sender.TemplateKey{UsageType: t.UsageType, Locale: t.Locale}
	}
	problems := sender.CheckTemplates(keys)
	texts := new(Texts)
	for i, t := range all {
		missing := sender.Required(fmt.Sprintf("templates[%d].templateCode", i), t.TemplateCode)
		if problems = append(problems, missing...); len(missing) > 0 {
			continue
		}
		vars := t.Vars
		if len(vars) == 0 {
			vars = map[string]string{"code": "{{code}}"}
		}
		parsed := text{code: t.TemplateCode, vars: make(map[string]*template.Template, len(vars))}
		for name, src := range vars {
			parsed.vars[name] = template.Line(src)
		}
		texts.templates.Add(keys[i], parsed)
	}
	return texts, problems
}

// Render fills in the template for the message's type.
func (ts *Texts) Render(m *messages.SendCode) (*sender.Message, error) {
	number, err := phone.Parse(m.To, false)
	if err != nil {
		return nil, sender.Invalid("the recipient %v", err) // phone's errors never hold the number
	}
	to := "+" + number.Digits
	if number.Mainland {
		to = "+86" + number.Digits
	}
	t, ok := ts.templates.For(m)
	if !ok {
		return nil, sender.Invalid("there is no template for %s", m.Type)
	}
	out := &sender.Message{ID: m.ID, To: to, Template: t.code, TemplateCode: t.code}
	values := make(map[string]string, len(t.vars))
	for _, name := range slices.Sorted(maps.Keys(t.vars)) {
		value, missing, err := t.vars[name].Render(m.Payload)
		if err != nil {
			return nil, sender.Invalid("the template for %s: %v", m.Type, err)
		}
		values[name] = value
		out.Missing = append(out.Missing, missing...)
	}
	params, err := json.Marshal(values)
	if err != nil {
		return nil, sender.Invalid("the variables make no JSON")
	}
	out.TemplateParam = string(params)
	return out, nil
}
