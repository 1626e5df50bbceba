package config_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

// withFiles has connectors with their fields in files. Tests add fields below each.
const withFiles = `apps:
  default: {email: [direct-mail], sms: [aliyun-sms]}
connectors:
  direct-mail:
    type: aliyun-dm
    file: logto/aliyun-dm.json
  aliyun-sms:
    type: aliyun-sms
    file: logto/aliyun-sms.json
`

// mailJSON is connector JSON of Logto's console, indented with tabs and with the escapes of
// some editors.
const mailJSON = `{
	"accessKeyId": "LTAIfromFile",
	"accessKeySecret": "secret\/from\u002Ffile",
	"regionId":"ap-southeast-1",
	"accountName": "no-reply@mail.example.com",
	"fromAlias": "\u6e21\u8239 \ud83d\udea2",
	"templates": [
		{
			"subject": "<Welcome> \ud83d\udea2\ud83d\ude80",
			"content": "<p class=\"a\">\n\tYour code is {{code}}. # {not: yaml}, 'nor' this: - \\ \t<\/p>",
			"usageType": "Register"
		},
		{"usageType": "SignIn", "subject": "S", "content": "{{code}}"},
		{"usageType": "ForgotPassword", "subject": "F", "content": "{{code}} \u00e9 é 码"},
		{"usageType": "Test", "subject": "G", "content": "{{code}}"}
	]
}
`

const smsJSON = `{"accessKeyId":"LTAIfromFile","accessKeySecret":"secretFromFile","signName":"\u6e21\u8239","templates":[` +
	`{"usageType":"Register","templateCode":{"china":"SMS_1","overseas":"SMS_2"},"type":2},` +
	`{"usageType":"SignIn","templateCode":"SMS_3","type":"7"},{"usageType":"ForgotPassword","templateCode":"SMS_4"},` +
	`{"templateCode":{"overseas":"SMS_5"},"usageType":"Generic"}],"strictPhoneRegionNumberCheck":true}`

func logtoFiles() map[string]string {
	return map[string]string{"/etc/codeferry/logto/aliyun-dm.json": mailJSON, "/etc/codeferry/logto/aliyun-sms.json": smsJSON}
}

func TestConnectorFiles(t *testing.T) {
	files := logtoFiles()
	files["/etc/codeferry/logto/aliyun-dm.json"] = "\ufeff\t\n\t" + strings.ReplaceAll(mailJSON, "\n", "\r\n")
	c := mustParse(t, withFiles, files)
	mail := mailSettings(t, c)
	check.Equal(t, "accessKeySecret", mail.AccessKeySecret.Reveal(), "secret/from/file")
	check.Equal(t, "fromAlias", mail.FromAlias, "渡船 🚢")
	check.Equal(t, "regionId", mail.RegionID, "ap-southeast-1")
	want := []sender.MailTemplate{
		{UsageType: messages.Register, Subject: "<Welcome> 🚢🚀", Content: "<p class=\"a\">\n\tYour code is {{code}}. # {not: yaml}, 'nor' this: - \\ \t</p>"},
		{UsageType: messages.SignIn, Subject: "S", Content: "{{code}}"},
		{UsageType: messages.ForgotPassword, Subject: "F", Content: "{{code}} é é 码"},
		{UsageType: messages.Test, Subject: "G", Content: "{{code}}"},
	}
	if !reflect.DeepEqual(mail.Templates, want) {
		t.Errorf("templates are %q, want %q", mail.Templates, want)
	}
	sms := smsSettings(t, c)
	check.Equal(t, "signName", sms.SignName, "渡船")
	check.Equal(t, "strictPhoneRegionNumberCheck", sms.StrictPhoneRegionNumberCheck, true)
	if len(sms.Templates) != 4 {
		t.Fatalf("aliyun-sms has %d templates, want 4", len(sms.Templates))
	}
	for i, want := range []aliyunsms.TemplateCode{{China: "SMS_1", Overseas: "SMS_2"}, {China: "SMS_3", Overseas: "SMS_3"}, {China: "SMS_4", Overseas: "SMS_4"}, {Overseas: "SMS_5"}} {
		if got := sms.Templates[i].TemplateCode; got != want {
			t.Errorf("templates[%d].templateCode is %+v, want %+v", i, got, want)
		}
	}
	a, b := sms.Templates[0].Type, sms.Templates[1].Type
	if a == nil || b == nil {
		t.Fatalf("the types of the first two templates are %v and %v, want 2 and 7", a, b)
	}
	check.Equal(t, "templates[0].type", *a, 2)
	check.Equal(t, "templates[1].type", *b, 7)
	if c := sms.Templates[2].Type; c != nil {
		t.Errorf("templates[2].type is %v, want none", *c)
	}
}

// TestJSONText: the YAML decoder reads each text in JSON as encoding/json writes it.
func TestJSONText(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	alphabet := []rune("ab \t\n\r\f\b\x00\x1f\x7f\u0085\u00a0\u2028\u2029\ufeff\ufffd\"'\\\\//:#,-?[]&*!|>%@`~é码🚢\U0010ffff")
	for range 500 {
		text := make([]rune, 1+r.IntN(14))
		for i := range text {
			text[i] = alphabet[r.IntN(len(alphabet))]
		}
		want := string(text)
		b, err := json.MarshalIndent(map[string]string{"fromAlias": want}, "\t", "\t")
		if err != nil {
			t.Fatal(err)
		}
		for _, object := range []string{string(b), asciiOnly(string(b))} {
			files := logtoFiles()
			files["/etc/codeferry/logto/aliyun-dm.json"] = strings.Replace(mailJSON, "\t\"fromAlias\": \"\\u6e21\\u8239 \\ud83d\\udea2\"", strings.Trim(object, "{}"), 1)
			c, err := parse(withFiles, files)
			if err != nil {
				t.Fatalf("parse %s: %v", object, err)
			}
			if got := mailSettings(t, c).FromAlias; got != want {
				t.Fatalf("%s is %q, want %q", object, got, want)
			}
		}
	}
}

// asciiOnly escapes all other characters, the higher ones as surrogate pairs.
func asciiOnly(s string) string {
	var b strings.Builder
	for _, unit := range utf16.Encode([]rune(s)) {
		if unit < 0x80 {
			b.WriteByte(byte(unit))
		} else {
			fmt.Fprintf(&b, "\\u%04x", unit)
		}
	}
	return b.String()
}

func TestFieldsOverrideAConnectorFile(t *testing.T) {
	text := strings.NewReplacer(
		// before the file and after it
		"    file: logto/aliyun-dm.json\n", "    regionId: cn-hangzhou\n    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}\n    file: logto/aliyun-dm.json\n    fromAlias: Mine\n    accountName:\n    rateLimit: 2.5\n    onDoubt: dead\n    askGrace: 9s\n",
		"    file: logto/aliyun-sms.json\n", "    file: logto/aliyun-sms.json\n    strictPhoneRegionNumberCheck: false\n    templates: ["+
			"{usageType: Register, templateCode: SMS_9}, {usageType: SignIn, templateCode: SMS_9}, {usageType: ForgotPassword, templateCode: SMS_9}, {usageType: Generic, templateCode: SMS_9}]\n",
	).Replace(withFiles)
	c := mustParse(t, text, logtoFiles())
	mail := mailSettings(t, c)
	check.Equal(t, "regionId", mail.RegionID, "cn-hangzhou")
	check.Equal(t, "accessKeySecret", mail.AccessKeySecret.Reveal(), keySecret)
	check.Equal(t, "fromAlias", mail.FromAlias, "Mine")
	check.Equal(t, "accessKeyId", mail.AccessKeyID.Reveal(), "LTAIfromFile")
	check.Equal(t, "accountName", mail.AccountName, "no-reply@mail.example.com")
	check.Equal(t, "the number of mail templates", len(mail.Templates), 4)
	conn := c.Connectors["direct-mail"]
	check.Equal(t, "rateLimit", conn.RateLimit, 2.5)
	check.Equal(t, "onDoubt", conn.OnDoubt, config.Dead)
	check.Equal(t, "askGrace", conn.AskGrace, 9*time.Second)
	sms := smsSettings(t, c)
	check.Equal(t, "strictPhoneRegionNumberCheck", sms.StrictPhoneRegionNumberCheck, false)
	check.Equal(t, "signName", sms.SignName, "渡船")
	for _, tpl := range sms.Templates {
		if tpl.TemplateCode.China != "SMS_9" {
			t.Errorf("a template of the file is among those of the configuration: %+v", sms.Templates)
		}
	}
}

func TestMistakesInConnectorFiles(t *testing.T) {
	tests := []struct {
		old, replacement string // the change of mailJSON
		want             []string
	}{
		{`"regionId"`, `"regionID"`, []string{"logto/aliyun-dm.json:4:2: connectors.direct-mail.regionID is not a field here; did you mean regionId?"}},
		{`"accountName": "no-reply@mail.example.com"`, `"accountName": 7`, []string{"logto/aliyun-dm.json:5:17: connectors.direct-mail.accountName is not text; put it in quotes"}},
		{"\t\"accountName\": \"no-reply@mail.example.com\",\n", "", []string{"logto/aliyun-dm.json:1:1: connectors.direct-mail.accountName is required"}},
		{`"usageType": "SignIn"`, `"usageType": "BindMfa"`, []string{"logto/aliyun-dm.json:7:15: connectors.direct-mail.templates has no template for SignIn; Register, SignIn, ForgotPassword, Generic are required"}},
		{`"ap-southeast-1",`, `"ap-southeast-1"`, []string{"logto/aliyun-dm.json:5:2: is not YAML: ',' or '}' must be specified"}},
		{mailJSON, "", []string{"logto/aliyun-dm.json: is empty"}},
		{mailJSON, "[]", []string{"logto/aliyun-dm.json:1:1: connectors.direct-mail is a list; it takes a mapping of names to values"}},
	}
	for _, tt := range tests {
		t.Run(tt.replacement, func(t *testing.T) {
			files := logtoFiles()
			if !strings.Contains(mailJSON, tt.old) {
				t.Fatalf("the file does not hold %q", tt.old)
			}
			files["/etc/codeferry/logto/aliyun-dm.json"] = strings.Replace(mailJSON, tt.old, tt.replacement, 1)
			wantProblems(t, withFiles, files, tt.want...)
		})
	}
	wantProblems(t, withFiles, map[string]string{"/etc/codeferry/logto/aliyun-sms.json": smsJSON},
		"codeferry.yaml:6:11: connectors.direct-mail.file can't be read: open logto/aliyun-dm.json: file does not exist")
}

func TestContentFile(t *testing.T) {
	for path, at := range map[string]string{
		"welcome.html": "/etc/codeferry/welcome.html", "mails/welcome.html": "/etc/codeferry/mails/welcome.html",
		"../welcome.html": "/etc/welcome.html", "/srv/welcome.html": "/srv/welcome.html", "${TTL}.html": "/etc/codeferry/3m.html",
	} {
		c := mustParse(t, edit(t, "contentFile: forgot.html", `contentFile: "`+path+`"`), map[string]string{at: "\t{{code}} ${UNSET}\n"})
		if got := mailSettings(t, c).Templates[2].ContentFile; got != "\t{{code}} ${UNSET}\n" {
			t.Errorf("%s is %q", path, got)
		}
	}
}

// TestCredentials: a relative path in credentials also starts at the configuration's folder.
func TestCredentials(t *testing.T) {
	const keys = "    accessKeyId: x\n    accessKeySecret: x\n"
	for path, want := range map[string]sender.FilePath{
		"keys.json": "/etc/codeferry/keys.json", "../keys.json": "/etc/keys.json", "/run/keys.json": "/run/keys.json", "${TTL}.json": "/etc/codeferry/3m.json",
	} {
		c := mustParse(t, strings.Replace(minimal, keys, "    credentials: {type: file, path: \""+path+"\"}\n", 1), nil)
		s, ok := c.Connectors["a"].Settings.(*aliyunsms.Config)
		if want := (aliyun.Credentials{Type: aliyun.File, Path: want}); !ok || s.Credentials != want {
			t.Errorf("%s: %+v, want %+v", path, c.Connectors["a"].Settings, want)
		}
	}
	wantProblems(t, strings.Replace(minimal, keys, "    accessKeyId: x\n    credentials: {type: file}\n", 1), nil,
		"codeferry.yaml:7:18: connectors.a.accessKeyId can't be set together with credentials, which give the keys; remove one of them",
		"codeferry.yaml:8:18: connectors.a.credentials.path is required: a file with accessKeyId and accessKeySecret")
}
