package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestAnEmptyIDChoosesNoDeadLetter: "$UNSET" is a wrong command line, and asks nothing of NATS.
func TestAnEmptyIDChoosesNoDeadLetter(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"delete", "--yes", ""}, {"delete", "--yes", "x", ""}, {"replay", "--yes", ""}, {"replay", "--dry-run", "--all", ""}, {"show", ""}} {
		r := call(t, append(append([]string{"dead"}, args...), "--nats", "nats://127.0.0.1:1")...).want(t, exitUsage)
		if want := "codeferry: an id is empty; give the id of a message, and check the variable that it comes from\n"; r.err != want {
			t.Errorf("%q: got %q, want %q", args, r.err, want)
		}
	}
}

// TestDeadLettersByThePublishersID: a dead letter holds the hash of an id that shows the
// recipient. The commands find it by the id itself, and neither show nor miss it.
func TestDeadLettersByThePublishersID(t *testing.T) {
	t.Parallel()
	const id = "+8613012346781"
	url := natstest.Start(t).ClientURL()
	call(t, "provision", "--nats", url).want(t, 0)
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	store := func(id, key string) {
		t.Helper()
		dead, err := json.Marshal(messages.DeadLetter{
			ID: wire.HashID(id), App: "default", Channel: messages.SMS, Reason: messages.ReasonRejected,
			Subject: "codeferry.send.default.sms.SignIn." + key, StoredAt: time.Now(), DeadAt: time.Now(),
		})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := js.Publish(t.Context(), wire.DeadSubject("default", messages.SMS, messages.ReasonRejected), dead); err != nil {
			t.Fatal(err)
		}
	}
	store(id, "u1")
	store("another", "u2")
	dead := func(status int, args ...string) result {
		t.Helper()
		r := call(t, append(append([]string{"dead"}, args...), "--nats", url)...).want(t, status)
		if strings.Contains(r.out+r.err, id) {
			t.Errorf("%q shows the id: %s%s", args, r.out, r.err)
		}
		return r
	}
	if r := dead(0, "show", id); strings.Count(r.out, wire.HashID(id)) != 1 {
		t.Errorf("dead show: %s", r.out)
	}
	if r := dead(0, "replay", id, "--dry-run"); !strings.Contains(r.out, "       1  stays: not kept\n") || r.err != "" {
		t.Errorf("dead replay: %s%s", r.out, r.err)
	}
	check.Equal(t, "a dry run", dead(0, "delete", id, "--dry-run").out, "1 dead letter would be erased\n")
	check.Equal(t, "with the hash, too", dead(0, "delete", id, wire.HashID(id), "--dry-run").out, "1 dead letter would be erased\n")
	check.Equal(t, "dead delete", dead(0, "delete", id, "--yes").out, "1 dead letter erased\n")
	check.Equal(t, "a second one", dead(exitFailed, "delete", id, "--yes").err, "codeferry: there is no dead letter with the id +86130****6781\n")
	if r := dead(0, "list"); !strings.Contains(r.out, wire.HashID("another")) || strings.Contains(r.out, wire.HashID(id)) {
		t.Errorf("the dead letters after delete: %s", r.out)
	}
}
