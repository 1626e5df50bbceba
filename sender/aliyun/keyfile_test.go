package aliyun

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/codeferry/codeferry/sender"
)

func TestParseKeys(t *testing.T) {
	for text, want := range map[string][3]string{
		`{"accessKeyId":"i","accessKeySecret":"s"}`:                                           {"i", "s", ""},
		"\ufeff {\"AccessKeyId\":\"i\",\"AccessKeySecret\":\"s\",\"SecurityToken\":\"t=\"}\n": {"i", "s", "t="},
		`{"access_key_id":"i","access_key_secret":"s","sts_token":"t","x":[1],"Code":"OK"}`:   {"i", "s", "t"},
		"accessKeyId=i\naccessKeySecret = s\r\nsecurityToken= a=b==\n":                        {"i", "s", "a=b=="},
		"# keys\n; more\n\n[default]\naccess_key_id = i # mine\naccess_key_secret = \"s #\"":  {"i", "s #", ""},
		"accessKeyId = 'i'\naccessKeySecret = s#;\n[other]\naccessKeyId = x":                  {"i", "s#;", ""},

		"":                    {},
		"[]":                  {},
		"{":                   {},
		`{"accessKeyId":"i"}`: {},
		`{"accessKeyId":7,"accessKeySecret":"s"}`:                           {},
		"accessKeyId = i":                                                   {},
		"accessKeyId i\naccessKeySecret s":                                  {},
		"[default\naccessKeyId=i":                                           {},
		"accessKeyId = i\naccessKeySecret =\n":                              {},
		`{"accessKeyId":"i","accessKeySecret":"s","expiration":"tomorrow"}`: {},
	} {
		k, err := parseKeys([]byte(text))
		var got [3]string
		if err == nil {
			c := k.reveal()
			got = [3]string{c.AccessKeyId, c.AccessKeySecret, c.SecurityToken}
		}
		if got != want || (err == nil) != (want != [3]string{}) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	k, err := parseKeys([]byte(`{"accessKeyId":"i","accessKeySecret":"s","Expiration":"2026-01-02T03:04:05Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC); !k.expires.Equal(want) {
		t.Errorf("the keys expire at %s, want %s", k.expires, want)
	}
	if !k.local {
		t.Error("the keys are not local")
	}
}

// FuzzParseKeys: no error shows a file's content, and half a pair of keys is never
// accepted.
func FuzzParseKeys(f *testing.F) {
	const mark = "ZQX1aZQX"
	for _, text := range []string{
		`{"accessKeyId":"i","accessKeySecret":"` + mark + `"}`, `{"` + mark, "accessKeySecret = " + mark, mark, "[" + mark, "[a]\nx=\"" + mark,
		`{"accessKeyId":"i","accessKeySecret":"s","expiration":"` + mark + `"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		k, err := parseKeys(text)
		if err != nil {
			if strings.Contains(err.Error(), mark) {
				t.Errorf("the error shows the text: %v", err)
			}
			return
		}
		if c := k.reveal(); c.AccessKeyId == "" || c.AccessKeySecret == "" {
			t.Errorf("half a pair of keys was read from %q", text)
		}
		_, _ = parseINI(text)
	})
}

func TestFilesThatAreNone(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for path, class := range map[string]sender.Class{
		filepath.Join(dir, "nothing"): sender.Unavailable,
		dir:                           sender.Unavailable,
		pipe:                          sender.Unavailable,
		write("large", strings.Repeat("#", maxFile+1)): sender.Unavailable,
		write("broken", "{ZQX"):                        sender.AccountDown,
	} {
		_, err := keyFile(path)(t.Context())
		if err == nil || err.Class != class || !strings.Contains(err.Detail, path) || strings.Contains(err.Detail, "ZQX") {
			t.Errorf("%s: %v, want %s", path, err, class)
		}
	}
}
