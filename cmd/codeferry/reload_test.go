package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
)

// TestReload changes the configuration of a running worker: what is right is taken
// as a whole, and what is wrong not at all.
func TestReload(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer server.Stop()
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
			t.Errorf("%d messages, the last one %v; want it signed %s", len(got), got[0], sign)
		}
	}
	sentAs("Example")

	change("signName: Example", "signName: Changed") // seen by itself
	run.find(`the new configuration is taken`)
	sentAs("Changed")

	change("signName: Example", "signname: Wrong")
	run.find(`did you mean signName.*the new configuration is not taken`)
	sentAs("Changed")
	change("nats:", "dataDir: elsewhere\nnats:")
	run.find(`dataDir can't change while codeferry runs`)
	sentAs("Changed")

	change("signName: Example", "signName: Hangup")
	if err := run.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	run.find(`(?s)the new configuration is taken.*the new configuration is taken`)
	sentAs("Hangup")
	if status, text := fetch(t, http.MethodGet, "http://"+listen+"/readyz", ""); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, text)
	}
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, run.output())
	}
}
