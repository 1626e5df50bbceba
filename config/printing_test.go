package config_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/rs/zerolog"
)

// TestConnectorsDontShowTheirSecrets prints every connector and its settings in
// every way that a debugging line could.
func TestConnectorsDontShowTheirSecrets(t *testing.T) {
	const mark = "MARKED"
	mails := `[{usageType: Register, subject: s, content: "{{code}}"}, {usageType: SignIn, subject: s, content: "{{code}}"}, ` +
		`{usageType: ForgotPassword, subject: s, content: "{{code}}"}, {usageType: Generic, subject: s, content: "{{code}}"}]`
	sms := `[{usageType: Register, templateCode: SMS_1}, {usageType: SignIn, templateCode: SMS_1}, ` +
		`{usageType: ForgotPassword, templateCode: SMS_1}, {usageType: Generic, templateCode: SMS_1}]`
	mas := strings.ReplaceAll(sms, "SMS_1", `"100001"`)
	c := mustParse(t, "apps:\n  default: {email: [smtp]}\nconnectors:\n"+
		"  smtp: {type: smtp, host: h, port: 25, auth: {user: u, pass: MARKED}, fromEmail: a@b.c, templates: "+mails+"}\n"+
		"  sendgrid: {type: sendgrid, apiKey: SG.MARKED, fromEmail: a@b.c, templates: "+mails+"}\n"+
		"  ses: {type: aws-ses, accessKeyId: MARKED, accessKeySecret: MARKED, sessionToken: MARKED, region: us-east-1, emailAddress: a@b.c, templates: "+mails+"}\n"+
		"  dm: {type: aliyun-dm, accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, accountName: a@b.c, templates: "+mails+"}\n"+
		"  sms: {type: aliyun-sms, accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, signName: x, templates: "+sms+"}\n"+
		"  mas: {type: aliyun-sms-mas, accessKeyId: MARKED, accessKeySecret: MARKED, securityToken: MARKED, signName: x, templates: "+mas+"}\n", nil)
	for name, conn := range c.Connectors {
		snd, err := conn.Settings.New()
		if err != nil {
			t.Fatal(name, err)
		}
		for _, v := range []any{snd, conn.Settings, conn, &conn, []any{snd}} {
			var log strings.Builder
			logger := zerolog.New(&log)
			logger.Info().Interface("a", v).Msg("")
			shown := log.String()
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x", "%X", "%t", "%p", "%c"} {
				shown += fmt.Sprintf(verb, v)
			}
			for _, form := range []string{mark, fmt.Sprintf("%x", mark), fmt.Sprintf("%X", mark), "[77 65 82 75 69 68]"} {
				if i := strings.Index(shown, form); i >= 0 {
					t.Errorf("%s, as %T: …%s…", name, v, shown[max(0, i-80):min(len(shown), i+20)])
				}
			}
		}
	}
}
