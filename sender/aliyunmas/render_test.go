package aliyunmas_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/internal/sendertest"
)

const notMainland = "to is no number of mainland China, and this connector sends to mainland numbers only; a route's condition keeps others away from it"

func TestRenderNumbers(t *testing.T) {
	s := at(t, "http://127.0.0.1:1")
	for to, want := range map[string]string{ // "": it is not sent to
		"13012345678": "13012345678", "8613012345678": "13012345678", "008613012345678": "13012345678",
		"+8613012345678": "13012345678", "+86 130-1234-5678": "13012345678",

		"+85291234567": "", "0085366123456": "", "886912345678": "", "+447911123456": "", "+13012345678": "",
	} {
		message := signIn()
		message.To = to
		m, err := s.Render(message)
		if want == "" {
			if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || e.Detail != notMainland || m != nil {
				t.Errorf("%s: %+v, %v", to, m, err)
			}
			sendertest.Hides(t, err, to, strings.TrimPrefix(to, "+"))
			continue
		}
		if err != nil || m.To != want || m.ID != "id-1" || m.TemplateCode != "100001" || m.TemplateParam != `{"code":"Qx7z9K","min":"10"}` {
			t.Errorf("%s: %+v, %v", to, m, err)
		}
	}
	for to, want := range map[string]string{
		"hello":         "to is no phone number of any country; write it with its country code, such as +8613012345678",
		"+861012345678": "to is a mainland number, but no mobile one: those have 11 digits and begin with 1",
		"+8529123":      "to has too few or too many digits for its country",
	} {
		message := signIn()
		message.To = to
		_, err := s.Render(message)
		if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || e.Detail != want {
			t.Errorf("%s: got %+v, want %s", to, e, want)
		}
	}
}

func TestRenderByType(t *testing.T) {
	config := good()
	config.Templates = nil
	for i, usage := range messages.RequiredTypes() {
		config.Templates = append(config.Templates, aliyunmas.Template{UsageType: usage, TemplateCode: aliyunmas.TemplateCode(fmt.Sprint(i))})
	}
	config.Templates = append(config.Templates, aliyunmas.Template{UsageType: messages.Register, Locale: "en", TemplateCode: "9"})
	s := connector(t, config)
	for usage, want := range map[messages.Type]string{
		messages.Register: "0", messages.SignIn: "1", messages.ForgotPassword: "2", messages.Generic: "3",
		messages.Test: "3", messages.BindMfa: "3", messages.OrganizationInvitation: "3",
	} {
		message := signIn()
		message.Type = usage
		if m, err := s.Render(message); err != nil || m.TemplateCode != want {
			t.Errorf("%s: %+v, %v; want %s", usage, m, err, want)
		}
	}
	message := signIn()
	message.Type, message.Payload["locale"] = messages.Register, "en-GB"
	if m, err := s.Render(message); err != nil || m.TemplateCode != "9" {
		t.Errorf("in English: %+v, %v", m, err)
	}
	config.Templates = config.Templates[:1]
	if _, err := connector(t, config).Render(signIn()); sendertest.Want(t, err, sender.Permanent).Detail != "there is no template for SignIn, and none for Generic" {
		t.Error(err)
	}
}

// TestOnlyCodeAndMin: the templates that Aliyun gives take no other.
func TestOnlyCodeAndMin(t *testing.T) {
	message := signIn()
	message.Payload = messages.Payload{
		"code": "aB12", "locale": "zh-CN", "uiLocales": "zh-CN en", "name": "Ann", "link": "https://example.com",
		"user": map[string]any{"name": "Ann"}, "n": json.Number("7"), "nothing": nil,
	}
	if m, err := at(t, "http://127.0.0.1:1").Render(message); err != nil || m.TemplateParam != `{"code":"aB12","min":"10"}` {
		t.Errorf("%+v, %v", m, err)
	}
}

func TestCodesThatAliyunRefuses(t *testing.T) {
	s := at(t, "http://127.0.0.1:1")
	const form = "payload.code has %d characters; Aliyun takes 4 to 8 letters or digits (A-Z a-z 0-9)"
	const none = "template SignIn uses ${code} and the payload has no code"
	for _, c := range []struct {
		payload messages.Payload
		want    string // "": it is fine
	}{
		{messages.Payload{"code": "1234"}, ""},
		{messages.Payload{"code": "abcXYZ09"}, ""},
		{messages.Payload{"code": "735"}, fmt.Sprintf(form, 3)},
		{messages.Payload{"code": "735190212"}, fmt.Sprintf(form, 9)},
		{messages.Payload{"code": "##code##"}, fmt.Sprintf(form, 8)}, // for which Aliyun would make one of its own
		{messages.Payload{"code": "7351 9"}, fmt.Sprintf(form, 6)},
		{messages.Payload{"code": "73519\n"}, fmt.Sprintf(form, 6)},
		{messages.Payload{"code": "７３５１"}, fmt.Sprintf(form, 4)},
		{messages.Payload{"code": ""}, none},
		{messages.Payload{"code": json.Number("7351")}, none},
		{messages.Payload{"link": "https://example.com"}, none},
		{nil, none},
	} {
		message := signIn()
		message.Payload = c.payload
		_, err := s.Render(message)
		if c.want == "" {
			if err != nil {
				t.Errorf("%v: %v", c.payload, err)
			}
			continue
		}
		if e := sendertest.Want(t, err, sender.Permanent); e.Detail != c.want || e.Code != sender.CodeInvalid {
			t.Errorf("%v: got %v, want %s", c.payload, err, c.want)
		}
		if code := c.payload.Text("code"); code != "" && strings.Contains(err.Error(), strings.TrimSpace(code)) {
			t.Errorf("the error holds the code: %v", err)
		}
	}
}

func TestMin(t *testing.T) {
	in := func(d time.Duration) time.Time { return time.Now().Add(d) }
	for _, c := range []struct {
		name    string
		minutes *int
		expires time.Time
		given   any // payload.min
		want    string
	}{
		{"nobody says", nil, time.Time{}, nil, `"min":"10"`},
		{"the connector says", new(5), time.Time{}, nil, `"min":"5"`},
		{"the message says when", new(5), in(15 * time.Minute), nil, `"min":"15"`},
		{"a part of a minute is one", nil, in(4*time.Minute + 30*time.Second), nil, `"min":"5"`},
		{"the last minute", nil, in(time.Second), nil, `"min":"1"`},
		{"a moment too late", nil, in(-time.Minute), nil, `"min":"1"`},
		{"days", nil, in(240 * time.Hour), nil, `"min":"1440"`},
		{"the payload says", new(5), in(15 * time.Minute), "30", `"min":"30"`},
		{"the payload says it with a number", nil, time.Time{}, json.Number("30"), `"min":"30"`},
		{"a template without", new(0), in(15 * time.Minute), "30", ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := good()
			config.Minutes = c.minutes
			message := signIn()
			message.ExpiresAt = c.expires
			if c.given != nil {
				message.Payload["min"] = c.given
			}
			m, err := connector(t, config).Render(message)
			want := `{"code":"Qx7z9K"}`
			if c.want != "" {
				want = `{"code":"Qx7z9K",` + c.want + `}`
			}
			if err != nil || m.TemplateParam != want {
				t.Errorf("%+v, %v; want %s", m, err, want)
			}
		})
	}
	for _, v := range []any{"", "0", "-1", "+5", "1.5", "ten", "1441", "99999999999", json.Number("0.5"), true, []any{"5"}} {
		message := signIn()
		message.Payload["min"] = v
		_, err := at(t, "http://127.0.0.1:1").Render(message)
		if e := sendertest.Want(t, err, sender.Permanent); e.Detail != "payload.min is no whole number of minutes from 1 to 1440" {
			t.Errorf("%v: %v", v, e)
		}
	}
}

// FuzzRender: whatever comes, Render makes a message that Aliyun's form fits, or
// an error that holds neither code nor number.
func FuzzRender(f *testing.F) {
	f.Add("+8613012345678", "123456", "10")
	f.Add("13012345678", "##code##", "")
	f.Add("+13012345678", "aB12", "007")
	f.Fuzz(func(t *testing.T, to, code, minutes string) {
		s := connector(t, good())
		m, err := s.Render(&messages.SendCode{To: to, Type: messages.SignIn, Payload: messages.Payload{"code": code, "min": minutes}})
		if err != nil {
			sendertest.Want(t, err, sender.Permanent)
			return
		}
		var p map[string]string
		if err := json.Unmarshal([]byte(m.TemplateParam), &p); err != nil || p["code"] != code || p["min"] != minutes || len(p) != 2 {
			t.Errorf("%q, %v", m.TemplateParam, err)
		}
		if len(m.To) != 11 || m.To[0] != '1' || strings.Trim(m.To, "0123456789") != "" {
			t.Errorf("to %q becomes %q", to, m.To)
		}
	})
}
