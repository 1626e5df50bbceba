package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// steps returns a configuration with two connectors for each channel, and one app with these
// routes.
func steps(email, sms string) string {
	const mail = `{type: aliyun-dm, accessKeyId: x, accessKeySecret: x, accountName: a@b.c, templates: [` +
		`{usageType: Register, subject: s, content: "{{code}}"}, {usageType: SignIn, subject: s, content: "{{code}}"},` +
		`{usageType: ForgotPassword, subject: s, content: "{{code}}"}, {usageType: Generic, subject: s, content: "{{code}}"}]}`
	const text = `{type: aliyun-sms, accessKeyId: x, accessKeySecret: x, signName: x, templates: [` +
		`{usageType: Register, templateCode: SMS_1}, {usageType: SignIn, templateCode: SMS_1},` +
		`{usageType: ForgotPassword, templateCode: SMS_1}, {usageType: Generic, templateCode: SMS_1}]}`
	return "apps:\n  default:\n    email: " + email + "\n    sms: " + sms +
		"\nconnectors:\n  m1: " + mail + "\n  m2: " + mail + "\n  s1: " + text + "\n  s2: " + text + "\n"
}

func TestChain(t *testing.T) {
	c := mustParse(t, steps(
		`[{connector: m1, domains: [example.com, "*.example.org"]}, {connector: m2, types: [SignIn, Test]}, m1]`,
		`[{connector: s1, mainland: true}, {connector: s2, mainland: false, types: [Register]}]`), nil)
	app := c.Apps["default"]
	for _, test := range []struct {
		channel messages.Channel
		to      string
		typ     messages.Type
		want    string
	}{
		{messages.Email, "a@example.com", messages.SignIn, "m1 m2"},
		{messages.Email, "a@EXAMPLE.com", messages.Register, "m1"},
		{messages.Email, "a@x.example.org", messages.Register, "m1"},
		{messages.Email, "a@example.org", messages.SignIn, "m2 m1"},
		{messages.Email, "a@notexample.com", messages.Generic, "m2 m1"},
		{messages.Email, "a@other.net", messages.Register, "m1"},
		{messages.SMS, "+8613012345678", messages.SignIn, "s1"},
		{messages.SMS, "13012345678", messages.SignIn, "s1"},
		{messages.SMS, "+861012345678", messages.Register, "s1"}, // not a mobile number, but of the mainland
		{messages.SMS, "+85291234567", messages.Register, "s2"},
		{messages.SMS, "+85291234567", messages.SignIn, ""},
	} {
		if got := strings.Join(app.Chain(test.channel, test.to, test.typ), " "); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.to, test.typ, got, test.want)
		}
	}
	if len(c.Warnings) != 1 {
		t.Fatalf("the warnings are %v, want 1", c.Warnings)
	}
	check.Equal(t, "the path of the warning", c.Warnings[0].Path, "apps.default.sms")
	for want, s := range map[string]config.Step{
		"":                                       app.Email[2],
		"example.com, *.example.org":             app.Email[0],
		"SignIn, Test":                           app.Email[1],
		"numbers outside the mainland; Register": app.SMS[1],
	} {
		if s.String() != want {
			t.Errorf("String() = %q, want %q", s, want)
		}
	}
}

func TestWarningOfAnIncompleteRoute(t *testing.T) {
	for sms, warned := range map[string]bool{
		"[s1]": false, "[{connector: s1, mainland: true}, s2]": false,
		"[{connector: s1, mainland: true}, {connector: s2, mainland: false}]":                  false,
		"[{connector: s1, mainland: true}]":                                                    true,
		"[{connector: s1, types: [SignIn]}]":                                                   true,
		"[{connector: s1, mainland: true}, {connector: s2, mainland: false, types: [SignIn]}]": true,
	} {
		if c := mustParse(t, steps("[m1]", sms), nil); len(c.Warnings) > 0 != warned {
			t.Errorf("%s: the warnings are %v, want some: %t", sms, c.Warnings, warned)
		}
	}
}

func TestMistakesInSteps(t *testing.T) {
	for _, c := range []struct {
		email, sms string
		want       []string // path: text
	}{
		{"[m1, m2]", "[s1, s2]", nil},
		{"[m1, {connector: m2, mainland: true}]", "[s1]", []string{"apps.default.email[1].mainland is for sms"}},
		{"[m1]", "[{connector: s1, domains: [example.com]}, s1]", []string{"apps.default.sms[0].domains is for email"}},
		{`[{connector: m1, domains: ["@x", "*", "*.", "a b"]}, m2]`, "[s1]", []string{"[0].domains[0]", "[0].domains[1]", "[0].domains[2]", "[0].domains[3]"}},
		{"[{connector: m1, types: [Login]}, m2]", "[s1]", []string{`apps.default.email[0].types[0] "Login" is not a usage type`}},
		{"[{types: [SignIn]}]", "[s1]", []string{"apps.default.email[0] names no connector"}},
		{"[m1, {connector: m1, types: [SignIn]}]", "[s1]", []string{`apps.default.email[1] names the connector "m1" a second time`}},
		{"[m1]", "[m1]", []string{`apps.default.sms[0] names the connector "m1", which sends email`}},
		{"[m1]", "[{connector: s9, mainland: false}]", []string{`apps.default.sms[0] names the connector "s9", which does not exist`}},
		{"[{connector: m1, domain: [x]}]", "[s1]", []string{"did you mean domains?"}},
	} {
		var got []string
		_, err := config.Parse("codeferry.yaml", []byte(steps(c.email, c.sms)), config.Env{})
		if err != nil {
			got = strings.Split(err.Error(), "\n")
		}
		if !slices.EqualFunc(got, c.want, strings.Contains) {
			t.Errorf("%s %s: got %q, want %q", c.email, c.sms, got, c.want)
		}
	}
}
