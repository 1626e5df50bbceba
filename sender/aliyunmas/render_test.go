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
	"github.com/codeferry/codeferry/sender/internal/sendertest/aliyuntest"
)

const notMainland = "to is not a number of mainland China, and this connector sends only to mainland numbers; use a route's condition to send other numbers elsewhere"

func TestRenderNumbers(t *testing.T) {
	s := connectors.At(t, "http://127.0.0.1:1")
	for to, want := range map[string]string{ // "" if the number is refused
		"13012345678": "13012345678", "8613012345678": "13012345678", "008613012345678": "13012345678",
		"+8613012345678": "13012345678", "+86 130-1234-5678": "13012345678",

		"+85291234567": "", "0085366123456": "", "886912345678": "", "+447911123456": "", "+13012345678": "",
	} {
		message := aliyuntest.SignIn()
		message.To = to
		m, err := s.Render(message)
		if want == "" {
			e := sendertest.WantCode(t, err, sender.Permanent, sender.CodeInvalid)
			sendertest.Equal(t, to+": the detail", e.Detail, notMainland)
			if m != nil {
				t.Errorf("%s: there is a message together with the error", to)
			}
			sendertest.Hides(t, err, to, strings.TrimPrefix(to, "+"))
			continue
		}
		if err != nil {
			t.Fatalf("%s: %v", to, err)
		}
		sendertest.Equal(t, to+": the recipient", m.To, want)
		sendertest.Equal(t, to+": the ID", m.ID, "id-1")
		sendertest.Equal(t, to+": the template's code", m.TemplateCode, "100001")
		sendertest.Equal(t, to+": the parameters", m.TemplateParam, `{"code":"Qx7z9K","min":"10"}`)
	}
	for to, want := range map[string]string{
		"hello":         "to is not a phone number of any country; write it with its country code, such as +8613012345678",
		"+861012345678": "to is a mainland number, but not a mobile number: these have 11 digits and begin with 1",
		"+8529123":      "to has too few or too many digits for its country",
	} {
		message := aliyuntest.SignIn()
		message.To = to
		_, err := s.Render(message)
		if e := sendertest.Want(t, err, sender.Permanent); e.Code != sender.CodeInvalid || e.Detail != want {
			t.Errorf("%s: got code %q and detail %q, want %q and %q", to, e.Code, e.Detail, sender.CodeInvalid, want)
		}
	}
}

func TestRenderByType(t *testing.T) {
	config := good()
	config.Templates = nil
	for i, usage := range sender.RequiredTypes() {
		config.Templates = append(config.Templates, aliyunmas.Template{UsageType: usage, TemplateCode: aliyunmas.TemplateCode(fmt.Sprint(i))})
	}
	config.Templates = append(config.Templates, aliyunmas.Template{UsageType: messages.Register, Locale: "en", TemplateCode: "9"})
	s := sendertest.Make(t, config)
	for usage, want := range map[messages.Type]string{
		messages.Register: "0", messages.SignIn: "1", messages.ForgotPassword: "2", messages.Generic: "3",
		messages.Test: "3", messages.BindMfa: "3", messages.OrganizationInvitation: "3",
	} {
		message := aliyuntest.SignIn()
		message.Type = usage
		m, err := s.Render(message)
		if err != nil {
			t.Fatalf("%s: %v", usage, err)
		}
		sendertest.Equal(t, "the template's code of "+string(usage), m.TemplateCode, want)
		sendertest.Equal(t, "the template of "+string(usage), m.Template, "速通互联 验证码/"+want)
	}
	message := aliyuntest.SignIn()
	message.Type, message.Payload["locale"] = messages.Register, "en-GB"
	m, err := s.Render(message)
	if err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the template in English", m.TemplateCode, "9")
	config.Templates = config.Templates[:1] // which Validate would not let through
	if s, err = config.New(); err != nil {
		t.Fatal(err)
	}
	_, err = s.Render(aliyuntest.SignIn())
	e := sendertest.Want(t, err, sender.Permanent)
	sendertest.Equal(t, "the detail", e.Detail, "there is no template for SignIn, and none for Generic")
}

// TestOnlyCodeAndMin: Aliyun's templates take no other variables.
func TestOnlyCodeAndMin(t *testing.T) {
	message := aliyuntest.SignIn()
	message.Payload = messages.Payload{
		"code": "aB12", "locale": "zh-CN", "uiLocales": "zh-CN en", "name": "Ann", "link": "https://example.com",
		"user": map[string]any{"name": "Ann"}, "n": json.Number("7"), "nothing": nil,
	}
	m, err := connectors.At(t, "http://127.0.0.1:1").Render(message)
	if err != nil {
		t.Fatal(err)
	}
	sendertest.Equal(t, "the parameters", m.TemplateParam, `{"code":"aB12","min":"10"}`)
}

func TestCodesThatAliyunRefuses(t *testing.T) { connectors.Codes(t, 8) }

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
			message := aliyuntest.SignIn()
			message.ExpiresAt = c.expires
			if c.given != nil {
				message.Payload["min"] = c.given
			}
			m, err := sendertest.Make(t, config).Render(message)
			want := `{"code":"Qx7z9K"}`
			if c.want != "" {
				want = `{"code":"Qx7z9K",` + c.want + `}`
			}
			if err != nil {
				t.Fatal(err)
			}
			sendertest.Equal(t, "the parameters", m.TemplateParam, want)
		})
	}
	for _, v := range []any{"", "0", "-1", "+5", "1.5", "ten", "1441", "99999999999", json.Number("0.5"), true, []any{"5"}} {
		message := aliyuntest.SignIn()
		message.Payload["min"] = v
		_, err := connectors.At(t, "http://127.0.0.1:1").Render(message)
		e := sendertest.Want(t, err, sender.Permanent)
		sendertest.Equal(t, fmt.Sprintf("the detail of %v", v), e.Detail, "payload.min is not a whole number of minutes from 1 to 1440")
	}
}

// FuzzRender: for any input, Render makes a message in Aliyun's form, or an error that
// holds neither code nor number.
func FuzzRender(f *testing.F) {
	f.Add("+8613012345678", "123456", "10")
	f.Add("13012345678", "##code##", "")
	f.Add("+13012345678", "aB12", "007")
	f.Fuzz(func(t *testing.T, to, code, minutes string) {
		s := sendertest.Make(t, good())
		m, err := s.Render(&messages.SendCode{To: to, Type: messages.SignIn, Payload: messages.Payload{"code": code, "min": minutes}})
		if err != nil {
			sendertest.Want(t, err, sender.Permanent)
			return
		}
		var p map[string]string
		if err := json.Unmarshal([]byte(m.TemplateParam), &p); err != nil {
			t.Fatalf("the parameters are not JSON: %q", m.TemplateParam)
		}
		sendertest.Equal(t, "the code", p["code"], code)
		sendertest.Equal(t, "min", p["min"], minutes)
		sendertest.Equal(t, "the number of parameters", len(p), 2)
		if len(m.To) != 11 || m.To[0] != '1' || strings.Trim(m.To, "0123456789") != "" {
			t.Errorf("to %q becomes %q", to, m.To)
		}
	})
}
