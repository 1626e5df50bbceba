package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/testrig"
)

// TestReloadOfASwappedFolder: Kubernetes changes a mounted ConfigMap or Secret by swapping the
// symbolic link ..data, through which all its files are read. A running worker takes the
// change, that of a secret too.
func TestReloadOfASwappedFolder(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	server := testrig.Server(t)
	text, err := os.ReadFile(configFor(t, strings.TrimPrefix(server.URL(), "nats://"), sandboxURL))
	if err != nil {
		t.Fatal(err)
	}
	mount := t.TempDir()
	// swap makes a new folder with the files, and then names it ..data.
	swap := func(version, config, sign string) {
		t.Helper()
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		must(os.Mkdir(filepath.Join(mount, version), 0o700))
		must(os.WriteFile(filepath.Join(mount, version, "codeferry.yaml"), []byte(config), 0o600))
		must(os.WriteFile(filepath.Join(mount, version, "sign"), []byte(sign), 0o600))
		must(os.Symlink(version, filepath.Join(mount, "..data_tmp")))
		must(os.Rename(filepath.Join(mount, "..data_tmp"), filepath.Join(mount, "..data")))
	}
	config := strings.Replace(string(text), "signName: Example", "signName: ${file:sign}", 1)
	if config == string(text) {
		t.Fatal("the configuration has no signName: Example")
	}
	swap("..2026_11_01", config, "First")
	for _, name := range []string{"codeferry.yaml", "sign"} {
		if err := os.Symlink(filepath.Join("..data", name), filepath.Join(mount, name)); err != nil {
			t.Fatal(err)
		}
	}
	run := spawn(t, "run", "-c", filepath.Join(mount, "codeferry.yaml"), "--listen", "127.0.0.1:0")
	run.find(`codeferry runs`)
	sent := 0
	sentAs := func(sign string) {
		t.Helper()
		sent++
		call(t, "send", "--nats", server.URL(), "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)
		if got := inbox(t, sandboxURL, ""); len(got) != sent || got[0]["signName"] != sign {
			t.Errorf("the inbox has %d messages, want %d, the last one signed %s: %v", len(got), sent, sign, got)
		}
	}
	sentAs("First")
	swap("..2026_11_02", config, "Second") // the secret alone
	run.find(`the new configuration is taken`)
	sentAs("Second")
	swap("..2026_11_03", strings.Replace(config, "${file:sign}", "Third", 1), "unused")
	run.find(`(?s)(the new configuration is taken.*){2}`)
	sentAs("Third")
}
