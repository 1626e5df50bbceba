package config_test

import (
	"errors"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/sender/aliyunsms"
)

// example is a configuration with most of the settings.
const example = `nats:
  url: nats://127.0.0.1:4222
  listen: 127.0.0.1:4222
  creds: /run/secrets/worker.creds
  replicas: 3
dataDir: ./data
listen: 127.0.0.1:8080
apps:
  default: {email: [direct-mail], sms: [aliyun-sms], codeTTL: 10m}   # connectors in the order to try them
connectors:
  direct-mail:
    type: aliyun-dm
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    regionId: cn-hangzhou
    accountName: no-reply@mail.example.com
    fromAlias: Example
    templates:
      - {usageType: Register, subject: "Welcome", content: "Your code is {{code}}."}
      - {usageType: SignIn, subject: "Sign in", content: "Your code is {{code}}."}
      - {usageType: ForgotPassword, subject: "New password", contentFile: forgot.html}
      - {usageType: Generic, subject: "Code", content: "Your code is {{code}}."}
  aliyun-sms:
    type: aliyun-sms
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    endpoint: http://127.0.0.1:18080
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_123456789}
      - {usageType: SignIn, templateCode: {china: SMS_1, overseas: SMS_2}}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
    strictPhoneRegionNumberCheck: false
worker:
  concurrency: 64
  claims: auto
  retry: {initialInterval: 1s, multiplier: 2, maxInterval: 1m, randomizationFactor: 0.5, maxAttempts: 8}
`

// edit returns the example with one text replaced once.
func edit(t testing.TB, old, replacement string) string {
	t.Helper()
	if !strings.Contains(example, old) {
		t.Fatalf("the example does not hold %q", old)
	}
	return strings.Replace(example, old, replacement, 1)
}

const (
	keyID     = "LTAIexampleKeyId"
	keySecret = "exampleKeySecret"
)

// environment has the variables and files for the example, and more files by their path.
func environment(files map[string]string) config.Env {
	vars := map[string]string{"ALIBABA_CLOUD_ACCESS_KEY_ID": keyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": keySecret, "EMPTY": "", "TTL": "3m"}
	all := map[string]string{"/etc/codeferry/forgot.html": "<p>Your code is {{code}}.</p>\n"}
	maps.Copy(all, files)
	return config.Env{
		Lookup: func(name string) (string, bool) { v, ok := vars[name]; return v, ok },
		ReadFile: func(path string) ([]byte, error) {
			text, ok := all[filepath.ToSlash(path)]
			if !ok {
				return nil, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
			}
			return []byte(text), nil
		},
	}
}

// file is the path of the example.
const file = "/etc/codeferry/codeferry.yaml"

func parse(text string, files map[string]string) (*config.Config, error) {
	return config.Parse(file, []byte(text), environment(files))
}

func mustParse(t *testing.T, text string, files map[string]string) *config.Config {
	t.Helper()
	c, err := parse(text, files)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// wantProblems fails the test unless a configuration has exactly these problems, in this
// order, without the folder. A problem that ends in … matches all with this beginning: the
// rest comes from the provider's package.
func wantProblems(t *testing.T, text string, files map[string]string, want ...string) {
	t.Helper()
	c, err := parse(text, files)
	var problems config.Problems
	if !errors.As(err, &problems) || c != nil {
		t.Fatalf("Parse() = %v, %v, want no configuration, and Problems", c, err)
	}
	got := strings.Split(strings.ReplaceAll(err.Error(), "/etc/codeferry/", ""), "\n")
	same := func(got, want string) bool {
		prefix, open := strings.CutSuffix(want, "…")
		return got == want || open && strings.HasPrefix(got, prefix)
	}
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("problems are\n  %s\nwant\n  %s", strings.Join(got, "\n  "), strings.Join(want, "\n  "))
	}
}

func mailSettings(t *testing.T, c *config.Config) *aliyundm.Config {
	t.Helper()
	s, ok := c.Connectors["direct-mail"].Settings.(*aliyundm.Config)
	if !ok {
		t.Fatalf("direct-mail is %T", c.Connectors["direct-mail"].Settings)
	}
	return s
}

func smsSettings(t *testing.T, c *config.Config) *aliyunsms.Config {
	t.Helper()
	s, ok := c.Connectors["aliyun-sms"].Settings.(*aliyunsms.Config)
	if !ok {
		t.Fatalf("aliyun-sms is %T", c.Connectors["aliyun-sms"].Settings)
	}
	return s
}
