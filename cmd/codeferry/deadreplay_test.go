package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
)

// faulty makes the fake answer SendSms with an error code.
func faulty(t *testing.T, d dev, code string) {
	t.Helper()
	if status, text := fetch(t, http.MethodPut, d.sandbox+"/faults", fmt.Sprintf(`[{"action":"SendSms","code":%q}]`, code)); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
}

func healthy(t *testing.T, d dev) {
	t.Helper()
	if status, text := fetch(t, http.MethodPut, d.sandbox+"/faults", `[]`); status != http.StatusNoContent {
		t.Fatal(status, text)
	}
}

// die publishes an SMS that becomes a dead letter.
func die(t *testing.T, d dev, key string, more ...string) (id string) {
	t.Helper()
	r := call(t, append([]string{"send", "--nats", d.nats, "--channel", "sms", "--to", "+8613712345678", "--type", "SignIn", "--code", "98K417", "--key", key, "--wait", "20s", "--json"}, more...)...).want(t, exitFailed)
	return ids(t, r.out)[0]
}

// TestDeadReplay: codes become dead letters, the cause is fixed, and the codes that are still
// of use are sent. The output says why the others are not.
func TestDeadReplay(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	dead := func(args ...string) []string { return append([]string{"dead"}, append(args, "--nats", d.nats)...) }
	check.Eventually(t, "the streams exist", func() bool { return call(t, dead("list")...).status == 0 })
	if r := call(t, dead("replay", "nobody", "--yes")...).want(t, exitFailed); r.err != "codeferry: there is no dead letter with the id nobody\n" {
		t.Errorf("replay of an id without a dead letter prints %q", r.err)
	}
	if r := call(t, dead("replay", "--all", "--json", "--yes")...).want(t, 0); r.out != `{"dryRun":true,"replayed":0}`+"\n" && r.out != `{"replayed":0}`+"\n" {
		t.Errorf("replay --json without dead letters prints %q", r.out)
	}
	if r := call(t, dead("replay", "--all", "--yes")...).want(t, 0); r.out != "no dead letters\n" {
		t.Errorf("replay without dead letters prints %q, want \"no dead letters\\n\"", r.out)
	}
	faulty(t, d, "isv.MOBILE_NUMBER_ILLEGAL")
	good, old := die(t, d, "u1"), die(t, d, "u2", "--ttl", "2s")
	replaced, newer := die(t, d, "u3"), die(t, d, "u3")
	faulty(t, d, "isv.TEMPLATE_PARAMS_ILLEGAL")
	other := die(t, d, "u4")
	healthy(t, d)

	summary := call(t, dead("list", "--summary")...).want(t, 0)
	for _, want := range []string{
		"4      rejected  aliyun-sms  isv.MOBILE_NUMBER_ILLEGAL    " + newer, "1      rejected  aliyun-sms  isv.TEMPLATE_PARAMS_ILLEGAL  " + other, "5      in all",
	} {
		if !strings.Contains(summary.out, want) {
			t.Errorf("the summary lacks %q:\n%s", want, summary.out)
		}
	}
	var group deadGroup
	r := call(t, dead("list", "--summary", "--json", "--code", "isv.TEMPLATE_PARAMS_ILLEGAL")...).want(t, 0)
	if err := json.Unmarshal([]byte(r.out), &group); err != nil {
		t.Fatalf("the summary is not JSON: %v: %s", err, r.out)
	}
	check.Equal(t, "the count of TEMPLATE_PARAMS_ILLEGAL", group.Count, 1)
	check.Equal(t, "its newest dead letter", group.Newest, other)
	for filter, want := range map[string]int{
		"--type=SignIn": 5, "--type=Register": 0, "--connector=aliyun-sms": 5, "--connector=x": 0, "--since=1h": 5, "--since=0s": 0,
		"--until=0s": 5, "--until=2020-01-01T00:00:00Z": 0, "--to=+8613712345678": 5, "--to=+8613712345679": 0, "--limit=2": 2, "--limit=0": 5,
	} {
		if r := call(t, dead("list", "--json", filter)...).want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("dead list %s prints %d dead letters, want %d", filter, strings.Count(r.out, "\n"), want)
		}
	}
	newest := call(t, dead("list", "--limit=2")...).want(t, 0)
	for _, want := range []string{"older ones", other} {
		if !strings.Contains(newest.out, want) {
			t.Errorf("dead list --limit=2 lacks %q: %s", want, newest.out)
		}
	}
	if strings.Contains(newest.out, good) {
		t.Errorf("dead list --limit=2 has the old dead letter %s: %s", good, newest.out)
	}

	if r := call(t, dead("list", "--limit=2", "--json")...).want(t, 0); !strings.Contains(r.err, "older ones") {
		t.Errorf("that it was cut is not said: %s", r.err)
	}
	if r := call(t, dead("list", "--limit=5", "--json")...).want(t, 0); r.err != "" {
		t.Errorf("nothing was cut: %s", r.err)
	}
	if r := call(t, dead("list")...).want(t, 0); !strings.Contains(fields(r.out), old+" default sms SignIn u2 +86137****5678 rejected") {
		t.Errorf("a dead letter's key is not shown: %s", r.out)
	}

	// Without flags the commands choose nothing, and without --yes they change nothing.
	call(t, dead("replay")...).want(t, exitUsage)
	call(t, dead("replay", "--all")...).want(t, exitUsage)
	call(t, dead("delete", "--all")...).want(t, exitUsage)
	for _, wrong := range []string{"--since=yesterday", "--until=-1h", "--type=Login"} {
		call(t, dead("replay", "--yes", wrong)...).want(t, exitUsage)
	}
	check.Eventually(t, "the code has expired", func() bool {
		r := call(t, dead("replay", "--all", "--dry-run", "--json")...).want(t, 0)
		return strings.Contains(r.out, `"expired":1`)
	})
	if n := len(inbox(t, d.sandbox, "")); n != 0 {
		t.Fatalf("%d messages were sent before the replay, want none", n)
	}
	r = call(t, dead("replay", "--all", "--dry-run", "--json")...).want(t, 0)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	decisions := make(map[string]string)
	for _, line := range lines[:len(lines)-1] {
		var one replayed
		if err := json.Unmarshal([]byte(line), &one); err != nil || one.Sequence == 0 || one.Reason != messages.ReasonRejected || !one.DryRun {
			t.Fatalf("%v: %s", err, line)
		}
		decisions[one.ID+" "+one.Key] = string(one.Decision)
	}
	if want := map[string]string{good + " u1": "replayed", old + " u2": "expired", replaced + " u3": "replaced by a newer code", newer + " u3": "replayed", other + " u4": "replayed"}; !maps.Equal(decisions, want) {
		t.Errorf("got %v, want %v", decisions, want)
	}
	var counts map[string]any
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &counts); err != nil || counts["replayed"] != 3.0 || counts["expired"] != 1.0 || counts["dryRun"] != true {
		t.Errorf("the last line: %v: %s", err, r.out)
	}
	if r := call(t, dead("replay", good, "--dry-run")...).want(t, 0); !strings.Contains(r.out, "rejected       would be replayed\n       1  would be replayed\n") {
		t.Errorf("a dry run: %s", r.out)
	}
	r = call(t, dead("replay", "--code", "isv.MOBILE_NUMBER_ILLEGAL", "--yes")...).want(t, exitFailed) // some stay
	if want := "       2  replayed\n       1  stays: expired\n       1  stays: replaced by a newer code\n"; !strings.HasSuffix(r.out, want) {
		t.Errorf("got %q, want %q at its end", r.out, want)
	}
	for id, want := range map[string]string{good: "u1 +86137****5678 rejected replayed", newer: "u3 +86137****5678 rejected replayed", old: "u2 +86137****5678 rejected stays: expired", replaced: "u3 +86137****5678 rejected stays: replaced by a newer code"} {
		if !strings.Contains(fields(r.out), id+" default sms "+want+"\n") {
			t.Errorf("%s has no line with %q: %s", id, want, r.out)
		}
	}
	d.find(good + " sent")
	d.find(newer + " sent")
	status := call(t, "status", "--nats", d.nats, good).want(t, 0)
	for _, want := range []string{good + " dead", good + " sent"} {
		if !strings.Contains(status.out, want) {
			t.Errorf("status lacks %q: %s", want, status.out)
		}
	}
	call(t, dead("show", good)...).want(t, exitFailed) // its dead letter is erased
	if r := call(t, dead("show", replaced)...).want(t, 0); !strings.Contains(r.out, "kept, sealed for key") {
		t.Errorf("dead show of a superseded code does not say that the message is kept: %s", r.out)
	}

	// A second replay sends nothing.
	call(t, dead("replay", "--code", "isv.MOBILE_NUMBER_ILLEGAL", "--yes")...).want(t, exitFailed)
	if n := len(inbox(t, d.sandbox, "")); n != 2 {
		t.Errorf("%d messages were sent, want 2", n)
	}

	// A new code for the expired one; then the others are erased.
	nc, err := nats.Connect(d.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	asked := make(chan messages.Reissue, 2)
	refuses := true
	if _, err := messages.OnReissue(t.Context(), nc, "default", "auth", func(_ context.Context, q messages.Reissue) error {
		asked <- q
		if refuses {
			refuses = false
			return errors.New("this user has signed in")
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if r := call(t, dead("replay", old, "--reissue", "--yes")...).want(t, exitFailed); !strings.Contains(r.out, "stays: refused by the auth service: this user has signed in\n") {
		t.Errorf("a refused reissue prints %s", r.out)
	}
	<-asked
	call(t, dead("replay", old, "--reissue", "--yes")...).want(t, 0)
	request := <-asked
	check.Equal(t, "the id of the reissue", request.ID, old)
	check.Equal(t, "the key of the reissue", request.Key, "u2")
	check.Equal(t, "delete --dry-run", call(t, dead("delete", "--all", "--dry-run")...).want(t, 0).out, "2 dead letters would be erased\n")
	missing := call(t, dead("delete", other, "nobody", "no-one", "--dry-run", "--json")...).want(t, exitFailed)
	check.Equal(t, "delete of ids without a dead letter", missing.err, "codeferry: there are no dead letters with the ids nobody, no-one\n")
	check.Equal(t, "its ids", strings.Join(ids(t, missing.out), " "), other+" ")
	for _, want := range []string{`"key":"u4"`, `"decision":"erased","dryRun":true}`, `{"dryRun":true,"erased":1,"missing":["nobody","no-one"]}`} {
		if !strings.Contains(missing.out, want) {
			t.Errorf("delete --dry-run --json lacks %s: %s", want, missing.out)
		}
	}
	gone := call(t, dead("delete", other, "nobody", "--yes")...).want(t, exitFailed)
	check.Equal(t, "delete of one id with and one without a dead letter", gone.out+gone.err, "1 dead letter erased\ncodeferry: there is no dead letter with the id nobody\n")
	check.Equal(t, "delete by a filter that takes none", call(t, dead("delete", "--code", "isv.TEMPLATE_PARAMS_ILLEGAL", "--yes", "--json")...).want(t, 0).out, `{"erased":0}`+"\n")
	rest := call(t, dead("list", "--json")...).want(t, 0)
	check.Equal(t, "the dead letters after delete", strings.Count(rest.out, "\n"), 1)
	if !strings.Contains(rest.out, replaced) || !strings.Contains(rest.out, `"key":"u3"`) {
		t.Errorf("the last dead letter is not %s: %s", replaced, rest.out)
	}
}

// waitUntil calls done until it returns true. It is for states that give no signal.
