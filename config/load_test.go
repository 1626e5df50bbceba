package config_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

func TestTheExampleLoads(t *testing.T) {
	got := mustParse(t, example, nil)
	mail := func(typ messages.Type, subject string) sender.MailTemplate {
		return sender.MailTemplate{UsageType: typ, Subject: subject, Content: "Your code is {{code}}."}
	}
	sms := func(typ messages.Type, china, overseas string) aliyunsms.Template {
		return aliyunsms.Template{UsageType: typ, TemplateCode: aliyunsms.TemplateCode{China: china, Overseas: overseas}}
	}
	want := &config.Config{
		NATS: config.NATS{
			URL: "nats://127.0.0.1:4222", Listen: "127.0.0.1:4222", Creds: "/run/secrets/worker.creds", Replicas: 3, MaxBytes: 1 << 30,
		},
		DataDir: "./data",
		Listen:  "127.0.0.1:8080",
		Apps:    map[string]config.App{"default": {Email: []config.Step{{Connector: "direct-mail"}}, SMS: []config.Step{{Connector: "aliyun-sms"}}, CodeTTL: 10 * time.Minute}},
		Connectors: map[string]config.Connector{
			"direct-mail": {Type: "aliyun-dm", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: &aliyundm.Config{
				Account:     aliyun.Account{AccessKeyID: sender.NewSecret(keyID), AccessKeySecret: sender.NewSecret(keySecret), RegionID: "cn-hangzhou"},
				AccountName: "no-reply@mail.example.com", FromAlias: "Example",
				Templates: []sender.MailTemplate{
					mail(messages.Register, "Welcome"), mail(messages.SignIn, "Sign in"),
					{UsageType: messages.ForgotPassword, Subject: "New password", ContentFile: "<p>Your code is {{code}}.</p>\n"},
					mail(messages.Generic, "Code"),
				},
			}},
			"aliyun-sms": {Type: "aliyun-sms", OnDoubt: config.Resend, AskGrace: config.DefaultAskGrace, Settings: &aliyunsms.Config{
				Account: aliyun.Account{AccessKeyID: sender.NewSecret(keyID), AccessKeySecret: sender.NewSecret(keySecret), Endpoint: "http://127.0.0.1:18080"}, SignName: "Example",
				Templates: []aliyunsms.Template{
					sms(messages.Register, "SMS_123456789", "SMS_123456789"), sms(messages.SignIn, "SMS_1", "SMS_2"),
					sms(messages.ForgotPassword, "SMS_3", "SMS_3"), sms(messages.Generic, "SMS_4", "SMS_4"),
				},
			}},
		},
		Worker: config.Default().Worker,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
	if o := got.NATS.StreamOptions(); o != (messages.StreamOptions{Replicas: 3, MaxBytes: 1 << 30}) {
		t.Errorf("StreamOptions() = %+v", o)
	}
	app := got.Apps["default"]
	if app.Route(messages.Email)[0].Connector != "direct-mail" || app.Route(messages.SMS)[0].Connector != "aliyun-sms" {
		t.Errorf("routes are %v and %v", app.Route(messages.Email), app.Route(messages.SMS))
	}
}

// minimal is a configuration that says as little as it can.
const minimal = `apps:
  default:
    sms: [a]
connectors:
  a:
    type: aliyun-sms
    accessKeyId: x
    accessKeySecret: x
    signName: x
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_1}
      - {usageType: ForgotPassword, templateCode: SMS_1}
      - {usageType: Generic, templateCode: SMS_1}
`

func TestDefaults(t *testing.T) {
	// What stands there without a value is as if it were left out.
	for name, text := range map[string]string{
		"left out": minimal,
		"empty":    minimal + "nats:\nworker: {concurrency: , retry: ~}\nlisten: null\n",
	} {
		got := mustParse(t, text, nil)
		want := config.Default()
		if got.NATS != want.NATS || got.Worker != want.Worker || got.Listen != want.Listen || got.DataDir != want.DataDir {
			t.Errorf("%s: %+v", name, got)
		}
		if ttl := got.Apps["default"].CodeTTL; ttl != config.DefaultCodeTTL {
			t.Errorf("%s: codeTTL is %v", name, ttl)
		}
		if c := got.Connectors["a"]; c.OnDoubt != config.Resend || c.AskGrace != 3*time.Second || c.RateLimit != 0 {
			t.Errorf("%s: connector is %+v", name, c)
		}
	}
	got := config.Default()
	if want := (config.NATS{Listen: "127.0.0.1:4222", Replicas: 1, MaxBytes: 1 << 30}); got.NATS != want || got.DataDir != "./data" || got.Listen != "127.0.0.1:8080" {
		t.Errorf("Default() = %+v", got)
	}
	w := got.Worker
	retry := config.Retry{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute, RandomizationFactor: 0.5, MaxAttempts: 8}
	if w.Concurrency != 64 || w.Claims != config.ClaimsAuto || w.Grace != 25*time.Second || w.Retry != retry {
		t.Errorf("Default().Worker = %+v", w)
	}
}

func TestValuesAreRead(t *testing.T) {
	c := mustParse(t, minimal+`nats: {maxBytes: 512 MiB, url: "nats://a, nats://b", replicas: "3"}
worker: {concurrency: 7, claims: "off", grace: 1m30s, retry: {multiplier: 1.5, maxAttempts: 1}}
`, nil)
	if c.NATS.MaxBytes != 512<<20 || c.NATS.Replicas != 3 || c.Worker.Concurrency != 7 || c.Worker.Claims != config.ClaimsOff ||
		c.Worker.Grace != 90*time.Second || c.Worker.Retry.Multiplier != 1.5 || c.Worker.Retry.MaxAttempts != 1 {
		t.Errorf("got %+v", c)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{"1": 1, "1KiB": 1 << 10, "64MiB": 64 << 20, "3 GiB": 3 << 30} {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d, %v", text, b, err)
		}
	}
	for _, text := range []string{"", "0", "-1", "1MB", "1.5GiB", "KiB", "9999999999GiB", "1KiBKiB"} {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d", text, b)
		}
	}
}

func TestEveryMistakeIsReportedInOrder(t *testing.T) {
	text := edit(t, "concurrency: 64", "concurrency: many")
	text = strings.Replace(text, "regionId: cn-hangzhou", "regionID: cn-hangzhou", 1)
	text = strings.Replace(text, "[aliyun-sms]", "[aliyun-smms]", 1)
	wantProblems(t, text, nil,
		`codeferry.yaml:9:41: apps.default.sms[0] names the connector "aliyun-smms", which is not there; there is aliyun-sms, direct-mail`,
		`codeferry.yaml:15:5: connectors.direct-mail.regionID is no field here; did you mean regionId?`,
		`codeferry.yaml:36:16: worker.concurrency "many" is not a whole number`,
	)
}

func TestMistakes(t *testing.T) {
	const secret = "${ALIBABA_CLOUD_ACCESS_KEY_SECRET}"
	tests := []struct {
		old, replacement string // what is changed in the example
		want             string
	}{
		// Fields.
		{"replicas: 3", "replica: 3", "5:3: nats.replica is no field here; did you mean replicas?"},
		{"replicas: 3", "REPLICAS: 3", "5:3: nats.REPLICAS is no field here; did you mean replicas?"},
		{"replicas: 3", "frobnicate: 3", "5:3: nats has a field here that it does not take; its fields are creds, inboxPrefix, listen, maxBytes, replicas, url"},
		{"accountName:", "acountName:", "16:5: connectors.direct-mail.acountName is no field here; did you mean accountName?"},
		{"dataDir:", "dataDri:", "6:1: dataDri is no field here; did you mean dataDir?"},
		{"{usageType: Register, subject", "{usageTyp: Register, subject", "19:7: connectors.direct-mail.templates has no template for Register; Register, SignIn, ForgotPassword, Generic are required\n19:10: connectors.direct-mail.templates[0].usageTyp is no field here; did you mean usageType?"},
		{"china: SMS_1", "chinna: SMS_1", "31:44: connectors.aliyun-sms.templates[1].templateCode.chinna is no field here; did you mean china?"},

		// Values.
		{"replicas: 3", "replicas: three", `5:13: nats.replicas "three" is not a whole number`},
		{"replicas: 3", "replicas: 3.0", `5:13: nats.replicas "3.0" is not a whole number`},
		{"replicas: 3", "replicas: 9", "5:13: nats.replicas is 9; it takes 1 to 5"},
		{"replicas: 3", "inboxPrefix: a.>", `5:16: nats.inboxPrefix "a.>" is no beginning of a subject, such as _INBOX_worker`},
		{"replicas: 3", "inboxPrefix: _INBOX.", `5:16: nats.inboxPrefix "_INBOX." is no beginning of a subject, such as _INBOX_worker`},
		{"replicas: 3", "inboxPrefix: a b", `5:16: nats.inboxPrefix "…" is no beginning of a subject, such as _INBOX_worker`},
		{"replicas: 3", "maxBytes: 1GB", `5:13: nats.maxBytes "1GB" is no size; write it like 512MiB`},
		{"  url: nats://127.0.0.1:4222\n", "", "4:13: nats.replicas is 3, and the embedded server is one alone; give nats.url, or leave it out"},
		{"dataDir: ./data", "dataDir: 7", "6:10: dataDir is not text; put it in quotes"},
		{"dataDir: ./data", "dataDir: no", ""},
		{"dataDir: ./data", "dataDir: true", "6:10: dataDir is not text; put it in quotes"},
		{"dataDir: ./data", "dataDir: [x]", "6:10: dataDir is a list; it takes text"},
		{"dataDir: ./data", "dataDir: {x: y}", "6:10: dataDir is a mapping; it takes text"},
		{"listen: 127.0.0.1:8080", "listen: nowhere", `7:9: listen "nowhere" is no address; it takes a host and a port, such as 127.0.0.1:8080`},
		{"listen: 127.0.0.1:8080", "listen: localhost:http", `7:9: listen "localhost:http" is no address; it takes a host and a port, such as 127.0.0.1:8080`},
		{"listen: 127.0.0.1:8080", "listen: :8080", ""},
		{"codeTTL: 10m", "codeTTL: 10", `9:63: apps.default.codeTTL "10" is not a duration such as 10s or 5m`},
		{"codeTTL: 10m", "codeTTL: 10 m", `9:63: apps.default.codeTTL "…" is not a duration such as 10s or 5m`},
		{"codeTTL: 10m", "codeTTL: 0s", `9:63: apps.default.codeTTL "0s" is not a duration such as 10s or 5m`},
		{"codeTTL: 10m", "codeTTL: -10m", `9:63: apps.default.codeTTL "-10m" is not a duration such as 10s or 5m`},
		{"strictPhoneRegionNumberCheck: false", "strictPhoneRegionNumberCheck: maybe", `34:35: connectors.aliyun-sms.strictPhoneRegionNumberCheck "maybe" is not true or false`},
		{"concurrency: 64", "concurrency: 0", "36:16: worker.concurrency is 0; it takes 1 to 10000"},
		{"claims: auto", "claims: maybe", `37:11: worker.claims "maybe" is none of auto, on and off`},
		{"initialInterval: 1s", "initialInterval: 2m", "38:28: worker.retry.initialInterval is 2m0s, longer than maxInterval (1m0s)"},
		{"multiplier: 2", "multiplier: 0.5", "38:44: worker.retry.multiplier is 0.5; it takes 1 or more"},
		{"multiplier: 2", "multiplier: NaN", `38:44: worker.retry.multiplier "NaN" is not a number`},
		{"multiplier: 2", "multiplier: .inf", `38:44: worker.retry.multiplier ".inf" is not a number`},
		{"randomizationFactor: 0.5", "randomizationFactor: 1.5", "38:85: worker.retry.randomizationFactor is 1.5; it takes 0 to 1"},
		{"maxAttempts: 8", "maxAttempts: 0", "38:103: worker.retry.maxAttempts is 0; it takes 1 or more"},
		{"nats:\n", "nats: x\nworke: # ", "1:7: nats is text; it takes a mapping of names to values\n2:1: worke is no field here; did you mean worker?"},

		// Apps and their routes.
		{"[direct-mail]", "[direct-mial]", `9:21: apps.default.email[0] names the connector "direct-mial", which is not there; there is aliyun-sms, direct-mail`},
		{"[direct-mail]", "[aliyun-sms]", `9:21: apps.default.email[0] names the connector "aliyun-sms", which sends sms`},
		{"[aliyun-sms]", "[direct-mail]", `9:41: apps.default.sms[0] names the connector "direct-mail", which sends email`},
		{"[direct-mail]", "[direct-mail, direct-mail]", `9:34: apps.default.email[1] names the connector "direct-mail" a second time`},
		{"[direct-mail]", "direct-mail", "9:20: apps.default.email is text; it takes a list"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "{codeTTL: 10m}", "9:12: apps.default has no connector; give it email or sms"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "", "9:3: apps.default has no connector; give it email or sms"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "{email: direct-mail}", "9:20: apps.default.email is text; it takes a list"},
		{"default: {email", "de.fault: {email", "9:13: apps.de.fault is no app name; it takes 1 to 128 of A-Z a-z 0-9 _ -"},
		{"listen: 127.0.0.1:8080\napps:\n  default:", "apps:\nlisten: # ", "7:1: apps is required: the connectors of each app, such as {default: {email: [direct-mail]}}"},

		// Connectors.
		{"type: aliyun-dm\n", "type: aliyun-md\n", `12:11: connectors.direct-mail.type "aliyun-md" is no type of connector; it is one of aliyun-dm, aliyun-sms, aliyun-sms-mas, aws-ses, sendgrid, smtp`},
		{"    type: aliyun-dm\n", "", "12:5: connectors.direct-mail.type is required: one of aliyun-dm, aliyun-sms, aliyun-sms-mas, aws-ses, sendgrid, smtp"},
		{"connectors:\n", "connectors:\n  nothing:\n", "11:3: connectors.nothing.type is required: one of aliyun-dm, aliyun-sms, aliyun-sms-mas, aws-ses, sendgrid, smtp"},
		{"connectors:\n", "connectors:\n  nothing: x\n", "11:12: connectors.nothing is text; it takes a mapping of names to values"},
		{"type: aliyun-dm\n", "type: aliyun-dm\n    onDoubt: what\n", `13:14: connectors.direct-mail.onDoubt "what" is neither resend nor dead`},
		{"type: aliyun-dm\n", "type: aliyun-dm\n    rateLimit: -1\n", "13:16: connectors.direct-mail.rateLimit is negative; it takes messages a second, and 0 for no limit"},
		{"type: aliyun-dm\n", "type: aliyun-dm\n    rateLimit: NaN\n", `13:16: connectors.direct-mail.rateLimit "NaN" is not a number`},
		{"regionId: cn-hangzhou", "regionId: cn-nowhere", `15:15: connectors.direct-mail.regionId …`},
		{"endpoint: http://127.0.0.1:18080", "endpoint: ftp://x", `27:15: connectors.aliyun-sms.endpoint …`},
		{"fromAlias: Example", "fromAlias: fifteen letters", "17:16: connectors.direct-mail.fromAlias …"},
		{"fromAlias: Example", "fromAlias: 十四个字符十四个字符十四个字", ""},
		{"accountName: no-reply@mail.example.com", "accountName: no", `16:18: connectors.direct-mail.accountName …`},
		{"    accountName: no-reply@mail.example.com\n", "", "12:5: connectors.direct-mail.accountName is required"},

		// Templates.
		{"{usageType: SignIn, subject", "{usageType: BindMfa, subject", "19:7: connectors.direct-mail.templates has no template for SignIn; Register, SignIn, ForgotPassword, Generic are required"},
		{"      - {usageType: Generic, templateCode: SMS_4}\n", "", "30:7: connectors.aliyun-sms.templates has no template for Generic; Register, SignIn, ForgotPassword, Generic are required"},
		{"{usageType: Generic, subject", "{usageType: Test, subject", ""},
		{"{usageType: Generic, templateCode: SMS_4}", "{usageType: Generic, templateCode: SMS_4}\n      - {usageType: Test, templateCode: SMS_5}", "34:21: connectors.aliyun-sms.templates[4].usageType Test has a template already: templates[3]"},
		{"{usageType: Generic, templateCode: SMS_4}", "{usageType: Generic, templateCode: SMS_4}\n      - {usageType: SignIn, templateCode: SMS_5}", "34:21: connectors.aliyun-sms.templates[4].usageType SignIn has a template already: templates[1]"},
		{"SMS_3", "TMS_3", `32:51: connectors.aliyun-sms.templates[2].templateCode …`},
		{"SMS_3", "SMS_3, type: 3", `32:64: connectors.aliyun-sms.templates[2].type …`},
		{"contentFile: forgot.html", "contentFile: gone.html", "21:75: connectors.direct-mail.templates[2].contentFile names a file that can't be read: open gone.html: file does not exist"},

		// References.
		{secret, "${UNSET}", "14:22: connectors.direct-mail.accessKeySecret needs the environment variable UNSET, which is not set"},
		{secret, "${EMPTY}", "14:22: connectors.direct-mail.accessKeySecret is required"},
		{secret, "${file:gone}", "14:22: connectors.direct-mail.accessKeySecret names a file that can't be read: open gone: file does not exist"},
		{secret, "${file:/run/gone}", "14:22: connectors.direct-mail.accessKeySecret names a file that can't be read: open /run/gone: file does not exist"},
		{secret, "${a-b}", "14:22: connectors.direct-mail.accessKeySecret holds a ${…} that is neither ${NAME} nor ${file:PATH}; write $${ for a plain ${"},
		{secret, "${}", "14:22: connectors.direct-mail.accessKeySecret holds a ${…} that is neither ${NAME} nor ${file:PATH}; write $${ for a plain ${"},
		{secret, "123456", "14:22: connectors.direct-mail.accessKeySecret is not text; put it in quotes"},
		{"codeTTL: 10m", "codeTTL: \"${EMPTY}\"", `9:63: apps.default.codeTTL "" is not a duration such as 10s or 5m`},

		// YAML.
		{"replicas: 3", "replicas: 3\n  replicas: 3", `6:3: is no YAML: mapping key "…" already defined at [5:3]`},
		{"replicas: 3", "replicas: 3\n  \"replicas\": 3", `6:3: is no YAML: mapping key "…" already defined at [5:3]`},
		{"worker:\n", "---\nworker:\n", "36:1: begins a second YAML document; the file takes one"},
		{"concurrency: 64", "concurrency: 64\n\tclaims: auto", "37:1: is no YAML: found character '\t' that cannot start any token"},
		{"[direct-mail]", "[direct-mail", "9:65: is no YAML: value is not allowed in this context. map key-value is pre-defined"},
		{"dataDir: ./data", "dataDir: @x", "6:10: is no YAML: '@' is a reserved character"},
		{"dataDir: ./data", "dataDir: *gone", "6:10: dataDir refers to an anchor that is not there; text that begins with * goes in quotes"},
		{"dataDir: ./data", "dataDir: &a *a", "6:13: is no YAML: unexpected scalar value type"},
		{"worker:\n", "worker: &w\n  <<: *w\n", "36:3: worker merges itself"},
		{"worker:\n", "worker:\n  <<: [x]\n", "36:7: worker is a list; it takes a mapping of names to values"},
		{"dataDir: ./data", "dataDir: &a ${TTL}", ""},
		{"replicas: 3", "? {a: b}\n  : c", "6:3: is no YAML: found an invalid key for this map"},
	}
	for _, tt := range tests {
		t.Run(tt.old+" to "+tt.replacement, func(t *testing.T) {
			text := edit(t, tt.old, tt.replacement)
			if tt.want == "" {
				mustParse(t, text, nil)
				return
			}
			want := strings.Split(tt.want, "\n")
			for i := range want {
				want[i] = "codeferry.yaml:" + want[i]
			}
			wantProblems(t, text, nil, want...)
		})
	}
}

func TestFilesThatHoldNoConfiguration(t *testing.T) {
	for text, want := range map[string]string{
		"":                    "codeferry.yaml: is empty",
		" \n\n":               "codeferry.yaml: is empty",
		"# nothing":           "codeferry.yaml: is empty",
		"---\n...\n":          "codeferry.yaml: is empty",
		"\ufeff":              "codeferry.yaml: is empty",
		"x":                   "codeferry.yaml:1:1: is text; it takes a mapping of names to values",
		"\n [x]":              "codeferry.yaml:2:2: is a list; it takes a mapping of names to values",
		"{}":                  "codeferry.yaml:1:1: apps is required: the connectors of each app, such as {default: {email: [direct-mail]}}",
		"--- x\n---\n--- y\n": "codeferry.yaml:2:1: begins a second YAML document; the file takes one",
		"---\n---\nx: y\n":    "codeferry.yaml:2:1: begins a second YAML document; the file takes one",
		"x: y\n...\nx: y\n":   "codeferry.yaml:3:1: begins a second YAML document; the file takes one",
	} {
		wantProblems(t, text, nil, want)
	}
}

func TestFormsOfText(t *testing.T) {
	want := mustParse(t, example, nil)
	for name, text := range map[string]string{
		"byte order mark": "\ufeff" + example,
		"CRLF":            strings.ReplaceAll(example, "\n", "\r\n"),
		"begin marked":    "---\n" + example,
		"end marked":      example + "...\n",
	} {
		if got := mustParse(t, text, nil); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v", name, got)
		}
	}
}

// The parser counts some lines twice and puts some values behind the file.
func TestPositions(t *testing.T) {
	wantProblems(t, "listen: \"127.0.0.1\r\n   :80\"\r\ndataDir: 7\r\n"+minimal, nil,
		"codeferry.yaml:3:10: dataDir is not text; put it in quotes")
	wantProblems(t, minimal+"      -", nil,
		"codeferry.yaml:15:8: connectors.a.templates[4].templateCode …",
		"codeferry.yaml:15:8: connectors.a.templates[4].usageType is required")
	wantProblems(t, "dataDir: {é: é, ü: 'ü'} # ü\n"+minimal, nil,
		"codeferry.yaml:1:10: dataDir is a mapping; it takes text")
}

func TestAnchorsAndMerges(t *testing.T) {
	text := strings.Replace(minimal, "    accessKeyId: x\n    accessKeySecret: x\n", "    <<: *other\n    accessKeyId: mine\n", 1) + `  b: &other
    type: aliyun-sms
    accessKeyId: x
    accessKeySecret: &secret y
    signName: *secret
    templates: *templates
`
	text = strings.Replace(text, "templates:\n", "templates: &templates\n", 1)
	c := mustParse(t, text, nil)
	a, okA := c.Connectors["a"].Settings.(*aliyunsms.Config)
	b, okB := c.Connectors["b"].Settings.(*aliyunsms.Config)
	if !okA || !okB || a.AccessKeyID.Reveal() != "mine" || a.AccessKeySecret.Reveal() != "y" || b.SignName != "y" || !reflect.DeepEqual(a.Templates, b.Templates) {
		t.Errorf("got %+v and %+v", a, b)
	}
	wantProblems(t, "apps: {a: &x {sms: [a]}, b: &x {sms: [a]}}\n"+minimal[strings.Index(minimal, "connectors:"):], nil,
		"codeferry.yaml:1:29: sets an anchor that stands elsewhere, too; give it another name")
}

// A small file can ask for much. It is refused soon, and in one line.
func TestTooMuch(t *testing.T) {
	repeat := strings.Repeat
	var laughs strings.Builder
	fmt.Fprintf(&laughs, "apps: {default: {sms: [c0]}}\nconnectors:\n  c0: &c\n    type: aliyun-sms\n    templates: &t\n      - &l {usageType: SignIn}\n")
	laughs.WriteString(repeat("      - *l\n", 1000))
	for i := range 1000 {
		fmt.Fprintf(&laughs, "  c%d: *c\n", i+1)
	}
	var merges strings.Builder
	merges.WriteString("worker: &w0 {concurrency: 1}\n")
	for i := range 1000 {
		fmt.Fprintf(&merges, "x%d: &w%d {<<: *w%d, a%d: 1}\n", i, i+1, i, i)
	}
	for name, tt := range map[string]struct{ text, want string }{
		"flow lists":       {repeat("[", 10_000), "is nested too deeply"},
		"flow maps":        {repeat("{a: ", 20_000), "holds too much"},
		"many fields":      {repeat("a: b\n", 20_000), "holds too much"},
		"aliases":          {laughs.String(), "the aliases make too much of the file"},
		"merges":           {merges.String(), "has a field here"},
		"self in a list":   {"apps: &a {default: {sms: [*a]}}", "apps.default.sms[0] has a field here that it does not take"},
		"self in a map":    {"connectors: &a {x: *a}", "connectors.x"},
		"merge of a merge": {"apps: &a {<<: {<<: {<<: *a}}}", "apps merges itself"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := parse(tt.text, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %.200v, want one that holds %q", err, tt.want)
			}
			if d := time.Since(begin); d > 30*time.Second { // on a busy machine with the race detector; without the bound on aliases it is hours
				t.Errorf("it took %v", d)
			}
		})
	}
}

func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	t.Setenv("CODEFERRY_TEST_KEY", "from the environment")
	write("secret", "from a file\r\n")
	path := write("codeferry.yaml", strings.NewReplacer(
		"accessKeyId: x", "accessKeyId: ${CODEFERRY_TEST_KEY}",
		"accessKeySecret: x", "accessKeySecret: ${file:secret}",
	).Replace(minimal))
	c, err := config.Load(path, config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	s, ok := c.Connectors["a"].Settings.(*aliyunsms.Config)
	if !ok || s.AccessKeyID.Reveal() != "from the environment" || s.AccessKeySecret.Reveal() != "from a file" {
		t.Errorf("keys are %q and %q", s.AccessKeyID.Reveal(), s.AccessKeySecret.Reveal())
	}
	if _, err := config.Load(filepath.Join(dir, "gone.yaml"), config.Env{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error of a file that is not there: %v", err)
	}
	var problems config.Problems
	if _, err := config.Load(write("broken.yaml", "nats: x\n"+minimal), config.Env{}); !errors.As(err, &problems) || problems[0].Line != 1 || problems[0].Path != "nats" {
		t.Errorf("error of a broken file: %v", err)
	}
}
