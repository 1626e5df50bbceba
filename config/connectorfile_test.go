package config_test

import (
	"strings"
	"testing"
)

// TestConnectorFileThatIsNotJSON: one problem that says so, in place of what YAML makes of it.
func TestConnectorFileThatIsNotJSON(t *testing.T) {
	t.Parallel()
	const text = "apps: {default: {sms: [a]}}\nconnectors:\n  a: {type: aliyun-sms, file: sms.json}\n"
	for name, json := range map[string]string{
		"a comment": "{\n  // the keys\n  \"accessKeyId\": \"x\"\n}",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			wantProblems(t, text, map[string]string{"/etc/codeferry/sms.json": json},
				"codeferry.yaml:3:31: connectors.a.file names sms.json, which is not JSON: see its line 2; JSON takes neither comments nor a comma after the last value")
		})
	}
}

// TestConnectorFileAsConfiguration: somebody gives codeferry Logto's JSON as a whole.
func TestConnectorFileAsConfiguration(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		`{"signName": "x", "accessKeyId": "x", "templates": []}`,
		"host: mail.example.com\nport: 587\ntemplates: []\n",
	} {
		c, err := parse(text, nil)
		if c != nil || err == nil {
			t.Fatalf("%s: it is taken, %v", text, err)
		}
		if want := "codeferry.yaml:1:1: is the configuration of a connector alone"; !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q in it", text, err, want)
		}
	}
}
