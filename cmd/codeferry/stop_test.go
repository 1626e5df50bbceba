package main

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
)

// TestStopping: the first Ctrl-C says what is in flight and what a second one does, /readyz
// is 503 from then on, and the second one ends the program at once; also a program that a
// shell has started in the background, with Ctrl-C ignored.
func TestStopping(t *testing.T) {
	t.Parallel()
	for name, ignored := range map[string]bool{"in the foreground": false, "in the background of a script": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			sandbox := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
			if status, text := fetch(t, http.MethodPut, sandbox+"/faults", `[{"action":"SendSms","latency":"10m"}]`); status != http.StatusNoContent {
				t.Fatal(status, text)
			}
			server := testrig.Server(t)
			file := configFor(t, strings.TrimPrefix(server.URL(), "nats://"), sandbox)
			listen := freeAddr(t)
			cmd := command(context.WithoutCancel(t.Context()), t, "run", "-c", file, "--listen", listen)
			if ignored {
				shell := exec.CommandContext(context.WithoutCancel(t.Context()), "/bin/sh", append([]string{"-c", `trap "" INT; exec "$0" "$@"`}, cmd.Args...)...)
				shell.Env = cmd.Env
				cmd = shell
			}
			run := watchProcess(t, cmd)
			run.find(`there is no sealing key: dead letters`)
			run.find(`codeferry runs`)
			call(t, "send", "--nats", server.URL(), "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456").want(t, 0)
			check.Eventually(t, "the code is in flight", func() bool {
				_, text := fetch(t, http.MethodGet, sandbox+"/requests", "")
				return strings.Contains(text, `"SendSms":1`)
			})
			interrupt := func() {
				if err := run.cmd.Process.Signal(os.Interrupt); err != nil {
					t.Fatal(err)
				}
			}
			interrupt()
			run.find(`"inFlight":1,.*stopping: .*a second Ctrl-C or SIGTERM ends it at once`)
			if status, text := fetch(t, http.MethodGet, "http://"+listen+"/readyz", ""); status != http.StatusServiceUnavailable || !strings.Contains(text, "stopping: what has begun is finished") {
				t.Errorf("/readyz while it stops: %d %q", status, text)
			}
			interrupt()
			<-run.ended
			if status := run.cmd.ProcessState.ExitCode(); status != 128+int(syscall.SIGINT) {
				t.Errorf("exit status %d, want %d: %s", status, 128+int(syscall.SIGINT), run.output())
			}
			if want := "codeferry: ended at once; each message in flight is in doubt, and comes again after 30 s\n"; !strings.Contains(run.output(), want) {
				t.Errorf("it does not say %q: %s", want, run.output())
			}
		})
	}
}

// TestStoppingBeforeNATS: a stop that was asked for is no failure, also while run waits for its
// first NATS.
func TestStoppingBeforeNATS(t *testing.T) {
	t.Parallel()
	run := spawn(t, "run", "-c", configFor(t, freeAddr(t), "http://127.0.0.1:1"))
	run.find(`waiting for NATS`)
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d, want 0: %s", status, run.output())
	}
	run.find(`(?s)"info".*stopped before NATS was there; nothing was in flight.*codeferry has stopped`)
}
