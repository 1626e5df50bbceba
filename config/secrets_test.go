package config_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/testmain"
)

// mark is in every part of a secret.
const mark = "ZQX"

// marked is a configuration with marked secrets, each in another YAML form.
const marked = `apps: {default: {email: [a], sms: [b]}}
encryptionKey: ZQX1aZQX2bZQX3cZQX4dZQX5eZQX6fZQX7g
http: {token: "ZQX1aZQX2bZQX3cZQX4dZQX5eZQX6fZQX7g"}
connectors:
  a:
    type: aliyun-dm
    accessKeyId: ZQX1aZQX2bZQX3c
    accessKeySecret: "ZQX1aZQX2bZQX3c"
    securityToken: 'ZQX1a+ZQX2b/ZQX3c='
    regionId: cn-hangzhou
    accountName: no-reply@example.com
    templates: &mails
      - {usageType: Register, subject: A, content: A}
      - {usageType: SignIn, subject: A, content: A}
      - {usageType: ForgotPassword, subject: A, content: A}
      - {usageType: Generic, subject: A, content: A}
  b: {type: aliyun-sms, securityToken: "ZQX1aZQX2b", accessKeySecret: ZQX1aZQX2bZQX3c, accessKeyId: "${KEY}",
    signName: A, templates: [{usageType: Register, templateCode: SMS_1}, {usageType: SignIn, templateCode: SMS_1},
    {usageType: ForgotPassword, templateCode: SMS_1}, {usageType: Generic, templateCode: SMS_1}]}
`

func markedEnv() config.Env {
	env := environment(map[string]string{"/etc/codeferry/secret": "ZQX1aZQX2b", "/etc/codeferry/marked.json": markedJSON})
	lookup := env.Lookup
	env.Lookup = func(name string) (string, bool) {
		if name == "KEY" {
			return "ZQX1aZQX2b", true
		}
		return lookup(name)
	}
	return env
}

// wantNoMark fails the test if a text about a configuration shows the mark.
func wantNoMark(t *testing.T, configuration, shown string) {
	t.Helper()
	for _, m := range []string{mark, fmt.Sprintf("%x", mark), fmt.Sprintf("%X", mark), fmt.Sprint([]byte(mark))} {
		if i := strings.Index(shown, m); i >= 0 {
			t.Errorf("…%s… shows a secret of\n%s", shown[max(0, i-100):min(len(shown), i+50)], configuration)
		}
	}
}

// wantNoMarkInError parses a configuration, and looks for the mark in the error.
func wantNoMarkInError(t *testing.T, configuration string) (failed bool) {
	t.Helper()
	_, err := config.Parse(file, []byte(configuration), markedEnv())
	if err == nil {
		return false
	}
	wantNoMark(t, configuration, fmt.Sprintf("%v %+v", err, []error{err}))
	return true
}

func TestSecretsDontShow(t *testing.T) {
	c, err := config.Parse(file, []byte(marked), markedEnv())
	if err != nil {
		t.Fatal(err)
	}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%t", "%p"} {
		shown := fmt.Sprintf(strings.Repeat(verb, 4), c, *c, c.Connectors, []*config.Config{c})
		for _, conn := range c.Connectors {
			shown += fmt.Sprintf(strings.Repeat(verb, 3), conn, &conn, conn.Settings)
		}
		wantNoMark(t, verb, shown)
	}
	for name, marshal := range map[string]func(any) ([]byte, error){
		"json": json.Marshal, "yaml": func(v any) ([]byte, error) { return yaml.Marshal(v) },
	} {
		b, err := marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		wantNoMark(t, name, string(b))
	}
}

// TestSecretsDontShowInABrokenFile breaks the marked configuration at every place, with
// typical typing errors.
func TestSecretsDontShowInABrokenFile(t *testing.T) {
	slips := []string{`"`, `'`, ":", ": ", "{", "}", "[", "]", ",", ", ", "#", " #", "&", "*", "!", "|", ">", "%", "@", "? ", "- ", "\n", "\n    ", "\t", " ", "${", "\\", "<<: ", "\x00"}
	const shards = 8
	sample := 24 // one of so many is tried
	if testmain.Race {
		sample = 480
	}
	for shard := range shards {
		t.Run(fmt.Sprint(shard), func(t *testing.T) {
			t.Parallel()
			tried, failed := 0, 0
			try := func(text string) {
				tried++
				if wantNoMarkInError(t, text) {
					failed++
				}
			}
			for i := shard; i < len(marked) && !t.Failed(); i += shards {
				before, after := marked[:i], marked[i:]
				try(before)
				try(before + after[1:])
				near := strings.Contains(marked[max(0, i-4):min(len(marked), i+4)], mark)
				for n, slip := range slips {
					if near && !testmain.Race || (i/shards*len(slips)+n)%sample == 0 { // far from the secrets only a sample
						try(before + slip + after)
						try(before + slip + after[1:])
					}
				}
			}
			if failed < tried/4 {
				t.Errorf("of %d broken files only %d were refused, want a quarter or more", tried, failed)
			}
		})
	}
}

func TestSecretsDontShowIfTheyAreNotText(t *testing.T) {
	for _, value := range []string{
		"[ZQX]", "{ZQX: x}", "{x: ZQX}", "{ZQX}", "*ZQX", "&ZQX", "!ZQX x", "!!int ZQX", "|ZQX\n      x", ">ZQX", "|\n      ZQX", "%ZQX", "@ZQX", "`ZQX", "- ZQX",
		"ZQX: ZQX", "\"ZQX", "'ZQX", "\"ZQX\\q\"", "\"\\uZQX\"", "ZQX #", "\n    ZQX", "${ZQX", "a${file:ZQX", "${ZQX-1}", "<<: ZQX", "? ZQX",
		"&a ZQX\n    regionId: *a", "\"x\"ZQX", "[x]ZQX", "ZQX\nZQX: x", "ZQX\nZQX", "ZQX, ZQX",
	} {
		for _, field := range []string{"accessKeyId: ZQX1aZQX2bZQX3c", `accessKeySecret: "ZQX1aZQX2bZQX3c"`, "securityToken: 'ZQX1a+ZQX2b/ZQX3c='"} {
			name, _, _ := strings.Cut(field, ":")
			if !strings.HasPrefix(value, "&a") {
				wantNoMarkInError(t, strings.Replace(marked, field, name+": "+value, 1))
			}
			wantNoMarkInError(t, strings.Replace(marked, field, name+":"+value, 1))
			wantNoMarkInError(t, strings.Replace(marked, field, name+" "+value, 1))
			wantNoMarkInError(t, strings.Replace(marked, field, name+"= "+value, 1))
			wantNoMarkInError(t, strings.Replace(marked, field, value, 1))
		}
	}
}

const markedJSON = `{
	"accessKeyId": "ZQX1aZQX2b", "accessKeySecret": "ZQX1aZQX2b",
	"signName": "A", "templates": 7
}`

func TestSecretsDontShowInConnectorFiles(t *testing.T) {
	const text = "apps: {default: {sms: [b]}}\nconnectors:\n  b: {type: aliyun-sms, file: marked.json}\n"
	for i := range len(markedJSON) {
		for _, slip := range []string{"", `"`, ",", ":", "}", "\\", "x", "\n"} {
			env := markedEnv()
			read := env.ReadFile
			env.ReadFile = func(path string) ([]byte, error) {
				if strings.HasSuffix(path, ".json") {
					return []byte(markedJSON[:i] + slip + markedJSON[i+1:]), nil
				}
				return read(path)
			}
			_, err := config.Parse(file, []byte(text), env)
			if err == nil {
				t.Fatalf("Parse took a file with byte %d replaced by %q", i, slip)
			}
			if strings.Contains(err.Error(), mark) {
				t.Fatalf("with byte %d replaced by %q the error shows the secret: %v", i, slip, err)
			}
		}
	}
}
