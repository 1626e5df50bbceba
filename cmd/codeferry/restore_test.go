package main

import (
	"os"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestARestoredStore follows docs/runbooks.md: an older copy of the server's store holds an SMS
// that was sent since. After the ledger is deleted, the worker asks the provider about it
// and does not send it again. A code that was not sent goes out.
func TestARestoredStore(t *testing.T) {
	t.Parallel()
	sandboxURL := spawn(t, "sandbox", "--listen", "127.0.0.1:0", "--no-flow-control").find(`sandbox on (http://\S+),`)[1]
	opts := &server.Options{JetStream: true, StoreDir: t.TempDir()}
	s := natstest.StartWith(t, opts)
	url := s.ClientURL()
	cfg := configFor(t, strings.TrimPrefix(url, "nats://"), sandboxURL)
	send := func(to string, more ...string) (id string) {
		t.Helper()
		args := []string{"send", "--nats", url, "--channel", "sms", "--to", to, "--type", "SignIn", "--code", "123456"}
		id, _, _ = strings.Cut(call(t, append(args, more...)...).want(t, 0).out, " ")
		return id
	}
	call(t, "provision", "--nats", url).want(t, 0)
	worker := func() *process {
		t.Helper()
		w := spawn(t, "run", "-c", cfg)
		w.find("codeferry runs")
		return w
	}
	first := worker() // the channel has had a worker
	send("+8613012345671", "--wait", "20s")
	first.stop()

	id := send("+8613012345672")
	s.Stop()
	backup := t.TempDir()
	if err := os.CopyFS(backup, os.DirFS(opts.StoreDir)); err != nil {
		t.Fatal(err)
	}
	s.Again(t)
	second := worker()
	check.Eventually(t, "the code is sent", func() bool { return strings.Contains(call(t, "status", id, "--nats", url).out, " sent ") })
	second.stop()

	s.Stop()
	opts.StoreDir = backup
	s.Again(t)
	if err := jetStream(t, url).DeleteStream(t.Context(), wire.LedgerStream); err != nil {
		t.Fatal(err)
	}
	third := worker()
	send("+8613012345673", "--wait", "20s")
	story := ""
	check.Eventually(t, "the restored code is settled", func() bool {
		story = call(t, "status", id, "--nats", url).out
		return strings.Contains(story, " sent ")
	})
	third.stop()
	if !strings.Contains(story, "found by asking the provider") {
		t.Errorf("the restored code was not found by asking: %s", story)
	}
	for _, to := range []string{"13012345671", "13012345672", "13012345673"} {
		if n := len(inbox(t, sandboxURL, to)); n != 1 {
			t.Errorf("%s got %d SMS, want 1", to, n)
		}
	}
}
