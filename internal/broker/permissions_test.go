package broker_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
)

// TestTryPermissions: a user with the permissions of deploy/nats-roles.conf has all that a worker
// needs; without one of them, it is named. A try changes nothing.
func TestTryPermissions(t *testing.T) {
	for _, role := range []string{"PUBLISHER", "WORKER", "OPERATOR", "PROVISIONER"} {
		t.Setenv(role+"_PASSWORD", "pass")
	}
	opts, err := server.ProcessConfigFile("../../deploy/nats-roles.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	i := slices.IndexFunc(opts.Users, func(u *server.User) bool { return u.Username == "worker" })
	denied := map[string]string{ // by what the finding names
		"$JS.API.STREAM.INFO.CODEFERRY":                                           "to check the stream",
		"$JS.API.STREAM.INFO.CODEFERRY_OUTCOMES":                                  "to check the stream",
		"$JS.API.STREAM.INFO.CODEFERRY_DEAD":                                      "to check the stream",
		"$JS.API.STREAM.INFO.KV_codeferry-ledger":                                 "to check the stream",
		"$JS.API.CONSUMER.INFO.CODEFERRY.email":                                   "to check the consumer",
		"$JS.API.CONSUMER.INFO.CODEFERRY.sms":                                     "to check the consumer",
		"$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.email":                               "to receive messages",
		"$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.sms":                                 "to receive messages",
		"$JS.ACK.CODEFERRY.email.>":                                               "to settle messages",
		"$JS.ACK.CODEFERRY.sms.>":                                                 "to settle messages",
		"$JS.API.STREAM.MSG.GET.CODEFERRY":                                        "to check for a newer code",
		"$JS.API.STREAM.MSG.DELETE.CODEFERRY":                                     "to remove messages",
		"$KV.codeferry-ledger.>":                                                  "to write the ledger",
		"$JS.API.DIRECT.GET.KV_codeferry-ledger.>":                                "to read the ledger",
		"$JS.API.STREAM.PURGE.KV_codeferry-ledger":                                "to clean up the ledger",
		"$JS.API.CONSUMER.CREATE.CODEFERRY_OUTCOMES.*.codeferry.outcome.*.*.sent": "to find what was sent",
		"$JS.API.CONSUMER.MSG.NEXT.CODEFERRY_OUTCOMES.>":                          "to find what was sent",
		"codeferry.dead.>":                                                        "to store dead letters",
		"$JS.API.DIRECT.GET.CODEFERRY_DEAD":                                       "to count dead letters",
	}
	names := make(map[string]string)
	add := func(name, deny string) {
		user := *opts.Users[i]
		user.Username = name
		allowed := *user.Permissions
		publish := *allowed.Publish
		if deny != "" {
			publish.Deny = []string{deny}
		} else {
			publish.Allow = []string{">"}
			allowed.Subscribe = &server.SubjectPermission{Allow: []string{">"}}
		}
		allowed.Publish, user.Permissions = &publish, &allowed
		opts.Users = append(opts.Users, &user)
	}
	add("all", "")
	for subject := range denied {
		names[subject] = fmt.Sprint("worker-", len(names))
		add(names[subject], subject)
	}
	srv := natstest.StartWith(t, opts)
	target := func(user string) broker.Target {
		return broker.Target{URL: "nats://" + srv.Addr().String(), User: user, Password: sender.NewSecret("pass"), InboxPrefix: "_INBOX_worker", Name: "test"}
	}
	nc, err := broker.Connect(t.Context(), target("all"), zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(deadline(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, subject := range []string{"codeferry.send.default.sms.SignIn.u1", "$KV.codeferry-ledger.x", "codeferry.dead.default.sms.rejected"} {
		if _, err := js.Publish(deadline(t), subject, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	deadLetters, err := nc.SubscribeSync("codeferry.dead.>")
	if err != nil {
		t.Fatal(err)
	}
	before := states(t, js)

	findings, tried, err := broker.TryPermissions(deadline(t), target("worker"))
	if err != nil || len(findings) > 0 || !strings.Contains(tried, fmt.Sprint(len(denied))+" operations of a worker tried") || !strings.Contains(tried, "not tried: codeferry.outcome.*.*.*") {
		t.Errorf("%v, %q, %v", findings, tried, err)
	}
	if m, err := deadLetters.NextMsgWithContext(deadline(t)); err != nil || len(m.Data) > 0 {
		t.Errorf("a subscriber of dead letters: %v, %v; want an empty message", m, err)
	}
	for subject, what := range denied {
		findings, _, err := broker.TryPermissions(deadline(t), target(names[subject]))
		minor := strings.Contains(what, "clean up") || strings.Contains(what, "count")
		if err != nil || len(findings) != 1 || findings[0].Wrong == minor || !strings.Contains(findings[0].Text, " to publish to "+subject+", which a worker needs "+what) {
			t.Errorf("without %s: %v, %v", subject, findings, err)
		}
	}
	if after := states(t, js); after != before {
		t.Errorf("it changed something:\nbefore %s\nafter  %s", before, after)
	}
}

// states describes what is in the streams, and how far the consumers have come.
func states(t *testing.T, js jetstream.JetStream) string {
	t.Helper()
	var b strings.Builder
	for info := range js.ListStreams(deadline(t)).Info() {
		fmt.Fprintf(&b, "%s: %d messages to %d, %d consumers; ", info.Config.Name, info.State.Msgs, info.State.LastSeq, info.State.Consumers)
	}
	for _, name := range []string{"email", "sms"} {
		c, err := js.Consumer(deadline(t), wire.StreamName, name)
		if err != nil {
			t.Fatal(err)
		}
		info := c.CachedInfo()
		fmt.Fprintf(&b, "%s: delivered %d, %d wait for their ack, %d requests; ", name, info.Delivered.Consumer, info.NumAckPending, info.NumWaiting)
	}
	return b.String()
}
