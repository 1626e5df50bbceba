package sender_test

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// mails returns a template for each required type.
func mails(subject, content string) []sender.MailTemplate {
	var list []sender.MailTemplate
	for _, t := range sender.RequiredTypes() {
		list = append(list, sender.MailTemplate{UsageType: t, Subject: subject, Content: content})
	}
	return list
}

func TestParseMails(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]sender.MailTemplate) []sender.MailTemplate
		want   []string // paths
	}{
		{"good", func(l []sender.MailTemplate) []sender.MailTemplate { return l }, nil},
		{"a file", func(l []sender.MailTemplate) []sender.MailTemplate {
			l[0].Content, l[0].ContentFile = "", "<p>{{code}}</p>"
			return l
		}, nil},
		{"none", func([]sender.MailTemplate) []sender.MailTemplate { return nil }, []string{"templates"}},
		{"no subject", func(l []sender.MailTemplate) []sender.MailTemplate { l[1].Subject = ""; return l }, []string{"templates[1].subject"}},
		{"no content", func(l []sender.MailTemplate) []sender.MailTemplate { l[1].Content = ""; return l }, []string{"templates[1].content"}},
		{"content twice", func(l []sender.MailTemplate) []sender.MailTemplate { l[1].ContentFile = "x"; return l }, []string{"templates[1].contentFile"}},
		{"no HTML", func(l []sender.MailTemplate) []sender.MailTemplate { l[2].Content = `<a href="`; return l }, []string{"templates[2].content"}},
		{"a usage type", func(l []sender.MailTemplate) []sender.MailTemplate { l[3].UsageType = "Login"; return l }, []string{"templates[3].usageType", "templates"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, problems := sender.ParseMails("", c.change(mails("s", "<p>{{code}}</p>")))
			var paths []string
			for _, p := range problems {
				paths = append(paths, p.Path)
			}
			if !slices.Equal(paths, c.want) {
				t.Errorf("got %v, want problems of %v", problems, c.want)
			}
		})
	}
}

func parse(t *testing.T, list []sender.MailTemplate) *sender.Mails {
	t.Helper()
	ms, problems := sender.ParseMails("", list)
	if len(problems) > 0 {
		t.Fatalf("the templates have problems: %v", problems)
	}
	return ms
}

func signIn(payload messages.Payload) *messages.SendCode {
	return &messages.SendCode{ID: "id-1", To: "alice@example.com", Type: messages.SignIn, Payload: payload}
}

func TestMailsRender(t *testing.T) {
	list := mails("{{ code }} for {{user.name}}", `<a href="https://example.com/?c={{code}}">{{user.name}}{{app}}</a>`)
	list[3].UsageType, list[3].Subject = messages.Test, "generic" // its older name
	ms := parse(t, list)
	payload := messages.Payload{"code": "12 34", "user": map[string]any{"name": "<Ann>"}}
	got, err := ms.Render(signIn(payload))
	if err != nil {
		t.Fatal(err)
	}
	want := &sender.Message{
		ID: "id-1", To: "alice@example.com", Template: "SignIn", Subject: "12 34 for <Ann>",
		HTML: `<a href="https://example.com/?c=12%2034">&lt;Ann&gt;</a>`, Text: "<Ann> (https://example.com/?c=12%2034)", Missing: []string{"app"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, usage := range []messages.Type{messages.BindMfa, messages.Generic, messages.Test} {
		m := signIn(payload)
		m.Type = usage
		if got, err := ms.Render(m); err != nil || got.Subject != "generic" || got.Template != "Generic" {
			t.Errorf("%s: got %+v and error %v, want Generic's template", usage, got, err)
		}
	}
}

// TestMailTemplateNames: each template has its own name, for every type and language that
// selects it.
func TestMailTemplateNames(t *testing.T) {
	list := append(mails("x", "x"), sender.MailTemplate{UsageType: messages.SignIn, Locale: "zh-CN", Subject: "x", Content: "x"})
	ms := parse(t, list)
	for _, c := range []struct {
		usage        messages.Type
		locale, want string
	}{
		{messages.SignIn, "", "SignIn"},
		{messages.SignIn, "fr", "SignIn"},
		{messages.SignIn, "zh", "SignIn in zh-CN"},
		{messages.SignIn, "zh-CN", "SignIn in zh-CN"},
		{messages.Register, "zh-CN", "Register"},
		{messages.BindMfa, "", "Generic"},
	} {
		m := signIn(messages.Payload{"locale": c.locale})
		m.Type = c.usage
		if got, err := ms.Render(m); err != nil || got.Template != c.want {
			t.Errorf("%s in %q: %q, %v; want %q", c.usage, c.locale, got.Template, err, c.want)
		}
	}
}

// TestMailsRenderNamesWhatIsMissing: the error names the template and the missing value,
// and shows nothing of the message.
func TestMailsRenderNamesWhatIsMissing(t *testing.T) {
	for name, list := range map[string][]sender.MailTemplate{
		"in the subject": mails("{{code}}", "<p>x</p>"),
		"in the content": mails("x", "<p>{{code}}</p>"),
	} {
		for _, payload := range []messages.Payload{nil, {}, {"code": ""}, {"code": []any{"1"}}} {
			m, err := parse(t, list).Render(signIn(payload))
			e := invalid(t, err)
			if want := "template SignIn: the template uses {{code}} and the payload has no code"; m != nil || e.Detail != want {
				t.Errorf("%s: got %q, want %q", name, e.Detail, want)
			}
		}
	}
	invitation := signIn(nil)
	invitation.Type = messages.OrganizationInvitation
	_, failed := parse(t, mails("{{code}}", "x")).Render(invitation)
	if e, want := invalid(t, failed), "template Generic (there is none for OrganizationInvitation): the template uses {{code}} and the payload has no code"; e.Detail != want {
		t.Errorf("without a template of its own: got %q, want %q", e.Detail, want)
	}
	_, err := parse(t, mails("x", `<a href="{{link}}">x</a>`)).Render(signIn(messages.Payload{"code": "7351902"}))
	e := invalid(t, err)
	if !strings.Contains(e.Detail, "{{link}}") {
		t.Errorf("the detail does not name {{link}}: %s", e.Detail)
	}
	if strings.Contains(e.Error(), "7351902") || strings.Contains(e.Error(), "alice") {
		t.Errorf("the error shows the code or the recipient: %v", e)
	}
}

// invalid checks that err is the error of a message that does not fit.
func invalid(t *testing.T, err error) *sender.Error {
	t.Helper()
	var e *sender.Error
	if !errors.As(err, &e) || e.Class != sender.Permanent || e.Code != sender.CodeInvalid {
		t.Fatalf("got %v, want a message that does not fit", err)
	}
	return e
}

func TestSubjectStaysOneLine(t *testing.T) {
	ms := parse(t, mails("Hello {{name}}", "<p>x</p>"))
	got, err := ms.Render(signIn(messages.Payload{"name": "Ann\r\nBcc: eve@example.com\n\u2028\u0085x"}))
	if err != nil {
		t.Fatal(err)
	}
	if want := "Hello Ann  Bcc: eve@example.com   x"; got.Subject != want {
		t.Errorf("the subject is %q, want %q", got.Subject, want)
	}
}

func TestSubjectsLength(t *testing.T) {
	ms := parse(t, mails("码{{name}}", "<p>x</p>"))
	if got, err := ms.Render(signIn(messages.Payload{"name": strings.Repeat("é", 255)})); err != nil || got.Subject != "码"+strings.Repeat("é", 255) {
		t.Errorf("256 characters: %v", err)
	}
	_, err := ms.Render(signIn(messages.Payload{"name": strings.Repeat("é", 256)}))
	if e, want := invalid(t, err), "the subject for SignIn has 257 characters; it takes at most 256"; e.Detail != want {
		t.Errorf("got %q, want %q", e.Detail, want)
	}
}

func TestRenderWithoutATemplate(t *testing.T) {
	ms, _ := sender.ParseMails("", mails("x", "x")[:1]) // Generic's template is missing
	_, err := ms.Render(signIn(nil))
	if e, want := invalid(t, err), "there is no template for SignIn, and none for Generic"; e.Detail != want {
		t.Errorf("got %q, want %q", e.Detail, want)
	}
}

func TestParts(t *testing.T) {
	list := mails("s", "<p>{{code}} &amp; {{user.name}}</p>")
	list[0].Text = "{{code}} for {{other}}"
	list[1].ContentType, list[1].Content = sender.TextPlain, "<{{code}}> & {{user.name}}"
	list[2].ContentType = sender.TextHTML
	ms, problems := sender.ParseMails("From {{organization.name}}", list)
	if len(problems) > 0 {
		t.Fatalf("the templates have problems: %v", problems)
	}
	for usage, want := range map[messages.Type]sender.Message{
		messages.Register:       {HTML: "<p>12 &amp; A&amp;B</p>", Text: "12 for ", FromAlias: "From Acme x"},
		messages.SignIn:         {Text: "<12> & A&B", FromAlias: "From Acme x"},
		messages.ForgotPassword: {HTML: "<p>12 &amp; A&amp;B</p>", Text: "12 & A&B", FromAlias: "From Acme x"},
	} {
		m := signIn(messages.Payload{"code": "12", "user": map[string]any{"name": "A&B"}, "organization": map[string]any{"name": "Acme\nx"}})
		m.Type = usage
		want.ID, want.To, want.Template, want.Subject = m.ID, m.To, string(usage), "s"
		if got, err := ms.Render(m); err != nil || !reflect.DeepEqual(got, &want) {
			t.Errorf("%s: got %+v, %v\nwant %+v", usage, got, err, &want)
		}
	}
}

func TestMailWarnings(t *testing.T) {
	list := mails("s", "<p>{{code}}</p>")
	list[0].Content = "<p>{{Code}}</p>"
	list[1].Subject = "{{code}"
	list[2].Content = `<a href="{{ link }}">x</a>`
	list[3].Text = "{{the code}}"
	var got []string
	for _, p := range sender.MailWarnings(list) {
		got = append(got, p.Path)
	}
	if want := []string{"templates[0].content", "templates[1].subject", "templates[3].text"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
