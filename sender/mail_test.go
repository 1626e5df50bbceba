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

// mails has a template for each required type.
func mails(subject, content string) []sender.MailTemplate {
	var list []sender.MailTemplate
	for _, t := range messages.RequiredTypes() {
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
		t.Fatal(problems)
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
		ID: "id-1", To: "alice@example.com", Subject: "12 34 for <Ann>",
		HTML: `<a href="https://example.com/?c=12%2034">&lt;Ann&gt;</a>`, Text: "<Ann> (https://example.com/?c=12 34)", Missing: []string{"app"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	for _, usage := range []messages.Type{messages.BindMfa, messages.Generic, messages.Test} {
		m := signIn(payload)
		m.Type = usage
		if got, err := ms.Render(m); err != nil || got.Subject != "generic" {
			t.Errorf("%s: %+v, %v", usage, got, err)
		}
	}
}

// TestMailsRenderNamesWhatIsMissing: a person finds out which template lacks
// what, and nobody finds out anything of the message.
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
	_, err := parse(t, mails("x", `<a href="{{link}}">x</a>`)).Render(signIn(messages.Payload{"code": "7351902"}))
	if e := invalid(t, err); !strings.Contains(e.Detail, "{{link}}") || strings.Contains(e.Error(), "7351902") || strings.Contains(e.Error(), "alice") {
		t.Error(e)
	}
}

// invalid checks that err is that of a message that does not fit.
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
	if err != nil || strings.ContainsAny(got.Subject, "\r\n\u2028\u0085") || got.Subject != "Hello Ann  Bcc: eve@example.com   x" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestSubjectsLength(t *testing.T) {
	ms := parse(t, mails("码{{name}}", "<p>x</p>"))
	if got, err := ms.Render(signIn(messages.Payload{"name": strings.Repeat("é", 255)})); err != nil || got.Subject != "码"+strings.Repeat("é", 255) {
		t.Errorf("256 characters: %v", err)
	}
	_, err := ms.Render(signIn(messages.Payload{"name": strings.Repeat("é", 256)}))
	if e := invalid(t, err); e.Detail != "the subject for SignIn has 257 characters; it takes at most 256" {
		t.Error(e)
	}
}

func TestRenderWithoutATemplate(t *testing.T) {
	ms, _ := sender.ParseMails("", mails("x", "x")[:1]) // it has problems: Generic's is missing
	_, err := ms.Render(signIn(nil))
	if e := invalid(t, err); e.Detail != "there is no template for SignIn, and none for Generic" {
		t.Error(e)
	}
}

func TestParts(t *testing.T) {
	list := mails("s", "<p>{{code}} &amp; {{user.name}}</p>")
	list[0].Text = "{{code}} for {{other}}"
	list[1].ContentType, list[1].Content = sender.TextPlain, "<{{code}}> & {{user.name}}"
	list[2].ContentType = sender.TextHTML
	ms, problems := sender.ParseMails("From {{organization.name}}", list)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	for usage, want := range map[messages.Type]sender.Message{
		messages.Register:       {HTML: "<p>12 &amp; A&amp;B</p>", Text: "12 for ", FromAlias: "From Acme x"},
		messages.SignIn:         {Text: "<12> & A&B", FromAlias: "From Acme x"},
		messages.ForgotPassword: {HTML: "<p>12 &amp; A&amp;B</p>", Text: "12 & A&B", FromAlias: "From Acme x"},
	} {
		m := signIn(messages.Payload{"code": "12", "user": map[string]any{"name": "A&B"}, "organization": map[string]any{"name": "Acme\nx"}})
		m.Type = usage
		want.ID, want.To, want.Subject = m.ID, m.To, "s"
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
