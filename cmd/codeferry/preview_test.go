package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// twoChannels is a configuration with languages, placeholders and conditions.
const twoChannels = `
apps:
  default:
    email: [{connector: mail, domains: [example.com]}, backup]
    sms: [{connector: mainland, mainland: true}, {connector: overseas, mainland: false, types: [SignIn]}]
connectors:
  mail: &mail
    type: aliyun-dm
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    accountName: no-reply@mail.example.com
    fromAlias: "{{organization.name}}"
    templates:
      - {usageType: Register, subject: "Welcome {{user.name}}", content: "<p>Your code is <b>{{code}}</b> {{extra.deep}}</p>"}
      - {usageType: Register, locale: zh-CN, subject: "欢迎", content: "<p>您的验证码 <b>{{code}}</b></p>"}
      - {usageType: SignIn, subject: "Sign in", content: "<p>Your code is {{code}}.</p>"}
      - {usageType: ForgotPassword, subject: "Reset", content: "<p>{{code }</p>"}
      - {usageType: Generic, subject: "Your code", content: "<p>Your code is {{code}}.</p>"}
  backup:
    <<: *mail
    fromAlias: Backup
  mainland: &sms
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: {china: SMS_2, overseas: SMS_3}}
      - {usageType: ForgotPassword, templateCode: SMS_4}
      - {usageType: Generic, templateCode: SMS_5}
  overseas:
    <<: *sms
`

func twoChannelsFor(t *testing.T, sandboxURL string) string {
	t.Helper()
	return write(t, "codeferry.yaml", strings.ReplaceAll(twoChannels, "SANDBOX", sandboxURL))
}

func TestCheckShowsTheRoute(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	cfg := twoChannelsFor(t, sandboxURL)
	for _, c := range []struct {
		args   []string
		status int
		want   []string
	}{
		{[]string{"--to", "ann@example.com"}, 0, []string{
			"warning  " + cfg + ":5:10: apps.default.sms has no step that serves all messages",
			"connectors.mail.templates[3].content holds {{code }</p>, which is not a placeholder",
			"ok       route of default for a***@example.com, Generic: 1. mail (aliyun-dm), subject \"Your code\"",
			"ok       route of default for a***@example.com, Generic: 2. backup (aliyun-dm)",
		}},
		{[]string{"--to", "ann@example.org", "--type", "Register"}, 0, []string{
			`Register: 1. backup (aliyun-dm), subject "Welcome Sample User"`, "not mail: it serves only example.com",
		}},
		{[]string{"--to", "+85291234567", "--type", "SignIn"}, 0, []string{"1. overseas (aliyun-sms), template SMS_3", "not mainland: it serves only mainland numbers"}},
		{[]string{"--to", "+85291234567"}, exitFailed, []string{"error    route", "no step of apps.default.sms serves it", "not overseas: it serves only numbers outside the mainland; SignIn"}},
		{[]string{"--to", "+8613012345678", "--app", "other"}, exitFailed, []string{`the configuration has no app "other"`}},
		{[]string{"--to", "+8613012345678", "--type", "Login"}, exitFailed, []string{"not a usage type"}},
	} {
		r := call(t, append([]string{"check", "-c", cfg}, c.args...)...).want(t, c.status)
		for _, want := range c.want {
			if !strings.Contains(r.out, want) {
				t.Errorf("%v: the output lacks %q:\n%s", c.args, want, r.out)
			}
		}
	}
	if n := len(inbox(t, sandboxURL, "")); n != 0 {
		t.Errorf("check --to sent %d messages, want none", n)
	}
}

func TestCheckSends(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	cfg := twoChannelsFor(t, sandboxURL)
	r := call(t, "check", "-c", cfg, "--send-to", "ann@example.com").want(t, 0)
	if !strings.Contains(r.out, "ok       send to a***@example.com: mail accepted it") {
		t.Errorf("check --send-to prints %s, want that mail accepted the message", r.out)
	}
	call(t, "check", "-c", cfg, "--connector", "backup", "--send-to", "ann@example.com").want(t, 0)
	call(t, "check", "-c", cfg, "--send-to", "13012345678").want(t, 0)
	got := inbox(t, sandboxURL, "")
	if len(got) != 3 {
		t.Fatalf("the inbox has %d messages, want 3: %v", len(got), got)
	}
	check.Equal(t, "templateParam of the SMS", got[0]["templateParam"], any(`{"code":"000000"}`))
	check.Equal(t, "templateCode of the SMS", got[0]["templateCode"], any("SMS_5"))
	check.Equal(t, "fromAlias of the mail by backup", got[1]["fromAlias"], any("Backup"))
	check.Equal(t, "htmlBody of the mail", got[2]["htmlBody"], any("<p>Your code is 000000.</p>"))
	check.Equal(t, "textBody of the mail", got[2]["textBody"], any("Your code is 000000."))
	for want, args := range map[string][]string{
		"no connector can send it": {"--connector", "backup", "--send-to", "13012345678"},
		"not a phone number":       {"--send-to", "nobody"},
		`no connector "nobody"`:    {"--connector", "nobody", "--send-to", "13012345678"},
	} {
		r := call(t, append([]string{"check", "-c", cfg}, args...)...).want(t, exitFailed)
		if !strings.Contains(r.out+r.err, want) {
			t.Errorf("%v: the output lacks %q: %s%s", args, want, r.out, r.err)
		}
	}
}

func TestPreview(t *testing.T) {
	t.Parallel()
	cfg := twoChannelsFor(t, "http://127.0.0.1:9")
	html := filepath.Join(t.TempDir(), "preview.html")
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, "connector   mail\nfrom        Sample organization <no-reply@mail.example.com>\nsubject     Sign in\n\nYour code is 000000.\n"},
		{
			[]string{"--type", "Register", "--payload", "code=482913", "--payload", "user.name=<Ann>", "--payload", "organization.name=Acme"},
			"connector   mail\nfrom        Acme <no-reply@mail.example.com>\nsubject     Welcome <Ann>\n\nYour code is 482913 [extra.deep]\n",
		},
		{
			[]string{"--connector", "backup", "--type", "Register", "--locale", "zh-Hans-SG", "--html", html},
			"connector   backup\nfrom        Backup <no-reply@mail.example.com>\nsubject     欢迎\n\n您的验证码 000000\n",
		},
		{[]string{"--html", "-"}, "<p>Your code is 000000.</p>\n"},
		{[]string{"--connector", "overseas", "--to", "+85291234567"}, "connector   overseas\ntemplate    SMS_3\nparameters  {\"code\":\"000000\"}\n"},
	} {
		if r := call(t, append([]string{"preview", "-c", cfg}, c.args...)...).want(t, 0); r.out != c.want {
			t.Errorf("%v: got %q, want %q", c.args, r.out, c.want)
		}
	}
	b, err := os.ReadFile(html)
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "the file of --html", string(b), "<p>您的验证码 <b>000000</b></p>")
	var p preview
	r := call(t, "preview", "-c", cfg, "--json").want(t, 0)
	if err := json.Unmarshal([]byte(r.out), &p); err != nil {
		t.Fatalf("--json prints no JSON: %v: %s", err, r.out)
	}
	check.Equal(t, "html of --json", p.HTML, "<p>Your code is 000000.</p>")
	check.Equal(t, "text of --json", p.Text, "Your code is 000000.")
	for want, c := range map[string]struct {
		args []string
		exit int
	}{
		"not a usage type":     {[]string{"--type", "Login"}, exitUsage},
		"has no HTML":          {[]string{"--connector", "mainland", "--html", html}, exitFailed},
		"not a phone number":   {[]string{"--connector", "mainland", "--to", "x"}, exitUsage},
		`has no connector "x"`: {[]string{"--connector", "x"}, exitFailed},
	} {
		if r := call(t, append([]string{"preview", "-c", cfg}, c.args...)...).want(t, c.exit); !strings.Contains(r.err, want) {
			t.Errorf("%v: the error lacks %q: %s", c.args, want, r.err)
		}
	}
}
