package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

var roles = []string{"publisher", "worker", "operator", "provisioner"}

// guarded is a nats-server with the users and permissions of deploy/nats-roles.conf.
type guarded struct {
	t    *testing.T
	addr string
}

func newGuarded(t *testing.T, change ...func(*server.Options)) *guarded {
	t.Helper()
	opts, err := server.ProcessConfigFile(root + "/deploy/nats-roles.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	for _, f := range change {
		f(opts)
	}
	s := natstest.StartWith(t, opts)
	return &guarded{t, s.Addr().String()}
}

func (g *guarded) url(role string) string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword(role, "pass-"+role), Host: g.addr}).String()
}

// as runs a command as a role.
func (g *guarded) as(role string, args ...string) result {
	g.t.Helper()
	return callIn(g.t, []string{"NATS_USER=" + role, "NATS_PASSWORD=pass-" + role}, append(args, "--nats", "nats://"+g.addr, "--inbox-prefix", "_INBOX_"+role)...)
}

// visitor is a connection of a role, with the server's refusals.
type visitor struct {
	t       *testing.T
	nc      *nats.Conn
	js      jetstream.JetStream
	refused chan string
}

func (g *guarded) visit(role string) *visitor {
	g.t.Helper()
	v := &visitor{t: g.t, refused: make(chan string, 100)}
	nc, err := messages.Connect(g.url(role), nats.CustomInboxPrefix("_INBOX_"+role), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
		v.refused <- err.Error()
	}))
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(nc.Close)
	v.nc = nc
	if v.js, err = jetstream.New(nc, jetstream.WithDefaultTimeout(2*time.Second)); err != nil {
		g.t.Fatal(err)
	}
	return v
}

// wantRefusal waits for the next refusal, which must name the subject.
func (v *visitor) wantRefusal(verb, subject string) {
	v.t.Helper()
	if err := v.nc.Flush(); err != nil {
		v.t.Fatal(err)
	}
	select {
	case refused := <-v.refused:
		if !strings.Contains(refused, verb+` to "`+subject+`"`) {
			v.t.Errorf("%s to %s: the server refused something else: %s", verb, subject, refused)
		}
	case <-time.After(patience):
		v.t.Fatalf("the server does not refuse %s to %s", verb, subject)
	}
}

// wantNoRefusal fails the test if the server has refused something so far. The server answers
// in order, so the next refusal must be of a subject that nobody may use.
func (v *visitor) wantNoRefusal() {
	v.t.Helper()
	v.publish("nobody.may")
	v.wantRefusal("Publish", "nobody.may")
}

func (v *visitor) publish(subject string) {
	v.t.Helper()
	if err := v.nc.Publish(subject, nil); err != nil {
		v.t.Fatal(err)
	}
}

// TestRolesDoTheirWholeJob runs everything with the permissions of
// deploy/nats-roles.conf, and the server refuses nothing.
func TestRolesDoTheirWholeJob(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	fetch(t, http.MethodPut, sandboxURL+"/settings", `{"flowControl": false}`)
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	secret, err := key.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	text := strings.NewReplacer("{url: \"nats://NATS\"}", fmt.Sprintf("{url: %q, inboxPrefix: _INBOX_worker}", g.url("worker")), "SANDBOX", sandboxURL).Replace(configText) +
		fmt.Sprintf("    askGrace: 200ms\nsealing: {keys: [%s]}\nworker: {retry: {initialInterval: 20ms, maxAttempts: 3}}\n", secret)
	cfg := write(t, "codeferry.yaml", text)

	if r := call(t, "check", "-c", cfg).want(t, 0); !strings.Contains(r.out, "warning  NATS: there are no streams yet, and NATS does not permit this user to create them: run codeferry provision --context NAME -c "+cfg+", in which NAME is a context of the provisioner (docs/roles.md)") {
		t.Errorf("check without streams: %s", r.out)
	}
	run := spawn(t, "run", "-c", cfg, "--log-format", "text")
	run.find(`run codeferry provision with one that has`)
	if _, text := fetch(t, http.MethodGet, "http://"+run.find(`listen=(\S+)`)[1]+"/readyz", ""); strings.Count(text, "codeferry provision") != 1 || strings.Contains(text, "deadline") || !strings.Contains(text, "stream CODEFERRY is missing; ") {
		t.Errorf("/readyz without streams: %s", text)
	}
	for range 2 {
		g.as("provisioner", "provision").want(t, 0)
	}
	listen := run.find(`listen=(\S+)`)[1]
	awaitReady(t, "http://"+listen)
	call(t, "check", "-c", cfg).want(t, 0)

	auth := g.visit("publisher")
	outcomes, renewed := make(chan messages.Outcome, 100), make(chan string, 1)
	hearing, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- messages.SubscribeOutcomes(hearing, auth.nc, messages.OutcomesOptions{Durable: "publisher", Since: time.Now().Add(-time.Minute)}, func(_ context.Context, o messages.Outcome) error {
			outcomes <- o
			return nil
		})
	}()
	p, err := messages.NewPublisher(auth.nc, messages.PublisherOptions{Sealer: messages.NewSealer(key.Public())})
	if err != nil {
		t.Fatal(err)
	}
	send := func(user string, ttl time.Duration) string {
		t.Helper()
		ack, err := p.Publish(t.Context(), messages.Subject{Channel: messages.SMS, Key: user},
			&messages.SendCode{To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"}, ExpiresAt: time.Now().Add(ttl)})
		if err != nil {
			t.Fatal(err)
		}
		return ack.ID
	}
	until := func(id string, want messages.Status) (way []messages.Status) {
		t.Helper()
		limit := time.After(patience)
		for {
			select {
			case o := <-outcomes:
				if o.ID == id {
					way = append(way, o.Status)
				}
				if o.ID == id && o.Status == want {
					return way
				}
			case <-limit:
				t.Fatalf("%s: no %s after %v: %s", id, want, way, run.output())
			}
		}
	}
	faults := func(list string) {
		t.Helper()
		if status, text := fetch(t, http.MethodPut, sandboxURL+"/faults", list); status != http.StatusNoContent {
			t.Fatal(status, text)
		}
	}

	until(send("plain", time.Minute), messages.StatusSent)
	faults(`[{"action":"SendSms","code":"Throttling.User","count":1}]`)
	if way := until(send("retried", time.Minute), messages.StatusSent); len(way) != 2 || way[0] != messages.StatusRetrying {
		t.Errorf("a retry went %v", way)
	}
	faults(`[{"action":"SendSms","drop":"after","count":1}]`)
	if way := until(send("doubted", time.Minute), messages.StatusSent); len(way) != 2 || way[0] != messages.StatusUnknown {
		t.Errorf("a doubt went %v", way)
	}
	g.as("publisher", "send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "20s").want(t, 0)

	faults(`[{"action":"SendSms","code":"isv.MOBILE_NUMBER_ILLEGAL","count":3}]`)
	rejected := send("rejected", time.Minute)
	until(rejected, messages.StatusDead)
	erased := send("erased", time.Minute)
	until(erased, messages.StatusDead)
	expires := time.Now().Add(2 * time.Second)
	expired := send("expired", time.Until(expires))
	until(expired, messages.StatusDead)

	// The operator's commands.
	status := g.as("operator", "status", rejected).want(t, 0)
	if !strings.Contains(status.out, "isv.MOBILE_NUMBER_ILLEGAL") {
		t.Errorf("status: %s", status.out)
	}
	for _, args := range [][]string{{"dead", "list"}, {"dead", "list", "--limit", "0"}, {"dead", "list", "--summary"}, {"dead", "show", rejected}} {
		if r := g.as("operator", args...).want(t, 0); !strings.Contains(r.out, "rejected") {
			t.Errorf("%v: %s", args, r.out)
		}
	}
	for _, args := range [][]string{{"outcomes"}, {"outcomes", "--status", "dead"}, {"outcomes", "--status", "dead,sent", "--channel", "sms", "--json"}, {"status", "--key", "rejected"}} {
		if r := g.as("operator", args...).want(t, 0); !strings.Contains(r.out, rejected) {
			t.Errorf("%v: %s", args, r.out)
		}
	}
	followed := followOutcomes(t, "--nats", g.url("operator"), "--inbox-prefix", "_INBOX_operator")
	followed.find(rejected)
	// While the account is out, a code waits.
	faults(`[{"action":"SendSms","code":"isv.AMOUNT_NOT_ENOUGH"}]`)
	waits := send("waits", time.Hour)
	until(waits, messages.StatusRetrying)
	for _, args := range [][]string{{"waiting"}, {"waiting", "--json"}, {"waiting", "--limit", "0"}, {"waiting", "--summary"}, {"status", waits}, {"status", "--key", "waits"}} {
		if r := g.as("operator", args...).want(t, 0); !strings.Contains(r.out, waits) || !strings.Contains(r.out, "breaker") || strings.Contains(r.err, "does not permit") {
			t.Errorf("%v: %s%s", args, r.out, r.err)
		}
	}
	faults(`[]`)
	until(waits, messages.StatusSent)
	followed.find(waits + ".*isv.AMOUNT_NOT_ENOUGH")
	if last := followed.stops(t); !regexp.MustCompile(`^[0-9]+ outcomes: .* sent, .* dead$`).MatchString(last) {
		t.Errorf("the last line of outcomes --follow: %s", followed.output())
	}
	g.as("operator", "dead", "replay", "--all", "--dry-run").want(t, 0)
	if r := g.as("operator", "dead", "delete", erased, "--yes").want(t, 0); !strings.HasPrefix(r.out, "1 ") {
		t.Errorf("delete: %s", r.out)
	}
	g.as("operator", "dead", "replay", rejected, "--yes").want(t, 0)
	until(rejected, messages.StatusSent)
	story := regexp.MustCompile(`(?s)dead sms SignIn to \+86130\*\*\*\*5678 by aliyun-sms, attempt 1 \(rejected: .*sent sms SignIn to \+86130\*\*\*\*5678 by aliyun-sms, attempt 1, replay 1 \(`)
	if r := g.as("operator", "status", rejected).want(t, 0); !story.MatchString(r.out) || strings.Count(r.out, "\n") != 2 {
		t.Errorf("the status of a replay: %s", r.out)
	}
	<-time.After(time.Until(expires))
	reissue := []string{"dead", "replay", expired, "--reissue", "--yes"}
	if r := g.as("operator", reissue...).want(t, exitFailed); !strings.Contains(r.out, "nobody listens") {
		t.Errorf("dead replay --reissue without a service prints %s, want \"nobody listens\"", r.out)
	}
	sub, err := messages.OnReissue(t.Context(), auth.nc, messages.DefaultApp, "auth", func(_ context.Context, r messages.Reissue) error {
		renewed <- send(r.Key, time.Minute)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	g.as("operator", reissue...).want(t, 0)
	until(<-renewed, messages.StatusSent)
	g.as("operator", "dead", "list").want(t, 0)
	stop()
	if err := <-ended; err != nil {
		t.Error(err)
	}

	auth.wantNoRefusal()
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if strings.Contains(run.output(), "made the") {
		t.Errorf("the worker says that it made what the provisioner made: %s", run.output())
	}
	// Until the provisioner had created the streams, the worker tried to create them.
	tries := regexp.MustCompile(`\.API\.(STREAM|CONSUMER)\.CREATE\.`)
	for line := range strings.Lines(run.output()) {
		if strings.Contains(line, "does not permit") && !tries.MatchString(line) {
			t.Errorf("the server refused the worker something: %s", line)
		}
	}
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	check.Eventually(t, "/readyz answers 200 at "+url, func() bool {
		status, _ := fetch(t, http.MethodGet, url+"/readyz", "")
		return status == http.StatusOK
	})
}

// TestRolesDoNoMore tries subjects that a role does not need, each once.
func TestRolesDoNoMore(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	const api = "$JS.API."
	for role, tries := range map[string]struct{ publish, subscribe, allowed []string }{
		"publisher": {
			publish: []string{
				"codeferry.send.other.sms.SignIn.u", "codeferry.outcome.default.sms.dead", "codeferry.dead.default.sms.invalid", "codeferry.reissue.default.sms.SignIn.u",
				"_INBOX_operator.x", "_INBOX_worker.x", "$KV.codeferry-ledger.x", "$JS.ACK.CODEFERRY.sms.1.1.1.1.0",
				api + "STREAM.MSG.GET.CODEFERRY", api + "STREAM.MSG.GET.CODEFERRY_DEAD", api + "DIRECT.GET.CODEFERRY_DEAD", api + "STREAM.INFO.CODEFERRY_DEAD",
				api + "CONSUMER.CREATE.CODEFERRY_DEAD.x", api + "CONSUMER.CREATE.CODEFERRY_DEAD.x.codeferry.dead.default.>", api + "CONSUMER.MSG.NEXT.CODEFERRY.sms",
				api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES", api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.publisher", api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.publisher.codeferry.outcome.*.*.*",
				api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.publisher.codeferry.outcome.other.sms.dead", api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.other.codeferry.outcome.default.*.*",
				api + "CONSUMER.DURABLE.CREATE.CODEFERRY_OUTCOMES.publisher", api + "CONSUMER.MSG.NEXT.CODEFERRY_OUTCOMES.other", api + "CONSUMER.DELETE.CODEFERRY_OUTCOMES.publisher",
				api + "STREAM.PURGE.CODEFERRY", api + "STREAM.DELETE.CODEFERRY", api + "STREAM.LIST",
			},
			subscribe: []string{">", "*", "_INBOX.>", "_INBOX_worker.>", "_INBOX_operator.>", "_INBOX_*.>", "codeferry.>", "codeferry.send.default.>", "codeferry.send.>", "codeferry.outcome.other.>", "codeferry.outcome.*.*.*", "codeferry.dead.>", "codeferry.reissue.other.>", "codeferry.reissue.*.*.*.*", "$KV.>", "$JS.>"},
			allowed:   []string{"codeferry.send.default.sms.SignIn.u", api + "CONSUMER.INFO.CODEFERRY_OUTCOMES.publisher"},
		},
		"worker": {
			publish: []string{
				"codeferry.send.default.sms.SignIn.u", "codeferry.reissue.default.sms.SignIn.u", "_INBOX_operator.x",
				api + "STREAM.CREATE.CODEFERRY", api + "STREAM.UPDATE.CODEFERRY", api + "STREAM.DELETE.CODEFERRY", api + "STREAM.PURGE.CODEFERRY", api + "STREAM.DELETE.KV_codeferry-ledger",
				api + "STREAM.MSG.DELETE.CODEFERRY_DEAD", api + "STREAM.MSG.DELETE.CODEFERRY_OUTCOMES", api + "CONSUMER.DELETE.CODEFERRY.sms", api + "CONSUMER.CREATE.CODEFERRY.sms.codeferry.send.*.sms.*.*",
				api + "CONSUMER.CREATE.CODEFERRY_DEAD.x.codeferry.dead.>", "$SYS.REQ.SERVER.PING",
			},
			subscribe: []string{">", "_INBOX_publisher.>", "codeferry.send.>", "codeferry.outcome.>", "codeferry.dead.>", "codeferry.reissue.>"},
			allowed:   []string{api + "STREAM.MSG.DELETE.CODEFERRY", api + "STREAM.PURGE.KV_codeferry-ledger", api + "DIRECT.GET.CODEFERRY_DEAD"},
		},
		"operator": {
			publish: []string{
				"codeferry.outcome.default.sms.sent", "codeferry.dead.default.sms.invalid", "$KV.codeferry-ledger.x", "$JS.ACK.CODEFERRY.sms.1.1.1.1.0", "_INBOX_worker.x",
				api + "CONSUMER.MSG.NEXT.CODEFERRY.sms", api + "CONSUMER.CREATE.CODEFERRY.x", api + "CONSUMER.CREATE.CODEFERRY.x.codeferry.send.>", api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.x", api + "DIRECT.GET.KV_codeferry-ledger.x",
				api + "STREAM.MSG.DELETE.CODEFERRY", api + "STREAM.MSG.DELETE.CODEFERRY_OUTCOMES", api + "CONSUMER.DELETE.CODEFERRY_OUTCOMES.publisher",
				api + "STREAM.PURGE.CODEFERRY_DEAD", api + "STREAM.DELETE.CODEFERRY_DEAD", api + "STREAM.UPDATE.CODEFERRY", api + "STREAM.CREATE.X",
			},
			subscribe: []string{">", "_INBOX_publisher.>", "codeferry.send.>", "codeferry.reissue.>", "codeferry.dead.>"},
			allowed:   []string{api + "STREAM.INFO.CODEFERRY_DEAD", api + "CONSUMER.INFO.CODEFERRY.sms", api + "STREAM.INFO.KV_codeferry-ledger", api + "DIRECT.GET.KV_codeferry-ledger.$KV.codeferry-ledger.x"},
		},
		"provisioner": {
			publish: []string{
				"codeferry.send.default.sms.SignIn.u", "codeferry.outcome.default.sms.sent", "codeferry.dead.default.sms.invalid", "codeferry.reissue.default.sms.SignIn.u", "$KV.codeferry-ledger.x",
				api + "STREAM.MSG.GET.CODEFERRY", api + "STREAM.MSG.GET.CODEFERRY_DEAD", api + "DIRECT.GET.CODEFERRY_DEAD", api + "CONSUMER.MSG.NEXT.CODEFERRY.sms", api + "CONSUMER.CREATE.CODEFERRY.x",
				api + "STREAM.DELETE.CODEFERRY", api + "STREAM.PURGE.CODEFERRY", api + "STREAM.MSG.DELETE.CODEFERRY", api + "CONSUMER.DELETE.CODEFERRY.sms", api + "STREAM.CREATE.X",
			},
			subscribe: []string{">", "_INBOX_publisher.>", "codeferry.>"},
			allowed:   []string{api + "STREAM.INFO.CODEFERRY"},
		},
	} {
		v := g.visit(role)
		for _, subject := range tries.allowed {
			v.publish(subject)
			v.wantNoRefusal()
		}
		for _, subject := range tries.publish {
			v.publish(subject)
			v.wantRefusal("Publish", subject)
		}
		for _, subject := range tries.subscribe {
			if _, err := v.nc.SubscribeSync(subject); err != nil {
				t.Fatal(err)
			}
			v.wantRefusal("Subscription", subject)
		}
	}
	if _, err := nats.Connect("nats://" + g.addr); !errors.Is(err, nats.ErrAuthorization) {
		t.Errorf("a client without a user: error is %v, want ErrAuthorization", err)
	}
}

// TestAPublisherCanNotWidenItsConsumer: permissions cover only the request's subject, and the
// server refuses a body that differs from it.
func TestAPublisherCanNotWidenItsConsumer(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	v := g.visit("publisher")
	const create = "$JS.API.CONSUMER.CREATE.CODEFERRY_OUTCOMES.publisher.codeferry.outcome.default."
	for subject, config := range map[string]string{
		create + "*.*":      `{"durable_name":"publisher","ack_policy":"explicit","filter_subject":"codeferry.outcome.*.*.*"}`,
		create + "sms.*":    `{"durable_name":"publisher","ack_policy":"explicit"}`,
		create + "*.dead":   `{"durable_name":"publisher","ack_policy":"explicit","filter_subjects":["codeferry.outcome.other.*.*"]}`,
		create + "sms.dead": `{"durable_name":"other","ack_policy":"explicit","filter_subject":"codeferry.outcome.default.sms.dead"}`,
	} {
		m, err := v.nc.Request(subject, fmt.Appendf(nil, `{"stream_name":"CODEFERRY_OUTCOMES","config":%s}`, config), patience)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(m.Data), `"error"`) {
			t.Errorf("the server created a consumer with %s: %s", config, m.Data)
		}
	}
	m, err := v.nc.Request(create+"*.*", []byte(`{"stream_name":"CODEFERRY_OUTCOMES","config":{"durable_name":"publisher","ack_policy":"explicit","filter_subject":"codeferry.outcome.default.*.*"}}`), patience)
	if err != nil || strings.Contains(string(m.Data), `"error"`) {
		t.Errorf("the publisher can't create its own consumer: %v %s", err, m.Data)
	}
}

// TestADeniedCommandSaysSo at once, in one line.
func TestADeniedCommandSaysSo(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	for _, args := range [][]string{
		{"status", "01JDCT5Z6Q0000000000000000"},
		{"status", "--key", "u1"},
		{"outcomes"},
		{"outcomes", "--follow"},
		{"waiting"},
		{"waiting", "--summary"},
		{"dead", "list"},
		{"dead", "list", "--summary"},
		{"dead", "show", "x"},
		{"dead", "replay", "--all", "--yes"},
		{"dead", "delete", "--all", "--yes"},
		{"provision"},
		{"send", "--app", "other", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"},
	} {
		r := g.as("publisher", args...).want(t, exitFailed)
		if !strings.Contains(r.err, "NATS does not permit this request for this user (publisher)") || !strings.Contains(r.err, "docs/roles.md") || strings.Count(r.err, "\n") != 1 || strings.Contains(r.err, "pass-") {
			t.Errorf("%v: want one line about the permission, without the password, got %s", args, r.err)
		}
	}
	r := call(t, "dead", "list", "--nats", g.url("operator"), "--inbox-prefix", "a.>").want(t, exitUsage)
	if !strings.Contains(r.err, "--inbox-prefix") {
		t.Errorf("a bad inbox prefix: %s", r.err)
	}
}

// TestWithoutAnInboxPrefix: a command and a worker name the setting, and send publishes
// nothing, because a user would repeat it.
func TestWithoutAnInboxPrefix(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	send := []string{"send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"}
	for _, tt := range []struct {
		role string
		args []string
	}{
		{"publisher", send},
		{"operator", []string{"dead", "list"}},
		{"operator", []string{"dead", "replay", "--all", "--yes"}},
		{"provisioner", []string{"provision"}},
	} {
		r := callIn(t, []string{"NATS_USER=" + tt.role, "NATS_PASSWORD=pass-" + tt.role}, append(tt.args, "--nats", "nats://"+g.addr)...).want(t, exitFailed)
		if !strings.Contains(r.err, "set --inbox-prefix, such as _INBOX_"+tt.role+" (docs/roles.md") || strings.Count(r.err, "\n") != 1 || strings.Contains(r.err, "pass-") {
			t.Errorf("%v: want one line that names --inbox-prefix, got %s", tt.args, r.err)
		}
	}
	if r := g.as("operator", "waiting").want(t, 0); !strings.Contains(r.out, "no messages wait") {
		t.Errorf("the refused send stored a code: %s", r.out)
	}

	cfg := write(t, "codeferry.yaml", strings.NewReplacer("{url: \"nats://NATS\"}", fmt.Sprintf("{url: %q}", g.url("worker")), "SANDBOX", "http://127.0.0.1:1").Replace(configText))
	const names = "set nats.inboxPrefix, such as _INBOX_worker"
	if r := call(t, "check", "-c", cfg).want(t, exitFailed); !strings.Contains(r.out, names) {
		t.Errorf("check: %s", r.out)
	}
	if r := call(t, "provision", "-c", cfg).want(t, exitFailed); !strings.Contains(r.err, names) {
		t.Errorf("provision: %s", r.err)
	}
	// check says at once what else NATS refuses.
	provisioner := write(t, "provisioner.yaml", strings.NewReplacer("{url: \"nats://NATS\"}", fmt.Sprintf("{url: %q, inboxPrefix: _INBOX_provisioner}", g.url("provisioner")), "SANDBOX", "http://127.0.0.1:1").Replace(configText))
	if r := call(t, "check", "-c", provisioner).want(t, exitFailed); !strings.Contains(r.out, "for this user (provisioner)") || !strings.Contains(r.out, "$JS.API.CONSUMER.INFO.CODEFERRY.") ||
		!strings.Contains(r.out, "or not with this nats.inboxPrefix, nats.domain or nats.apiPrefix; docs/roles.md lists the permissions of a worker") || strings.Contains(r.out, "--inbox-prefix") ||
		!strings.Contains(r.out, "error    NATS permissions: NATS does not permit this user to publish to codeferry.dead.>, ") {
		t.Errorf("check as another role: %s", r.out)
	}
	listen := freeAddr(t)
	run := spawn(t, "run", "-c", cfg, "--listen", listen)
	run.find(names)
	if status, text := fetch(t, http.MethodGet, "http://"+listen+"/readyz", ""); status != http.StatusServiceUnavailable || strings.Count(text, names) != 1 {
		t.Errorf("/readyz: %d %s", status, text)
	}
}

// TestLoggingInAsTheDocsShow: with the context of docs/roles.md, -c gives the keys, and the
// operator logs in. With -c alone the worker does, and the error leads to the docs.
func TestLoggingInAsTheDocsShow(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	shown := blocks(t, "json")[root+"/docs/roles.md"]
	if len(shown) != 1 {
		t.Fatalf("docs/roles.md shows %d contexts", len(shown))
	}
	file := write(t, "operator.json", strings.Replace(shown[0], "127.0.0.1:4222", g.addr, 1))
	cfg := write(t, "codeferry.yaml", strings.NewReplacer("{url: \"nats://NATS\"}", fmt.Sprintf("{url: %q, inboxPrefix: _INBOX_worker}", g.url("worker")), "SANDBOX", "http://127.0.0.1:1").Replace(configText))
	environ := []string{"OPERATOR_PASSWORD=pass-operator"}
	for _, args := range [][]string{{"outcomes"}, {"waiting"}, {"dead", "list"}} {
		callIn(t, environ, append(args, "--context", file, "-c", cfg)...).want(t, 0)
	}
	// Beside --context nobody needs the worker's password, and the provisioner no key.
	withSecrets := func(name, url, key string) string {
		return write(t, name, strings.NewReplacer("{url: \"nats://NATS\"}", url, "SANDBOX", "http://127.0.0.1:1").Replace(configText)+"sealing: {keys: [\""+key+"\"]}\n")
	}
	key := strings.TrimSpace(call(t, "keygen").want(t, 0).out)
	key = key[strings.Index(key, "codeferry-private-"):]
	key, _, _ = strings.Cut(key, "\n")
	for name, url := range map[string]string{
		"variable.yaml": fmt.Sprintf(`{url: %q, user: worker, password: "${UNSET}", tls: {caFile: "${UNSET}"}}`, "nats://"+g.addr),
		"file.yaml":     fmt.Sprintf(`{url: %q, user: worker, password: "${file:gone}"}`, "nats://"+g.addr),
		"url.yaml":      fmt.Sprintf(`{url: "nats://worker:${UNSET}@%s"}`, g.addr),
	} {
		cfg := withSecrets(name, url, key)
		for _, args := range [][]string{{"outcomes"}, {"waiting"}, {"dead", "list", "--to", "+8613012345678"}, {"status", "--to", "+8613012345678"}} {
			want := 0
			if args[0] == "status" {
				want = exitFailed // it finds nothing
			}
			if r := callIn(t, environ, append(args, "--context", file, "-c", cfg)...).want(t, want); strings.Contains(r.err, "UNSET") || strings.Contains(r.err, "gone") {
				t.Errorf("%v with %s: %s", args, name, r.err)
			}
		}
		callIn(t, environ, "dead", "list", "-c", cfg).want(t, exitFailed)
		provisioner := write(t, "provisioner.json", fmt.Sprintf(`{"url": "nats://%s", "user": "provisioner", "password": "pass-provisioner", "inbox_prefix": "_INBOX_provisioner"}`, g.addr))
		call(t, "provision", "--context", provisioner, "-c", withSecrets(name, url, "${UNSET}")).want(t, 0)
	}
	if r := call(t, "outcomes", "-c", cfg).want(t, exitFailed); !strings.Contains(r.err, "for this user (worker)") || !strings.Contains(r.err, "docs/roles.md") {
		t.Errorf("outcomes with -c alone: %s", r.err)
	}
}

// TestSendWaitsForNoForbiddenOutcome: if the user may not receive outcomes, send --wait
// publishes nothing.
func TestSendWaitsForNoForbiddenOutcome(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(o *server.Options) {
		for _, u := range o.Users {
			if u.Username == "publisher" {
				u.Permissions.Subscribe.Allow = []string{"_INBOX_publisher.>"}
			}
		}
	})
	g.as("provisioner", "provision").want(t, 0)
	r := g.as("publisher", "send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456", "--wait", "5s").want(t, exitFailed)
	if !strings.Contains(r.err, "codeferry.outcome.default.") {
		t.Errorf("send --wait: %s", r.err)
	}
	if r := g.as("operator", "waiting").want(t, 0); !strings.Contains(r.out, "no messages wait") {
		t.Errorf("the refused send stored a code: %s", r.out)
	}
}

// TestADryRunOnlyReads: a user of NATS who may neither erase a dead letter nor publish a code
// may see what dead delete and dead replay would do.
func TestADryRunOnlyReads(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, func(opts *server.Options) {
		for _, u := range opts.Users {
			if u.Username == "operator" {
				u.Permissions.Publish.Allow = slices.DeleteFunc(u.Permissions.Publish.Allow, func(subject string) bool {
					return strings.HasPrefix(subject, "codeferry.") || strings.HasSuffix(subject, ".MSG.DELETE.CODEFERRY_DEAD") || strings.HasSuffix(subject, ".CODEFERRY")
				})
			}
		}
	})
	g.as("provisioner", "provision").want(t, 0)
	dead, err := json.Marshal(messages.DeadLetter{ID: "id-1", App: "default", Channel: messages.SMS, Reason: messages.ReasonRejected, Subject: "codeferry.send.default.sms.SignIn.u1", StoredAt: time.Now(), DeadAt: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	worker := g.visit("worker")
	if _, err := worker.js.Publish(t.Context(), wire.DeadSubject("default", messages.SMS, messages.ReasonRejected), dead); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "dead delete", g.as("operator", "dead", "delete", "id-1", "--dry-run").want(t, 0).out, "1 dead letter would be erased\n")
	if r := g.as("operator", "dead", "replay", "id-1", "--dry-run").want(t, 0); !strings.Contains(r.out, "       1  stays: not kept\n") {
		t.Errorf("dead replay: %s", r.out)
	}
	if r := g.as("operator", "dead", "delete", "id-1", "--yes").want(t, exitFailed); !strings.Contains(r.err, "does not permit") {
		t.Errorf("the operator may erase it all the same: %s%s", r.out, r.err)
	}
}
