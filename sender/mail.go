package sender

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/codeferry/codeferry/internal/template"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender/internal/address"
)

// MailTemplate is an email template with the fields of Logto's connectors and codeferry's
// own. Content or ContentFile must be set.
type MailTemplate struct {
	UsageType messages.Type `yaml:"usageType"`
	// Locale is the template's language (BCP 47). Default: that of every user whose
	// language no other template has.
	Locale string `yaml:"locale"`
	// ContentType is what Content is. Default: text/html.
	ContentType ContentType `yaml:"contentType"`
	Subject     string      `yaml:"subject"`
	Content     string      `yaml:"content"`
	ContentFile TextFile    `yaml:"contentFile"`
	// Text is the plain-text part of an HTML mail. Default: made from the HTML.
	Text string `yaml:"text"`
}

// ContentType is the type of a template's content.
type ContentType string

// The content types.
const (
	TextHTML  ContentType = "text/html"
	TextPlain ContentType = "text/plain"
)

// UnmarshalText reads one of the values.
func (c *ContentType) UnmarshalText(text []byte) error {
	return ReadOneOf(c, text, TextPlain, TextHTML)
}

func (t MailTemplate) key() TemplateKey { return TemplateKey{t.UsageType, t.Locale} }

func (t MailTemplate) content() string {
	if t.ContentFile != "" {
		return string(t.ContentFile)
	}
	return t.Content
}

// maxSubject is the maximum length of a subject, in characters. It is Aliyun's limit, and
// no mail program shows more.
const maxSubject = 256

// Mails holds a connector's parsed email templates.
type Mails struct {
	templates Templates[mail]
	fromAlias *template.Template
}

type mail struct {
	// name is Message.Template.
	name string
	// usage is the type that it is for: Generic's is also used for types without their own.
	usage               messages.Type
	subject, html, text *template.Template
}

// ParseMails parses a connector's email templates, and returns all their problems.
// fromAlias is the sender's name, which may also hold placeholders; empty for none.
func ParseMails(fromAlias string, templates []MailTemplate) (*Mails, []Problem) {
	keys := make([]TemplateKey, len(templates))
	for i, t := range templates {
		keys[i] = t.key()
	}
	problems := CheckTemplates(keys)
	ms := &Mails{fromAlias: template.Line(fromAlias)}
	for i, t := range templates {
		m, wrong := t.parse(fmt.Sprintf("templates[%d].", i))
		if problems = append(problems, wrong...); len(wrong) == 0 {
			ms.templates.Add(t.key(), m)
		}
	}
	return ms, problems
}

func (t MailTemplate) parse(path string) (m mail, problems []Problem) {
	problems = Required(path+"subject", t.Subject)
	switch {
	case t.Content != "" && t.ContentFile != "":
		problems = append(problems, Problem{path + "contentFile", "can't be set together with content; set one of them"})
	case t.content() == "":
		problems = append(problems, Problem{path + "content", "is required, unless contentFile is set"})
	}
	m.usage = t.UsageType.Canonical()
	m.name = TemplateKey{m.usage, t.Locale}.String()
	m.subject = template.Line(t.Subject)
	if t.ContentType == TextPlain {
		if t.Text != "" {
			problems = append(problems, Problem{path + "text", "can't be set together with a content of type text/plain; remove text"})
		}
		return m, append(problems, m.parseText(path+"content", template.PlainText, t.content())...)
	}
	html, err := template.HTML(t.content())
	if err != nil {
		return m, append(problems, Problem{path + "content", err.Error()})
	}
	m.html = html
	if t.Text == "" {
		return m, append(problems, m.parseText(path+"content", template.Text, t.content())...)
	}
	return m, append(problems, m.parseText(path+"text", template.PlainText, t.Text)...)
}

// parseText parses the plain-text part.
func (m *mail) parseText(path string, parse func(string) (*template.Template, error), src string) []Problem {
	text, err := parse(src)
	if err != nil {
		return []Problem{{path, err.Error()}}
	}
	m.text = text
	return nil
}

// Render fills in the template for m's type and language. The result has ID, To (with its
// domain in ASCII), Template, Subject, FromAlias, Text and, unless the template is
// text/plain, HTML. The error is an *Error of class Permanent.
func (ms *Mails) Render(m *messages.SendCode) (*Message, error) {
	t, ok := ms.templates.For(m)
	if !ok {
		return nil, Invalid("there is no template for %s, and none for Generic", m.Type)
	}
	to, err := address.Bare(m.To)
	if err != nil {
		return nil, Invalid("the recipient %v", err)
	}
	out := &Message{ID: m.ID, To: to.Addr, Template: t.name}
	for _, part := range []struct {
		from *template.Template
		to   *string
	}{{t.subject, &out.Subject}, {ms.fromAlias, &out.FromAlias}, {t.html, &out.HTML}, {t.text, &out.Text}} {
		if part.from == nil {
			continue
		}
		text, missing, err := part.from.Render(m.Payload)
		if err != nil {
			return nil, renderError(t.shown(m.Type), err)
		}
		*part.to = text
		if part.from != t.text || t.html == nil { // the text part has the same placeholders as the HTML
			out.Missing = append(out.Missing, missing...)
		}
	}
	if n := utf8.RuneCountInString(out.Subject); n > maxSubject {
		return nil, Invalid("the subject for %s has %d characters; it takes at most %d", m.Type, n, maxSubject)
	}
	return out, nil
}

// shown names the template in an error about a message of a type.
func (m *mail) shown(t messages.Type) string {
	if m.usage != t.Canonical() {
		return fmt.Sprintf("template %s (there is none for %s)", m.name, t)
	}
	return "template " + m.name
}

func renderError(what string, err error) *Error {
	if missing, ok := errors.AsType[*template.MissingError](err); ok {
		return Invalid("%s: %v", what, missing)
	}
	return Invalid("%s can't be rendered: %v", what, err)
}

// MailWarnings reports probable mistakes in valid email templates: a mail without its
// code, and braces that are not a placeholder.
func MailWarnings(templates []MailTemplate) []Problem {
	var out []Problem
	for i, t := range templates {
		path := fmt.Sprintf("templates[%d].", i)
		uses := false
		for _, part := range []struct{ name, text string }{{"subject", t.Subject}, {"content", t.content()}, {"text", t.Text}} {
			for _, name := range template.Plain(part.text).Variables() {
				uses = uses || name == "code" || name == "link"
			}
			for _, braces := range template.Mistakes(part.text) {
				out = append(out, Problem{path + part.name, fmt.Sprintf("holds %s, which is not a placeholder and is sent unchanged; a placeholder is {{name}} or {{a.b}}", braces)})
			}
		}
		if !uses && t.content() != "" {
			out = append(out, Problem{path + "content", "has neither {{code}} nor {{link}}: its mails have nothing to sign in with"})
		}
	}
	return out
}
