package sender_test

import (
	"slices"
	"testing"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// chosen returns the template that a message gets.
func chosen(keys []sender.TemplateKey, usage messages.Type, payload messages.Payload) string {
	var ts sender.Templates[string]
	for _, k := range keys {
		ts.Add(k, string(k.UsageType)+"/"+k.Locale)
	}
	v, ok := ts.For(&messages.SendCode{Type: usage, Payload: payload})
	if !ok {
		return "none"
	}
	return v
}

func TestTemplatesByType(t *testing.T) {
	keys := []sender.TemplateKey{{UsageType: messages.Generic}, {UsageType: messages.SignIn}}
	for usage, want := range map[messages.Type]string{
		messages.SignIn: "SignIn/", messages.Generic: "Generic/", messages.Test: "Generic/",
		messages.Register: "Generic/", messages.BindMfa: "Generic/", "Unheard": "Generic/",
	} {
		if got := chosen(keys, usage, nil); got != want {
			t.Errorf("%s: got %q; want %q", usage, got, want)
		}
	}
	if got := chosen(keys[1:], messages.Test, nil); got != "none" {
		t.Errorf("with nothing to fall back to: %q", got)
	}
	if got := chosen(keys[1:], messages.SignIn, nil); got != "SignIn/" {
		t.Errorf("its own: %q", got)
	}
}

// TestTemplatesByLanguage: payload.locale first, then uiLocales, then the default.
func TestTemplatesByLanguage(t *testing.T) {
	keys := []sender.TemplateKey{
		{messages.Generic, ""},
		{messages.Generic, "fr"},
		{messages.SignIn, "en"},
		{messages.SignIn, "zh-CN"},
		{messages.SignIn, "pt-BR"},
		{messages.SignIn, ""},
		{messages.Register, "de"},
		{messages.Register, "ja"},
	}
	for _, c := range []struct {
		usage   messages.Type
		payload messages.Payload
		want    string
	}{
		{messages.SignIn, nil, "SignIn/"},
		{messages.SignIn, messages.Payload{"locale": "zh-CN"}, "SignIn/zh-CN"},
		{messages.SignIn, messages.Payload{"locale": "zh-Hans-SG"}, "SignIn/zh-CN"},
		{messages.SignIn, messages.Payload{"locale": "zh"}, "SignIn/zh-CN"},
		{messages.SignIn, messages.Payload{"locale": "zh_CN"}, "SignIn/zh-CN"},
		{messages.SignIn, messages.Payload{"locale": "zh-TW"}, "SignIn/zh-CN"}, // better than English
		{messages.SignIn, messages.Payload{"locale": "en-GB"}, "SignIn/en"},
		{messages.SignIn, messages.Payload{"locale": "pt-PT"}, "SignIn/pt-BR"},
		{messages.SignIn, messages.Payload{"locale": "ja"}, "SignIn/"},
		{messages.SignIn, messages.Payload{"locale": "ja", "uiLocales": "ko pt en"}, "SignIn/pt-BR"},
		{messages.SignIn, messages.Payload{"locale": "en", "uiLocales": "pt"}, "SignIn/en"},
		{messages.SignIn, messages.Payload{"uiLocales": []any{"x-y", 7, "zh"}}, "SignIn/zh-CN"},
		{messages.SignIn, messages.Payload{"locale": "no tag at all!"}, "SignIn/"},
		{messages.SignIn, messages.Payload{"locale": 7}, "SignIn/"},
		{messages.SignIn, messages.Payload{"locale": "und"}, "SignIn/"},
		{messages.Register, messages.Payload{"locale": "ja-JP"}, "Register/ja"},
		{messages.Register, messages.Payload{"locale": "en"}, "Register/de"}, // the first one, if there is no default
		{messages.BindMfa, messages.Payload{"locale": "fr-CA"}, "Generic/fr"},
		{messages.BindMfa, messages.Payload{"locale": "zh"}, "Generic/"},
	} {
		if got := chosen(keys, c.usage, c.payload); got != c.want {
			t.Errorf("%s, %v: got %s; want %s", c.usage, map[string]any(c.payload), got, c.want)
		}
	}
}

func TestCheckTemplates(t *testing.T) {
	const all = "Register, SignIn, ForgotPassword, Generic"
	for _, c := range []struct {
		name  string
		types []messages.Type
		want  []sender.Problem
	}{
		{"the required ones", sender.RequiredTypes(), nil},
		{"all", messages.Types(), nil},
		{"in another order", []messages.Type{"Generic", "ForgotPassword", "SignIn", "Register"}, nil},
		{"Test for Generic", []messages.Type{"Register", "SignIn", "ForgotPassword", "Test"}, nil},
		{"none", nil, []sender.Problem{{Path: "templates", Text: "has no template for " + all + "; " + all + " are required"}}},
		{"two are missing", []messages.Type{"SignIn", "Generic"}, []sender.Problem{
			{Path: "templates", Text: "has no template for Register, ForgotPassword; " + all + " are required"},
		}},
		{"twice", []messages.Type{"Register", "SignIn", "Register", "ForgotPassword", "Generic"}, []sender.Problem{
			{Path: "templates[2].usageType", Text: "Register has a template already: templates[0]"},
		}},
		{"Test and Generic", []messages.Type{"Register", "SignIn", "ForgotPassword", "Generic", "Test"}, []sender.Problem{
			{Path: "templates[4].usageType", Text: "Test has a template already: templates[3]"},
		}},
		{"unknown and empty", []messages.Type{"Register", "signin", "", "SignIn", "ForgotPassword", "Generic"}, []sender.Problem{
			{Path: "templates[1].usageType", Text: `"signin" is not a usage type; it is one of ` + all + `, OrganizationInvitation, UserPermissionValidation, BindNewIdentifier, MfaVerification, BindMfa`},
			{Path: "templates[2].usageType", Text: "is required"},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			keys := make([]sender.TemplateKey, len(c.types))
			for i, t := range c.types {
				keys[i].UsageType = t
			}
			if got := sender.CheckTemplates(keys); !slices.Equal(got, c.want) {
				t.Errorf("got  %v\nwant %v", got, c.want)
			}
		})
	}
}

func TestCheckTemplatesLanguages(t *testing.T) {
	keys := []sender.TemplateKey{
		{messages.Register, "en"},
		{messages.SignIn, ""},
		{messages.SignIn, "zh-CN"},
		{messages.ForgotPassword, ""},
		{messages.Test, "fr"},
		{messages.SignIn, "zh-cn"},
		{messages.Generic, "fr"},
		{messages.SignIn, "chinese!"},
		{messages.SignIn, "und"},
		{messages.SignIn, ""},
	}
	var paths []string
	for _, p := range sender.CheckTemplates(keys) {
		paths = append(paths, p.Path)
	}
	want := []string{"templates[5].usageType", "templates[6].usageType", "templates[7].locale", "templates[8].locale", "templates[9].usageType"}
	if !slices.Equal(paths, want) {
		t.Errorf("got %v, want %v", paths, want)
	}
}

func TestRequiredTypes(t *testing.T) {
	want := []messages.Type{messages.Register, messages.SignIn, messages.ForgotPassword, messages.Generic}
	if got := sender.RequiredTypes(); !slices.Equal(got, want) {
		t.Errorf("RequiredTypes() = %v, want Logto's four: %v", got, want)
	}
}
