package main

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/codeferry/codeferry/internal/check"
)

// TestAWorkerThatMayNotReport: the outcomes that NATS refuses are counted at once, and /readyz
// says why they are lost.
func TestAWorkerThatMayNotReport(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(o *server.Options) {
		for _, u := range o.Users {
			if u.Username == "worker" {
				u.Permissions.Publish.Allow = slices.DeleteFunc(u.Permissions.Publish.Allow, func(s string) bool { return s == "codeferry.outcome.>" })
			}
		}
	})
	g.as("provisioner", "provision").want(t, 0)
	text := strings.NewReplacer("{url: \"nats://NATS\"}", "{url: \""+g.url("worker")+"\", inboxPrefix: _INBOX_worker}", "SANDBOX", "http://127.0.0.1:1").Replace(configText)
	run := spawn(t, "run", "-c", write(t, "codeferry.yaml", text), "--listen", "127.0.0.1:0", "--log-format", "text")
	at := "http://" + run.find(`listen=(\S+)`)[1]
	g.as("publisher", "send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456").want(t, 0)
	run.find(`NATS does not permit it to this user.*codeferry\.outcome\.`)
	check.Eventually(t, "the outcome is counted", func() bool {
		_, metrics := fetch(t, http.MethodGet, at+"/metrics", "")
		return strings.Contains(metrics, "\ncodeferry_outcomes_lost_total ") && !strings.Contains(metrics, "\ncodeferry_outcomes_lost_total 0\n")
	})
	const want = "ok\noutcomes: they can't be stored, and codes are still sent: NATS does not permit this user to publish to codeferry.outcome.default.sms.retrying; docs/roles.md"
	check.Eventually(t, "/readyz says why", func() bool {
		status, ready := fetch(t, http.MethodGet, at+"/readyz", "")
		return status == http.StatusOK && strings.HasPrefix(ready, want)
	})
}
