package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// waitingRows are what codeferry waiting --json prints.
func waitingRows(t *testing.T, args ...string) map[string]waits {
	t.Helper()
	rows := make(map[string]waits)
	for line := range strings.Lines(call(t, append([]string{"waiting", "--json"}, args...)...).want(t, 0).out) {
		var w waits
		if err := json.Unmarshal([]byte(line), &w); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		rows[w.ID] = w
	}
	return rows
}

// TestWatching: what was sent, what is dead and what waits is found by id, key and address,
// while it happens and afterwards.
func TestWatching(t *testing.T) {
	t.Parallel()
	server := testrig.Server(t)
	d := dev{nats: server.URL(), sandbox: spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]}
	text := strings.NewReplacer("NATS", d.nats, "SANDBOX", d.sandbox).Replace(watchingConfig)
	file := write(t, "codeferry.yaml", text)
	d.process = spawn(t, "run", "-c", file)
	d.find("codeferry runs")
	nats := []string{"--nats", d.nats}
	run := func(args ...string) result { return call(t, append(args, nats...)...) }
	check.Eventually(t, "the streams are there", func() bool { return run("dead", "list").status == 0 })
	if r := run("outcomes").want(t, 0); !strings.HasPrefix(r.out, "no outcomes since ") {
		t.Errorf("no outcomes: %q", r.out)
	}
	if r := run("waiting").want(t, 0); !strings.HasSuffix(r.out, "\nno messages wait\n") {
		t.Errorf("nothing waits: %q", r.out)
	}
	if r := run("status", "nobody").want(t, exitFailed); !strings.Contains(r.err, "no such message was published since the stream CODEFERRY was made at ") || !strings.HasSuffix(r.err, ": nobody\n") {
		t.Errorf("nothing was published: %s", r.err)
	}

	follows, dead := followOutcomes(t, nats...), followOutcomes(t, append(nats, "--status", "dead", "--json")...)
	send := func(to, key string, wait ...string) string {
		t.Helper()
		channel := "sms"
		if strings.Contains(to, "@") {
			channel = "email"
		}
		r := run(append([]string{"send", "--channel", channel, "--to", to, "--type", "SignIn", "--code", "983417", "--key", key, "--json"}, wait...)...)
		return ids(t, r.out)[0]
	}
	sent := send("+8613012345678", "u1", "--wait", "20s")
	mail := send("foo@example.com", "u1", "--wait", "20s")
	faulty(t, d, "isv.MOBILE_NUMBER_ILLEGAL")
	lost := send("+8613712345678", "u2", "--wait", "20s")
	faulty(t, d, "isv.AMOUNT_NOT_ENOUGH")
	stuck := send("+8613812345678", "u3")
	var all string
	check.Eventually(t, "the account is out", func() bool {
		all = run("outcomes", "--json").want(t, 0).out
		return strings.Contains(all, `"retrying"`)
	})
	behind := send("+8613812345679", "u4")

	// The outcomes.
	follows.find(stuck)
	for _, id := range []string{sent, mail, lost, stuck} {
		if !strings.Contains(follows.output(), id) {
			t.Errorf("--follow has no line of %s: %s", id, follows.output())
		}
	}
	if last := follows.stops(t); last != "4 outcomes: 2 sent, 1 retrying, 1 dead" {
		t.Errorf("its last line is %q: %s", last, follows.output())
	}
	dead.find(`"id":"` + lost)
	if last := dead.stops(t); last != "1 outcome: 1 dead" || strings.Count(dead.output(), "\n") != 2 {
		t.Errorf("--status dead: %s", dead.output())
	}
	for filter, want := range map[string]string{
		"": sent + " " + mail + " " + lost + " " + stuck, "--status=sent": sent + " " + mail, "--status=dead,retrying": lost + " " + stuck, "--channel=email": mail,
		"--channel=email,sms": sent + " " + mail + " " + lost + " " + stuck, "--app=shop": "", "--app=default": sent + " " + mail + " " + lost + " " + stuck,
		"--connector=direct-mail": mail, "--key=u1": sent + " " + mail, "--id=" + lost: lost, "--to=13712345678": lost, "--to=Foo@example.com": mail,
		"--since=1d": sent + " " + mail + " " + lost + " " + stuck, "--since=" + time.Now().Add(time.Hour).UTC().Format(time.RFC3339): "",
		"--limit=2": lost + " " + stuck, "--limit=4": sent + " " + mail + " " + lost + " " + stuck,
	} {
		args := []string{"outcomes", "--json"}
		if filter != "" {
			args = append(args, filter)
		}
		r := run(args...).want(t, 0)
		if got := strings.Join(ids(t, r.out), " "); got != want {
			t.Errorf("outcomes %s: %s, want %s", filter, got, want)
		}
		if cut := strings.Contains(r.err, "older outcomes"); cut != (filter == "--limit=2") {
			t.Errorf("outcomes %s: that it was cut is said: %t", filter, cut)
		}
		if note := strings.Contains(r.err, "masked addresses"); note != strings.HasPrefix(filter, "--to") {
			t.Errorf("outcomes %s: %s", filter, r.err)
		}
	}

	// What waits.
	var rows map[string]waits
	check.Eventually(t, "both wait, one for its retry", func() bool {
		rows = waitingRows(t, nats...)
		return len(rows) == 2 && rows[stuck].Why == "breaker"
	})
	if w := rows[stuck]; *w.Attempts != 1 || w.RetryAt == nil || w.Key != "u3" || w.To != "+86138****5678" || strings.Join(w.Connectors, " ") != "aliyun-sms" || !strings.Contains(w.Detail, "isv.AMOUNT_NOT_ENOUGH") {
		t.Errorf("what has failed: %+v", w)
	}
	if w := rows[behind]; w.Why != "not-taken" && w.Why != "put-back" || *w.Attempts != 0 {
		t.Errorf("what is behind it: %+v", w)
	}
	table := run("waiting").want(t, 0)
	for _, want := range []string{stuck, behind, "sms: ", "email: 0 messages", "SINCE ", "breaker", " ? "} {
		if !strings.Contains(table.out, want) {
			t.Errorf("waiting does not say %s: %s", want, table.out)
		}
	}
	if r := run("waiting", "--channel", "email").want(t, 0); strings.Contains(r.out, stuck) || strings.Contains(r.out, "sms: ") || !strings.Contains(r.out, "no messages wait") {
		t.Errorf("waiting --channel email: %s", r.out)
	}
	if r := run("waiting", "--limit", "1").want(t, 0); !strings.Contains(r.out, stuck) || strings.Contains(r.out, behind) || !strings.Contains(r.out, "newer") {
		t.Errorf("waiting --limit 1: %s", r.out)
	}
	if r := run("waiting", "--limit", "1", "--json").want(t, 0); strings.Count(r.out, "\n") != 1 || !strings.Contains(r.err, "newer") {
		t.Errorf("waiting --limit 1 --json: %s", r.out)
	}
	if r := run("waiting", "--limit", "0", "--json").want(t, 0); strings.Join(ids(t, r.out), " ") != stuck+" "+behind {
		t.Errorf("waiting --limit 0: %s", r.out)
	}
	if r := run("waiting", "--summary").want(t, 0); !regexp.MustCompile(`(?m)^1 +sms +breaker +`+stuck).MatchString(r.out) || !regexp.MustCompile(`(?m)^2 +in all$`).MatchString(r.out) {
		t.Errorf("waiting --summary: %s", r.out)
	}
	if r := run("waiting", "--summary", "--json").want(t, 0); strings.Count(r.out, "\n") != 2 || !strings.Contains(r.out, `"why":"breaker"`) {
		t.Errorf("waiting --summary --json: %s", r.out)
	}

	// What became of one.
	for _, c := range []struct {
		args []string
		want string // an expression over its lines
	}{
		{[]string{sent}, sent + ` sent sms SignIn to \+86130\*{4}5678`},
		{[]string{"--key", "u1"}, `(?s)app default, channel sms, .*` + sent + ` sent .*app default, channel email, .*` + mail + ` sent`},
		{[]string{"--to", "13012345678"}, sent + ` sent`},
		{[]string{"--to", "FOO@example.com"}, mail + ` sent`},
		{[]string{lost}, lost + ` dead sms SignIn .*rejected: isv.MOBILE_NUMBER_ILLEGAL`},
		{[]string{"--key", "u2", "--since", "1h"}, lost + ` dead`},
		{[]string{stuck}, `(?s)` + stuck + ` retrying .*` + stuck + ` waiting sms SignIn to \+86138\*{4}5678, app default, key u3, 1 attempt(, again at .*)? \(breaker: aliyun-sms`},
		{[]string{"--to", "+8613812345678"}, stuck + ` waiting`},
		{[]string{"--key", "u4"}, `^\S+ \S+ ` + behind + ` waiting`},
		{[]string{"--json", "--key", "u4"}, `^\{"status":"waiting","id":"` + behind},
	} {
		if r := run(append([]string{"status"}, c.args...)...).want(t, 0); !regexp.MustCompile(c.want).MatchString(r.out) {
			t.Errorf("status %v: %s, want %s", c.args, r.out, c.want)
		}
	}
	for _, args := range [][]string{{"nobody"}, {strings.Repeat("x", 20_000)}, {"bar@example.com"}, {"--key", "nobody"}, {"--to", "+8613912345678"}, {sent, "--since", time.Now().Add(time.Hour).UTC().Format(time.RFC3339)}} {
		r := run(append([]string{"status"}, args...)...).want(t, exitFailed)
		if !strings.Contains(r.err, "no such message was published") || strings.Count(r.err, "\n") != 1 || len(r.err) > 500 {
			t.Errorf("status %.40s: %s", args, r.err)
		}
		all += r.err
	}

	// A newer code supersedes one that waits, and nothing tells of that one any more.
	newer := send("+8613812345678", "u3")
	r := run("status", "nobody").want(t, exitFailed)
	if !strings.Contains(r.err, "no such message") {
		t.Errorf("there is an outcome of the one that was superseded: %s", r.err)
	}
	waited := run("status", behind).want(t, 0)
	newest := send("+8613812345679", "u4")
	if r := run("status", behind).want(t, exitFailed); !strings.Contains(r.err, "nothing is known of "+behind+": it does not wait, and there is no outcome and no dead letter of it.") || !strings.Contains(r.err, "a newer code superseded them") {
		t.Errorf("a message of which nothing is kept: %s", r.err)
	}
	healthy(t, d)
	// The worker of another configuration has no breaker that is open.
	if err := os.WriteFile(file, []byte(strings.Replace(text, "accountPause: 1h", "accountPause: 1s", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{newer, newest} {
		d.find(`"id":"` + id + `".*"message":"sent"`)
	}

	for _, secret := range []string{"983417", "13012345678", "13712345678", "13812345678", "13812345679", "13912345678", "foo@example.com", "bar@example.com", "\x1b"} {
		for _, text := range []string{all, follows.output(), dead.output(), table.out, waited.out, r.err} {
			if strings.Contains(strings.ToLower(text), secret) {
				t.Errorf("something holds %q: %s", secret, text)
			}
		}
	}
}

// watchingConfig leaves an account that is out alone for longer than a test takes, and its
// codes are valid for longer than that.
const watchingConfig = `
nats: {url: "NATS"}
listen: 127.0.0.1:0
apps:
  default: {sms: [aliyun-sms], email: [direct-mail], codeTTL: 1d}
worker: {accountPause: 1h}
connectors:
  aliyun-sms:
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
  direct-mail:
    type: aliyun-dm
    endpoint: SANDBOX
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    accountName: no-reply@mail.example.com
    templates:
      - {usageType: Register, subject: A, content: "{{code}}"}
      - {usageType: SignIn, subject: A, content: "{{code}}"}
      - {usageType: ForgotPassword, subject: A, content: "{{code}}"}
      - {usageType: Generic, subject: A, content: "{{code}}"}
`

// watchConfig has an app whose connector's account is out, and one whose connector is well.
const watchConfig = `
nats: {url: "NATS"}
listen: 127.0.0.1:0
apps:
  default: {sms: [broke], codeTTL: 1d}
  shop: {sms: [well], codeTTL: 1d12h}
worker: {concurrency: 1, patience: 100ms, accountPause: 1d}
connectors:
  broke: &sms
    type: aliyun-sms
    endpoint: BROKE
    accessKeyId: ${ALIBABA_CLOUD_ACCESS_KEY_ID}
    accessKeySecret: ${ALIBABA_CLOUD_ACCESS_KEY_SECRET}
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
  well:
    <<: *sms
    endpoint: WELL
`

// TestWhatIsDeferred: a message whose connector's breaker is open, and one that newer codes
// go before, say so.
func TestWhatIsDeferred(t *testing.T) {
	t.Parallel()
	nats := testrig.Server(t)
	broke := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	well := spawn(t, "sandbox", "--listen", "127.0.0.1:0").find(`sandbox on (http://\S+),`)[1]
	for box, faults := range map[string]string{broke: `[{"action":"SendSms","code":"isv.AMOUNT_NOT_ENOUGH"}]`, well: `[{"action":"SendSms","latency":"100ms"}]`} {
		fetch(t, http.MethodPut, box+"/settings", `{"flowControl": false}`)
		if status, text := fetch(t, http.MethodPut, box+"/faults", faults); status != http.StatusNoContent {
			t.Fatal(status, text)
		}
	}
	cfg := write(t, "codeferry.yaml", strings.NewReplacer("NATS", nats.URL(), "BROKE", broke, "WELL", well).Replace(watchConfig))
	run := spawn(t, "run", "-c", cfg, "--log-format", "text", "--log-level", "debug")
	run.find("codeferry runs")
	js := jetStream(t, nats.URL())
	n := 0
	send := func(app string) string {
		t.Helper()
		n++
		id := fmt.Sprint("m", n)
		subject := messages.Subject{App: app, Channel: messages.SMS, Type: messages.SignIn, Key: id}.String()
		if _, err := js.Publish(t.Context(), subject, fmt.Appendf(nil, `{"id":%q,"to":"+86130%08d","type":"SignIn","payload":{"code":"983417"}}`, id, n)); err != nil {
			t.Fatal(err)
		}
		return id
	}
	send("default")
	run.find("circuit breaker opened")
	second := send("default")
	var w waits
	check.Eventually(t, "it is deferred for the breaker", func() bool {
		w = waitingRows(t, "-c", cfg)[second]
		return w.Why == "breaker" && strings.Contains(w.Detail, "is open")
	})
	if *w.Attempts != 0 || strings.Join(w.Connectors, " ") != "broke" || w.ExpiresAt == nil || !w.ExpiresAt.Equal(w.StoredAt.Add(24*time.Hour)) {
		t.Errorf("deferred for the breaker: %+v", w)
	}
	if r := call(t, "waiting", "--summary", "-c", cfg, "--app", "default").want(t, 0); !strings.Contains(r.out, "the circuit breaker of broke, or the template's, is open") {
		t.Errorf("%s", r.out)
	}

	// More comes in than can go out.
	var deferred string
	check.Eventually(t, "one is deferred for newer ones", func() bool {
		for range 20 {
			send("shop")
		}
		for id, w := range waitingRows(t, "-c", cfg, "--limit", "0", "--app", "shop") {
			if w.Why == "newer-first" {
				deferred = id
				if !w.ExpiresAt.Equal(w.StoredAt.Add(36 * time.Hour)) {
					t.Errorf("deferred for newer ones: %+v", w)
				}
			}
		}
		return deferred != ""
	})
	if r := call(t, "status", deferred, "-c", cfg); r.status == 0 && !strings.Contains(r.out, deferred) {
		t.Errorf("status %s: %s", deferred, r.out)
	}
}

// TestAnOperatorWhoOnlyLooks: without the permissions on what waits, status tells what it
// knows, and what it does not.
func TestAnOperatorWhoOnlyLooks(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(o *server.Options) {
		for _, u := range o.Users {
			if u.Username != "operator" {
				continue
			}
			var allow []string
			for _, subject := range u.Permissions.Publish.Allow {
				if !strings.HasSuffix(subject, ".CODEFERRY") && !strings.Contains(subject, ".CODEFERRY.") && !strings.Contains(subject, wire.LedgerStream) {
					allow = append(allow, subject)
				}
			}
			u.Permissions.Publish.Allow = allow
		}
	})
	g.as("provisioner", "provision").want(t, 0)
	worker := g.visit("worker")
	body, err := json.Marshal(messages.Outcome{ID: "known", App: "default", Channel: messages.SMS, Status: messages.StatusSent, StoredAt: time.Now(), At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := worker.js.Publish(t.Context(), wire.OutcomeSubject("default", messages.SMS, messages.StatusSent), body); err != nil {
		t.Fatal(err)
	}
	if r := g.as("operator", "status", "known").want(t, 0); !strings.Contains(r.out, "known sent") || !strings.Contains(r.err, "It is not known which messages wait: NATS does not permit this") {
		t.Errorf("status of what is known: %s%s", r.out, r.err)
	}
	if r := g.as("operator", "status", "unknown").want(t, exitFailed); !strings.Contains(r.err, "it is not known whether it waits: NATS does not permit this") || strings.Contains(r.err, "no such message") {
		t.Errorf("status of what is not: %s", r.err)
	}
	g.as("operator", "outcomes").want(t, 0)
	if r := g.as("operator", "waiting").want(t, exitFailed); !strings.Contains(r.err, "NATS does not permit this") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("waiting: %s", r.err)
	}
}
