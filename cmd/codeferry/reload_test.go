package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
)

// TestReload changes the configuration of a running worker. A good one applies, except for
// settings that need a restart, and one with a mistake does not.
func TestReload(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	server := testrig.Server(t)
	file := configFor(t, strings.TrimPrefix(server.URL(), "nats://"), sandboxURL)
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	change := func(pairs ...string) {
		t.Helper()
		if err := os.WriteFile(file+".new", []byte(strings.NewReplacer(pairs...).Replace(string(text))), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(file+".new", file); err != nil {
			t.Fatal(err)
		}
	}
	listen := freeAddr(t)
	run := spawn(t, "run", "-c", file, "--listen", listen)
	run.find(`codeferry runs`)
	n := 0
	sentAs := func(sign string) {
		t.Helper()
		n++
		call(t, "send", "--nats", server.URL(), "--channel", "sms", "--to", fmt.Sprintf("1301234567%d", n), "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)
		if got := inbox(t, sandboxURL, ""); len(got) != n || got[0]["signName"] != sign {
			t.Errorf("the inbox has %d messages, want %d, and the last one signed %s: %v", len(got), n, sign, got)
		}
	}
	sentAs("Example")

	change("signName: Example", "signName: Changed") // without a signal
	run.find(`the new configuration is taken`)
	sentAs("Changed")

	change("signName: Example", "signname: Wrong")
	run.find(`did you mean signName.*the new configuration is not taken`)
	sentAs("Changed")
	readyz := func(want string) {
		t.Helper()
		var status int
		var text string
		// The new worker sends a code as soon as its channel is pulled; the other one can be pulled later.
		check.Eventually(t, "/readyz answers 200", func() bool {
			status, text = fetch(t, http.MethodGet, "http://"+listen+"/readyz", "")
			return status == http.StatusOK
		})
		if !strings.Contains(text, want) || strings.Count(text, "\n") > 1+min(1, len(want)) {
			t.Errorf("/readyz is %q, want only the line %q besides ok", text, want)
		}
	}
	readyz("reload: the new configuration is not taken")
	change("apps:", "dataDir: elsewhere\nlisten: 127.0.0.1:1\napps:", "listen: 127.0.0.1:0\n", "", "signName: Example", "signName: Partly")
	run.find(`"settings":"dataDir".*some changed settings need a restart`)
	sentAs("Partly") // the other settings apply
	readyz("restart: dataDir changed, which takes a restart")

	change("signName: Example", "signName: Hangup")
	if err := run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	run.find(`(?s)(the new configuration is taken.*){3}`)
	sentAs("Hangup")
	readyz("")
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, run.output())
	}
}
