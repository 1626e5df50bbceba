package sender

import (
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/codeferry/codeferry/internal/template"
	"github.com/codeferry/codeferry/messages"
)

// MailTemplate is an email template as Logto's connectors have it, and what
// codeferry adds to it. Give Content or ContentFile.
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

// ContentType is what a template's content is.
type ContentType string

// The content types.
const (
	TextHTML  ContentType = "text/html"
	TextPlain ContentType = "text/plain"
)

// UnmarshalText reads one of the values.
func (c *ContentType) UnmarshalText(text []byte) error {
	switch v := ContentType(text); v {
	case TextHTML, TextPlain:
		*c = v
		return nil
	}
	return fmt.Errorf("%q is neither text/plain nor text/html", text)
}

func (t MailTemplate) key() TemplateKey { return TemplateKey{t.UsageType, t.Locale} }

func (t MailTemplate) content() string {
	if t.ContentFile != "" {
		return string(t.ContentFile)
	}
	return t.Content
}

// maxSubject is the longest subject in characters; Aliyun's limit, and one that
// no mail program shows more of.
const maxSubject = 256

// Mails are a connector's email templates, parsed.
type Mails struct {
	templates Templates[mail]
	fromAlias *template.Template
}

type mail struct{ subject, html, text *template.Template }

// ParseMails parses a connector's email templates, and reports everything that
// is wrong with them. fromAlias is the sender's name, which may hold
// placeholders too; empty for none.
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
		problems = append(problems, Problem{path + "contentFile", "stands beside content; give one of them"})
	case t.content() == "":
		problems = append(problems, Problem{path + "content", "is required, or contentFile"})
	}
	m.subject = template.Line(t.Subject)
	if t.ContentType == TextPlain {
		if t.Text != "" {
			problems = append(problems, Problem{path + "text", "stands beside a content of text/plain; give one of them"})
		}
		m.text = template.Plain(t.content())
		return m, problems
	}
	html, err := template.HTML(t.content())
	if err != nil {
		return m, append(problems, Problem{path + "content", err.Error()})
	}
	m.html = html
	if m.text = template.Plain(t.Text); t.Text == "" {
		m.text = template.Text(t.content())
	}
	return m, problems
}

// Render fills the template for m's type and language in. The result has ID, To,
// Subject, FromAlias, Text and, but for a template of text/plain, HTML. The
// error is an *Error of class Permanent.
func (ms *Mails) Render(m *messages.SendCode) (*Message, error) {
	t, ok := ms.templates.For(m)
	if !ok {
		return nil, Invalid("there is no template for %s, and none for Generic", m.Type)
	}
	out := &Message{ID: m.ID, To: m.To}
	for _, part := range []struct {
		from *template.Template
		to   *string
	}{{t.subject, &out.Subject}, {ms.fromAlias, &out.FromAlias}, {t.html, &out.HTML}, {t.text, &out.Text}} {
		if part.from == nil {
			continue
		}
		text, missing, err := part.from.Render(m.Payload)
		if err != nil {
			return nil, renderError(m.Type, err)
		}
		*part.to = text
		if part.from != t.text || t.html == nil { // the text part repeats the HTML's
			out.Missing = append(out.Missing, missing...)
		}
	}
	if n := utf8.RuneCountInString(out.Subject); n > maxSubject {
		return nil, Invalid("the subject for %s has %d characters; it takes at most %d", m.Type, n, maxSubject)
	}
	return out, nil
}

func renderError(t messages.Type, err error) *Error {
	var missing *template.MissingError
	if errors.As(err, &missing) {
		return Invalid("template %s: %v", t, missing)
	}
	return Invalid("template %s can't be rendered: %v", t, err)
}

// MailWarnings reports what is allowed in email templates and yet is hardly
// meant: a mail without its code, and braces that are no placeholder.
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
				out = append(out, Problem{path + part.name, fmt.Sprintf("holds %s, which is no placeholder and goes out as it stands; a placeholder is {{name}} or {{a.b}}", braces)})
			}
		}
		if !uses && t.content() != "" {
			out = append(out, Problem{path + "content", "has neither {{code}} nor {{link}}: its mails hold nothing to sign in with"})
		}
	}
	return out
}
