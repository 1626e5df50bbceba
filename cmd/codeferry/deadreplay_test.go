package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
)

// faulty has the stand-in answer SendSms with a code.
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
	r := call(t, append([]string{"send", "--nats", d.nats, "--channel", "sms", "--to", "+8613712345678", "--type", "SignIn", "--code", "983417", "--key", key, "--wait", "20s", "--json"}, more...)...).want(t, exitFailed)
	return ids(t, r.out)[0]
}

// TestReplayFromOutside: codes die of a mistake, the mistake is mended, and those
// that are still of use are sent; the others say why not.
func TestReplayFromOutside(t *testing.T) {
	t.Parallel()
	d := spawnDev(t)
	dead := func(args ...string) []string { return append([]string{"dead"}, append(args, "--nats", d.nats)...) }
	waitUntil(t, "the streams are there", func() bool { return call(t, dead("list")...).status == 0 })
	call(t, dead("replay", "nobody", "--yes")...).want(t, exitFailed)
	if r := call(t, dead("replay", "--all", "--yes")...).want(t, 0); r.out != "no dead letters\n" {
		t.Errorf("%q", r.out)
	}
	faulty(t, d, "isv.MOBILE_NUMBER_ILLEGAL")
	good, old := die(t, d, "u1"), die(t, d, "u2", "--ttl", "2s")
	replaced, newer := die(t, d, "u3"), die(t, d, "u3")
	faulty(t, d, "isv.TEMPLATE_PARAMS_ILLEGAL")
	other := die(t, d, "u4")
	healthy(t, d)

	summary := call(t, dead("list", "--summary")...).want(t, 0)
	if !strings.Contains(summary.out, "4      rejected  aliyun-sms  isv.MOBILE_NUMBER_ILLEGAL    "+newer) || !strings.Contains(summary.out, "1      rejected  aliyun-sms  isv.TEMPLATE_PARAMS_ILLEGAL  "+other) || !strings.Contains(summary.out, "5      in all") {
		t.Errorf("%s", summary.out)
	}
	var group deadGroup
	r := call(t, dead("list", "--summary", "--json", "--code", "isv.TEMPLATE_PARAMS_ILLEGAL")...).want(t, 0)
	if err := json.Unmarshal([]byte(r.out), &group); err != nil || group.Count != 1 || group.Newest != other {
		t.Errorf("%v: %s", err, r.out)
	}
	for filter, want := range map[string]int{
		"--type=SignIn": 5, "--type=Register": 0, "--connector=aliyun-sms": 5, "--connector=x": 0, "--since=1h": 5, "--since=0s": 0,
		"--until=0s": 5, "--until=2020-01-01T00:00:00Z": 0, "--to=+8613712345678": 5, "--to=+8613712345679": 0, "--limit=2": 2, "--limit=0": 5,
	} {
		if r := call(t, dead("list", "--json", filter)...).want(t, 0); strings.Count(r.out, "\n") != want {
			t.Errorf("%s: %d, want %d", filter, strings.Count(r.out, "\n"), want)
		}
	}
	if r := call(t, dead("list", "--limit=2")...).want(t, 0); !strings.Contains(r.out, "older ones") || !strings.Contains(r.out, other) || strings.Contains(r.out, good) {
		t.Errorf("%s", r.out)
	}

	// Nothing is chosen or done without a word.
	call(t, dead("replay")...).want(t, exitUsage)
	call(t, dead("replay", "--all")...).want(t, exitUsage)
	call(t, dead("delete", "--all")...).want(t, exitUsage)
	for _, wrong := range []string{"--since=yesterday", "--until=-1h", "--type=Login"} {
		call(t, dead("replay", "--yes", wrong)...).want(t, exitFailed)
	}
	waitUntil(t, "the code has expired", func() bool {
		r := call(t, dead("replay", "--all", "--dry-run", "--json")...).want(t, 0)
		return strings.Contains(r.out, `"expired":1`)
	})
	if n := len(inbox(t, d.sandbox, "")); n != 0 {
		t.Fatalf("%d messages were sent", n)
	}
	r = call(t, dead("replay", "--code", "isv.MOBILE_NUMBER_ILLEGAL", "--yes")...).want(t, exitFailed) // some stay
	if want := "       2  replayed\n       1  stays: expired\n       1  stays: replaced by a newer code\n"; r.out != want {
		t.Errorf("got %q, want %q", r.out, want)
	}
	d.find(good + " sent")
	d.find(newer + " sent")
	if r := call(t, "status", "--nats", d.nats, good).want(t, 0); !strings.Contains(r.out, good+" dead") || !strings.Contains(r.out, good+" sent") {
		t.Errorf("%s", r.out)
	}
	call(t, dead("show", good)...).want(t, exitFailed) // its letter has gone
	if r := call(t, dead("show", replaced)...).want(t, 0); !strings.Contains(r.out, "kept, sealed for key") {
		t.Errorf("%s", r.out)
	}

	// Once more does nothing more.
	call(t, dead("replay", "--code", "isv.MOBILE_NUMBER_ILLEGAL", "--yes")...).want(t, exitFailed)
	if n := len(inbox(t, d.sandbox, "")); n != 2 {
		t.Errorf("%d messages were sent", n)
	}

	// A new code for the expired one, and the rest is erased.
	nc, err := nats.Connect(d.nats)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	asked := make(chan messages.Reissue, 1)
	if _, err := messages.OnReissue(t.Context(), nc, "default", "auth", func(_ context.Context, q messages.Reissue) error {
		asked <- q
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	call(t, dead("replay", old, "--reissue", "--yes")...).want(t, 0)
	if q := <-asked; q.ID != old || q.Key != "u2" {
		t.Errorf("%+v", q)
	}
	if r := call(t, dead("delete", "--all", "--dry-run")...).want(t, 0); r.out != "2 dead letters would be erased\n" {
		t.Errorf("%q", r.out)
	}
	if r := call(t, dead("delete", "--code", "isv.TEMPLATE_PARAMS_ILLEGAL", "--yes")...).want(t, 0); r.out != "1 dead letters erased\n" {
		t.Errorf("%q", r.out)
	}
	if r := call(t, dead("list", "--json")...).want(t, 0); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.out, replaced) {
		t.Errorf("%q", r.out)
	}
}

// waitUntil repeats what can't be waited for in another way.
func waitUntil(t *testing.T, what string, so func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !so(); {
		if time.Now().After(end) {
			t.Fatalf("never: %s", what)
		}
	}
}
