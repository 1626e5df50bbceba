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

	"github.com/codeferry/codeferry/internal/check"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyun"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

func TestParseTheExample(t *testing.T) {
	got := mustParse(t, example, nil)
	mail := func(typ messages.Type, subject string) sender.MailTemplate {
		return sender.MailTemplate{UsageType: typ, Subject: subject, Content: "Your code is {{code}}."}
	}
	sms := func(typ messages.Type, china, overseas string) aliyunsms.Template {
		return aliyunsms.Template{UsageType: typ, TemplateCode: aliyunsms.TemplateCode{China: china, Overseas: overseas}}
	}
	want := &config.Config{
		NATS: config.NATS{
			URL: "nats://127.0.0.1:4222", Listen: "127.0.0.1:4222", Creds: "/run/secrets/worker.creds", Replicas: 3,
		},
		DataDir: "/etc/codeferry/data",
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
	if o := got.NATS.StreamOptions(); o != (wire.StreamOptions{Replicas: 3}) {
		t.Errorf("StreamOptions() = %+v, want only 3 replicas", o)
	}
	app := got.Apps["default"]
	check.Equal(t, "the first connector for email", app.Route(messages.Email)[0].Connector, "direct-mail")
	check.Equal(t, "the first connector for sms", app.Route(messages.SMS)[0].Connector, "aliyun-sms")
}

// minimal is a configuration with only the required settings.
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

// TestDataDir: dataDir is relative to the configuration's folder, like every other path.
func TestDataDir(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                     "/etc/codeferry/data",
		"dataDir: ./here\n":    "/etc/codeferry/here",
		"dataDir: ../there\n":  "/etc/there",
		"dataDir: /srv/data\n": "/srv/data",
	} {
		if got := mustParse(t, text+minimal, nil).DataDir; got != want {
			t.Errorf("%q: dataDir is %s, want %s", text, got, want)
		}
	}
}

func TestDefaults(t *testing.T) {
	// A field without a value is like a field that is left out.
	for name, text := range map[string]string{
		"left out": minimal,
		"empty":    minimal + "nats:\nworker: {concurrency: , retry: ~}\nlisten: null\n",
	} {
		got := mustParse(t, text, nil)
		want := config.Default()
		check.Equal(t, name+", nats", got.NATS, want.NATS)
		check.Equal(t, name+", worker", got.Worker, want.Worker)
		check.Equal(t, name+", listen", got.Listen, want.Listen)
		check.Equal(t, name+", dataDir", got.DataDir, "/etc/codeferry/data")
		check.Equal(t, name+", codeTTL", got.Apps["default"].CodeTTL, config.DefaultCodeTTL)
		c := got.Connectors["a"]
		check.Equal(t, name+", onDoubt", c.OnDoubt, config.Resend)
		check.Equal(t, name+", askGrace", c.AskGrace, 3*time.Second)
		check.Equal(t, name+", rateLimit", c.RateLimit, 0)
	}
	got := config.Default()
	check.Equal(t, "Default().NATS", got.NATS, config.NATS{Listen: "127.0.0.1:4222", Replicas: 1})
	check.Equal(t, "Default().DataDir", got.DataDir, "./data")
	check.Equal(t, "Default().Listen", got.Listen, "127.0.0.1:8080")
	w := got.Worker
	check.Equal(t, "worker.concurrency", w.Concurrency, 64)
	check.Equal(t, "worker.claims", w.Claims, config.ClaimsAuto)
	check.Equal(t, "worker.grace", w.Grace, 25*time.Second)
	check.Equal(t, "worker.retry", w.Retry, config.Retry{InitialInterval: time.Second, Multiplier: 2, MaxInterval: time.Minute, RandomizationFactor: 0.5, MaxAttempts: 8})
}

func TestValuesAreRead(t *testing.T) {
	c := mustParse(t, minimal+`nats: {maxBytes: 512 MiB, url: "nats://a, nats://b", replicas: "3"}
worker: {concurrency: 7, claims: "off", grace: 1m30s, retry: {multiplier: 1.5, maxAttempts: 1}}
`, nil)
	check.Equal(t, "nats.maxBytes", c.NATS.MaxBytes, 512<<20)
	check.Equal(t, "nats.replicas", c.NATS.Replicas, 3)
	check.Equal(t, "worker.concurrency", c.Worker.Concurrency, 7)
	check.Equal(t, "worker.claims", c.Worker.Claims, config.ClaimsOff)
	check.Equal(t, "worker.grace", c.Worker.Grace, 90*time.Second)
	check.Equal(t, "worker.retry.multiplier", c.Worker.Retry.Multiplier, 1.5)
	check.Equal(t, "worker.retry.maxAttempts", c.Worker.Retry.MaxAttempts, 1)
}

func TestDomainAndAPIPrefix(t *testing.T) {
	for text, want := range map[string]config.NATS{
		"domain: hub":             {Domain: "hub"},
		`apiPrefix: $JS.hub.API.`: {APIPrefix: "$JS.hub.API."},
		`apiPrefix: js.hub`:       {APIPrefix: "js.hub"},
	} {
		c := mustParse(t, minimal+"nats: {url: nats://a, "+text+"}\n", nil)
		check.Equal(t, text+", domain", c.NATS.Domain, want.Domain)
		check.Equal(t, text+", apiPrefix", c.NATS.APIPrefix, want.APIPrefix)
	}
}

func TestBytes(t *testing.T) {
	for text, want := range map[string]config.Bytes{"1": 1, "1KiB": 1 << 10, "64MiB": 64 << 20, "3 GiB": 3 << 30} {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err != nil || b != want {
			t.Errorf("%q is %d (error: %v), want %d", text, b, err, want)
		}
	}
	for _, text := range []string{"", "0", "-1", "1MB", "1.5GiB", "KiB", "9999999999GiB", "1KiBKiB"} {
		var b config.Bytes
		if err := b.UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q is %d, want an error", text, b)
		}
	}
}

func TestEveryMistakeIsReportedInOrder(t *testing.T) {
	text := edit(t, "concurrency: 64", "concurrency: many")
	text = strings.Replace(text, "regionId: cn-hangzhou", "regionID: cn-hangzhou", 1)
	text = strings.Replace(text, "[aliyun-sms]", "[aliyun-smms]", 1)
	wantProblems(t, text, nil,
		`codeferry.yaml:9:41: apps.default.sms[0] names the connector "aliyun-smms", which does not exist; connectors has aliyun-sms, direct-mail`,
		`codeferry.yaml:15:5: connectors.direct-mail.regionID is not a field here; did you mean regionId?`,
		`codeferry.yaml:36:16: worker.concurrency "many" is not a whole number`,
	)
}

func TestMistakes(t *testing.T) {
	const secret = "${ALIBABA_CLOUD_ACCESS_KEY_SECRET}"
	tests := []struct {
		old, replacement string // the change of the example
		want             string
	}{
		// Fields.
		{"replicas: 3", "replica: 3", "5:3: nats.replica is not a field here; did you mean replicas?"},
		{"replicas: 3", "REPLICAS: 3", "5:3: nats.REPLICAS is not a field here; did you mean replicas?"},
		{"replicas: 3", "frobnicate: 3", "5:3: nats.frobnicate is not a field here; the fields are apiPrefix, creds, deadBytes, domain, inboxPrefix, ledgerBytes, listen, maxBytes, nkey, outcomesBytes, password, replicas, tls, token, url, user"},
		{"replicas: 3", "s3cret: 3", "5:3: nats has a field here that it does not take; its fields are apiPrefix, creds, deadBytes, domain, inboxPrefix, ledgerBytes, listen, maxBytes, nkey, outcomesBytes, password, replicas, tls, token, url, user"},
		{"accountName:", "acountName:", "16:5: connectors.direct-mail.acountName is not a field here; did you mean accountName?"},
		{"dataDir:", "dataDri:", "6:1: dataDri is not a field here; did you mean dataDir?"},
		{"{usageType: Register, subject", "{usageTyp: Register, subject", "19:7: connectors.direct-mail.templates has no template for Register; Register, SignIn, ForgotPassword, Generic are required\n19:10: connectors.direct-mail.templates[0].usageTyp is not a field here; did you mean usageType?"},
		{"china: SMS_1", "chinna: SMS_1", "31:44: connectors.aliyun-sms.templates[1].templateCode.chinna is not a field here; did you mean china?"},

		// Values.
		{"replicas: 3", "replicas: three", `5:13: nats.replicas "three" is not a whole number`},
		{"replicas: 3", "replicas: 3.0", `5:13: nats.replicas "3.0" is not a whole number`},
		{"replicas: 3", "replicas: 9", "5:13: nats.replicas is 9; it takes 1 to 5"},
		{"replicas: 3", "inboxPrefix: a.>", `5:16: nats.inboxPrefix "a.>" is not the prefix of a subject, such as _INBOX_worker`},
		{"replicas: 3", "inboxPrefix: _INBOX.", `5:16: nats.inboxPrefix "_INBOX." is not the prefix of a subject, such as _INBOX_worker`},
		{"replicas: 3", "inboxPrefix: a b", `5:16: nats.inboxPrefix "…" is not the prefix of a subject, such as _INBOX_worker`},
		{"replicas: 3", "domain: a.b", `5:11: nats.domain "a.b" is not a JetStream domain; it takes one token of a subject, such as hub`},
		{"replicas: 3", "domain: a>", `5:11: nats.domain "a>" is not a JetStream domain; it takes one token of a subject, such as hub`},
		{"replicas: 3", `domain: "*"`, `5:11: nats.domain "*" is not a JetStream domain; it takes one token of a subject, such as hub`},
		{"replicas: 3", "domain: a b", `5:11: nats.domain "…" is not a JetStream domain; it takes one token of a subject, such as hub`},
		{"replicas: 3", "domain: hub", ""},
		{"replicas: 3", `domain: ""`, ""},
		{"replicas: 3", "apiPrefix: $JS..API", `5:14: nats.apiPrefix "$JS..API" is not the prefix of a subject, such as $JS.hub.API`},
		{"replicas: 3", "apiPrefix: $JS.API..", `5:14: nats.apiPrefix "$JS.API.." is not the prefix of a subject, such as $JS.hub.API`},
		{"replicas: 3", "apiPrefix: .", `5:14: nats.apiPrefix "." is not the prefix of a subject, such as $JS.hub.API`},
		{"replicas: 3", "apiPrefix: js.>", `5:14: nats.apiPrefix "js.>" is not the prefix of a subject, such as $JS.hub.API`},
		{"replicas: 3", "apiPrefix: js api", `5:14: nats.apiPrefix "…" is not the prefix of a subject, such as $JS.hub.API`},
		{"replicas: 3", "apiPrefix: $JS.hub.API", ""},
		{"replicas: 3", "apiPrefix: $JS.hub.API.", ""},
		{"replicas: 3", "domain: hub\n  apiPrefix: js.hub", "6:14: nats.apiPrefix can't be set together with nats.domain, because both set the prefix of the API's subjects; leave one of them out"},
		{"  url: nats://127.0.0.1:4222\n", "  domain: hub\n", "2:11: nats.domain needs a server of your own, because the embedded one has no domain; give nats.url, or leave it out\n5:13: nats.replicas is 3, but the embedded server is a single one; give nats.url, or leave it out"},
		{"  url: nats://127.0.0.1:4222\n", "  apiPrefix: js.hub\n", "2:14: nats.apiPrefix needs a server of your own, because the embedded one has no prefix but $JS.API; give nats.url, or leave it out\n5:13: nats.replicas is 3, but the embedded server is a single one; give nats.url, or leave it out"},
		{"url: nats://127.0.0.1:4222", "url: ${NOT_SET}\n  domain: hub", "2:8: nats.url needs the environment variable NOT_SET, which is not set"},
		{"replicas: 3", "maxBytes: 1GB", `5:13: nats.maxBytes "1GB" is not a size such as 512MiB`},
		{"  url: nats://127.0.0.1:4222\n", "", "4:13: nats.replicas is 3, but the embedded server is a single one; give nats.url, or leave it out"},
		{"dataDir: ./data", "dataDir: 7", "6:10: dataDir is not text; put it in quotes"},
		{"dataDir: ./data", "dataDir: no", ""},
		{"dataDir: ./data", "dataDir: true", "6:10: dataDir is not text; put it in quotes"},
		{"dataDir: ./data", "dataDir: [x]", "6:10: dataDir is a list; it takes text"},
		{"dataDir: ./data", "dataDir: {x: y}", "6:10: dataDir is a mapping; it takes text"},
		{"listen: 127.0.0.1:8080", "listen: nowhere", `7:9: listen "nowhere" is not an address; it takes a host and a port, such as 127.0.0.1:8080`},
		{"listen: 127.0.0.1:8080", "listen: localhost:http", `7:9: listen "localhost:http" is not an address; it takes a host and a port, such as 127.0.0.1:8080`},
		{"listen: 127.0.0.1:8080", "listen: :8080", ""},
		{"codeTTL: 10m", "codeTTL: 10", `9:63: apps.default.codeTTL 10 has no unit: 10s, 10m, 1h, 1d`},
		{"codeTTL: 10m", "codeTTL: 10 m", `9:63: apps.default.codeTTL "…" is not a duration such as 10s, 5m, 12h or 1d`},
		{"codeTTL: 10m", "codeTTL: 0s", `9:63: apps.default.codeTTL "0s" is not a duration such as 10s, 5m, 12h or 1d`},
		{"codeTTL: 10m", "codeTTL: -10m", `9:63: apps.default.codeTTL "-10m" is not a duration such as 10s, 5m, 12h or 1d`},
		{"strictPhoneRegionNumberCheck: false", "strictPhoneRegionNumberCheck: maybe", `34:35: connectors.aliyun-sms.strictPhoneRegionNumberCheck "maybe" is not true or false`},
		{"concurrency: 64", "concurrency: 0", "36:16: worker.concurrency is 0; it takes 1 to 10000"},
		{"claims: auto", "claims: maybe", `37:11: worker.claims "maybe" is not one of auto, on and off`},
		{"initialInterval: 1s", "initialInterval: 2m", "38:28: worker.retry.initialInterval is 2m0s, longer than maxInterval (1m0s)"},
		{"multiplier: 2", "multiplier: 0.5", "38:44: worker.retry.multiplier is 0.5; it takes 1 or more"},
		{"multiplier: 2", "multiplier: NaN", `38:44: worker.retry.multiplier "NaN" is not a number`},
		{"multiplier: 2", "multiplier: .inf", `38:44: worker.retry.multiplier ".inf" is not a number`},
		{"randomizationFactor: 0.5", "randomizationFactor: 1.5", "38:85: worker.retry.randomizationFactor is 1.5; it takes 0 to 1"},
		{"maxAttempts: 8", "maxAttempts: 0", "38:103: worker.retry.maxAttempts is 0; it takes 1 or more"},
		{"nats:\n", "nats: x\nworke: # ", "1:7: nats is text; it takes a mapping of names to values\n2:1: worke is not a field here; did you mean worker?"},

		// Apps and their routes.
		{"[direct-mail]", "[direct-mial]", `9:21: apps.default.email[0] names the connector "direct-mial", which does not exist; connectors has aliyun-sms, direct-mail`},
		{"[direct-mail]", "[aliyun-sms]", `9:21: apps.default.email[0] names the connector "aliyun-sms", which sends sms`},
		{"[aliyun-sms]", "[direct-mail]", `9:41: apps.default.sms[0] names the connector "direct-mail", which sends email`},
		{"[direct-mail]", "[direct-mail, direct-mail]", `9:34: apps.default.email[1] names the connector "direct-mail" a second time`},
		{"[direct-mail]", "direct-mail", "9:20: apps.default.email is text; it takes a list"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "{codeTTL: 10m}", "9:12: apps.default has no connector; give it email or sms"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "", "9:3: apps.default has no connector; give it email or sms"},
		{"{email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}", "{email: direct-mail}", "9:20: apps.default.email is text; it takes a list"},
		{"default: {email", "de.fault: {email", "9:13: apps.de.fault is not an app name; it takes 1 to 128 of A-Z a-z 0-9 _ -"},
		{"listen: 127.0.0.1:8080\napps:\n  default:", "apps:\nlisten: # ", "7:1: apps is required; it holds the connectors of each app, such as {default: {email: [direct-mail]}}"},

		// Connectors.
		{"type: aliyun-dm\n", "type: aliyun-md\n", `12:11: connectors.direct-mail.type "aliyun-md" is not a type of connector; it is one of ` + types},
		{"    type: aliyun-dm\n", "", "12:5: connectors.direct-mail.type is required; it is one of " + types},
		{"connectors:\n", "connectors:\n  nothing:\n", "11:3: connectors.nothing.type is required; it is one of " + types},
		{"connectors:\n", "connectors:\n  nothing: x\n", "11:12: connectors.nothing is text; it takes a mapping of names to values"},
		{"type: aliyun-dm\n", "type: aliyun-dm\n    onDoubt: what\n", `13:14: connectors.direct-mail.onDoubt "what" is not one of resend and dead`},
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
		{"codeTTL: 10m", "codeTTL: \"${EMPTY}\"", `9:63: apps.default.codeTTL "" is not a duration such as 10s, 5m, 12h or 1d`},

		// YAML.
		{"replicas: 3", "replicas: 3\n  replicas: 3", `6:3: is not YAML: mapping key "…" already defined at [5:3]`},
		{"replicas: 3", "replicas: 3\n  \"replicas\": 3", `6:3: is not YAML: mapping key "…" already defined at [5:3]`},
		{"worker:\n", "---\nworker:\n", "36:1: begins a second YAML document; the file can hold only one"},
		{"concurrency: 64", "concurrency: 64\n\tclaims: auto", "37:1: is not YAML: found character '\t' that cannot start any token"},
		{"[direct-mail]", "[direct-mail", "9:65: is not YAML: value is not allowed in this context. map key-value is pre-defined"},
		{"dataDir: ./data", "dataDir: @x", "6:10: is not YAML: '@' is a reserved character"},
		{"dataDir: ./data", "dataDir: *gone", "6:10: dataDir refers to an anchor that does not exist; put text that begins with * in quotes"},
		{"dataDir: ./data", "dataDir: &a *a", "6:13: is not YAML: unexpected scalar value type"},
		{"worker:\n", "worker: &w\n  <<: *w\n", "36:3: worker merges itself"},
		{"worker:\n", "worker:\n  <<: [x]\n", "36:7: worker is a list; it takes a mapping of names to values"},
		{"dataDir: ./data", "dataDir: &a ${TTL}", ""},
		{"replicas: 3", "? {a: b}\n  : c", "6:3: is not YAML: found an invalid key for this map"},
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
		"{}":                  "codeferry.yaml:1:1: apps is required; it holds the connectors of each app, such as {default: {email: [direct-mail]}}",
		"--- x\n---\n--- y\n": "codeferry.yaml:2:1: begins a second YAML document; the file can hold only one",
		"---\n---\nx: y\n":    "codeferry.yaml:2:1: begins a second YAML document; the file can hold only one",
		"x: y\n...\nx: y\n":   "codeferry.yaml:3:1: begins a second YAML document; the file can hold only one",
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
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

// TestPositions: the parser counts some lines twice, and puts some values after the end of the
// file.
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
	if !okA || !okB {
		t.Fatalf("the settings are %T and %T, want *aliyunsms.Config", c.Connectors["a"].Settings, c.Connectors["b"].Settings)
	}
	check.Equal(t, "accessKeyId of a", a.AccessKeyID.Reveal(), "mine")
	check.Equal(t, "accessKeySecret of a", a.AccessKeySecret.Reveal(), "y")
	check.Equal(t, "signName of b", b.SignName, "y")
	if !reflect.DeepEqual(a.Templates, b.Templates) {
		t.Errorf("the templates of a are %+v, want those of b: %+v", a.Templates, b.Templates)
	}
	wantProblems(t, "apps: {a: &x {sms: [a]}, b: &x {sms: [a]}}\n"+minimal[strings.Index(minimal, "connectors:"):], nil,
		"codeferry.yaml:1:29: sets an anchor that is already set; give it another name")
}

// TestManyApps: a thousand apps fit, of which each has connectors of its own.
func TestManyApps(t *testing.T) {
	var b strings.Builder
	b.WriteString("connectors:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  sms-%d: {type: aliyun-sms, accessKeyId: x, accessKeySecret: y, signName: Example, templates: [", i)
		for _, usage := range []string{"SignIn", "Register", "ForgotPassword", "Generic"} {
			fmt.Fprintf(&b, "{usageType: %s, templateCode: SMS_1}, ", usage)
		}
		b.WriteString("]}\n")
	}
	b.WriteString("apps:\n")
	for i := range 1000 {
		fmt.Fprintf(&b, "  app-%d: {sms: [sms-%d, sms-%d], codeTTL: 5m}\n", i, i, (i+1)%1000)
	}
	c := mustParse(t, b.String(), nil)
	check.Equal(t, "apps", len(c.Apps), 1000)
	check.Equal(t, "connectors", len(c.Connectors), 1000)
}

// TestTooLarge: Parse refuses a file that would need much time or memory, in one line.
func TestTooLarge(t *testing.T) {
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
		"flow maps":        {repeat("{a: ", 20_000), "is nested too deeply"},
		"many fields":      {repeat("a: b\n", 100_000), "is too large for a configuration, which has at most 250000 words and signs"},
		"aliases":          {laughs.String(), "makes the file too large, because of its aliases"},
		"merges":           {merges.String(), "has a field here"},
		"self in a list":   {"apps: &a {default: {sms: [*a]}}", "apps.default.sms[0].default is not a field here"},
		"self in a map":    {"connectors: &a {x: *a}", "connectors.x"},
		"merge of a merge": {"apps: &a {<<: {<<: {<<: *a}}}", "apps merges itself"},
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := parse(tt.text, nil)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %.200v, want one with %q", err, tt.want)
			}
			if d := time.Since(begin); d > 30*time.Second { // generous for a busy machine with the race detector; without the limit it takes hours
				t.Errorf("Parse took %v, want at most 30s", d)
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
	if !ok {
		t.Fatalf("the settings are %T, want *aliyunsms.Config", c.Connectors["a"].Settings)
	}
	check.Equal(t, "accessKeyId", s.AccessKeyID.Reveal(), "from the environment")
	check.Equal(t, "accessKeySecret", s.AccessKeySecret.Reveal(), "from a file")
	if _, err := config.Load(filepath.Join(dir, "gone.yaml"), config.Env{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the error for a missing file is %v, want ErrNotExist", err)
	}
	var problems config.Problems
	if _, err := config.Load(write("broken.yaml", "nats: x\n"+minimal), config.Env{}); !errors.As(err, &problems) {
		t.Fatalf("the error for a broken file is %v, want Problems", err)
	}
	check.Equal(t, "the line of the first problem", problems[0].Line, 1)
	check.Equal(t, "the path of the first problem", problems[0].Path, "nats")
}

// TestLoadForNATS: who only talks to NATS needs no secret of a provider, and what is left out
// has no mistakes. What is read is as strict as ever.
func TestLoadForNATS(t *testing.T) {
	t.Parallel()
	const text = `nats: {url: "nats://127.0.0.1:4222", replicas: 3}
encryptionKey: ${UNSET}
http: {token: "${UNSET}", tls: {certFile: gone.pem}}
apps: {default: {sms: [a], codeTTL: 5m}}
connectors:
  a: {type: aliyun-sms, accessKeyId: "${UNSET}", file: gone.json}
`
	load := func(text string) (*config.Config, error) {
		return config.LoadForNATS("/etc/codeferry/codeferry.yaml", environment(map[string]string{"/etc/codeferry/codeferry.yaml": text}), config.Unneeded{})
	}
	c, err := load(text)
	if err != nil {
		t.Fatal(err)
	}
	if c.NATS.URL != "nats://127.0.0.1:4222" || c.NATS.Replicas != 3 {
		t.Errorf("nats is %+v", c.NATS)
	}
	if got := c.Apps["default"].CodeTTL; got != 5*time.Minute {
		t.Errorf("codeTTL is %v, want 5m", got)
	}
	if len(c.Connectors) != 0 {
		t.Errorf("it has the connectors %v", c.Connectors)
	}
	for name, wrong := range map[string]string{
		"an unknown field":    text + "frobnicate: 1\n",
		"a mistake in nats":   strings.Replace(text, "replicas: 3", "replicas: many", 1),
		"a variable of nats":  strings.Replace(text, "nats://127.0.0.1:4222", "${UNSET}", 1),
		"a variable of a key": text + "sealing: {keys: [\"${UNSET}\"]}\n",
	} {
		if c, err := load(wrong); err == nil {
			t.Errorf("%s: it is taken as %+v", name, c)
		}
	}
}

// TestLoadForNATSLeavesOut: who has another login needs neither the worker's variables nor its
// files, and who seals nothing needs no key. The rest is read, and is as strict as ever.
func TestLoadForNATSLeavesOut(t *testing.T) {
	t.Parallel()
	const apps = "\napps: {default: {sms: [a]}}\nconnectors: {a: {type: aliyun-sms}}\n"
	load := func(text string, without config.Unneeded) (*config.Config, error) {
		return config.LoadForNATS("/etc/codeferry/codeferry.yaml", environment(map[string]string{"/etc/codeferry/codeferry.yaml": text + apps, "/key": "codeferry-private-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}), without)
	}
	login, sealing := config.Unneeded{Login: true}, config.Unneeded{Sealing: true}
	for name, nats := range map[string]string{
		"a password":          "url: nats://h, user: worker, password: \"${UNSET}\"",
		"a password's file":   "url: nats://h, user: worker, password: \"${file:/gone}\"",
		"a user and password": "url: nats://h, user: \"${UNSET}\", password: \"${UNSET}\"",
		"a token":             "url: nats://h, token: \"${UNSET}\"",
		"an nkey":             "url: nats://h, nkey: \"${UNSET}\"",
		"credentials":         "url: nats://h, creds: \"${UNSET}\"",
		"TLS":                 "url: nats://h, tls: {caFile: \"${UNSET}\", keyFile: \"${UNSET}\"}",
		"a password in a URL": "url: \"nats://worker:${UNSET}@h\"",
		"a whole URL":         "url: \"${UNSET}\"",
		"two servers":         "url: \"nats://worker:${UNSET}@h,nats://worker:${file:/gone}@i\"",
	} {
		text := "nats: {" + nats + ", replicas: 3}\nsealing: {keys: [\"${file:/key}\"]}"
		c, err := load(text, login)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		n := c.NATS
		if n.URL == "" || n.Replicas != 3 || len(c.Sealing.Keys) != 1 {
			t.Errorf("%s: nats is %+v, with %d keys", name, n, len(c.Sealing.Keys))
		}
		if n.User != "" || !n.Password.IsZero() || !n.Token.IsZero() || n.NKey != "" || n.Creds != "" || n.TLS != (config.NATSTLS{}) {
			t.Errorf("%s: the login is read: %+v", name, n)
		}
		if _, err := load(text, sealing); err == nil {
			t.Errorf("%s: the login is not read, but it has to be", name)
		}
	}
	if c, err := load("nats: {listen: 127.0.0.1:4222}", login); err != nil || c.NATS.URL != "" {
		t.Errorf("the embedded server: %v", err)
	}
	if c, err := load("sealing: {requireSealed: true, keys: [\"${UNSET}\"]}", sealing); err != nil || len(c.Sealing.Keys) > 0 {
		t.Errorf("without the sealing keys: %v", err)
	}
	for name, wrong := range map[string]string{
		"an unknown field": "nats: {url: nats://h, frobnicate: 1}",
		"a mistake":        "nats: {url: nats://h, replicas: many}",
		"a variable":       "nats: {url: nats://h, inboxPrefix: \"${UNSET}\"}",
		"a URL of HTTP":    "nats: {url: http://h}",
		"a key":            "sealing: {keys: [\"${UNSET}\"]}",
	} {
		if _, err := load(wrong, login); err == nil {
			t.Errorf("%s: it is taken", name)
		}
	}
}
