package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

var roles = []string{"publisher", "worker", "operator", "provisioner"}

// guarded is a nats-server with the users and permissions of deploy/nats-roles.conf.
type guarded struct {
	t    *testing.T
	addr string
}

func newGuarded(t *testing.T) *guarded {
	t.Helper()
	for _, role := range roles {
		t.Setenv(strings.ToUpper(role)+"_PASSWORD", "pass-"+role)
	}
	opts, err := server.ProcessConfigFile(root + "/deploy/nats-roles.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.Host, opts.Port, opts.JetStream, opts.StoreDir = "127.0.0.1", server.RANDOM_PORT, true, t.TempDir()
	opts.NoLog, opts.NoSigs = true, true
	s, err := server.NewServer(opts)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(patience) {
		t.Fatal("the server does not start")
	}
	return &guarded{t, s.Addr().String()}
}

func (g *guarded) url(role string) string {
	return (&url.URL{Scheme: "nats", User: url.UserPassword(role, "pass-"+role), Host: g.addr}).String()
}

// as runs a command as a role.
func (g *guarded) as(role string, args ...string) result {
	g.t.Helper()
	return call(g.t, append(args, "--nats", g.url(role), "--inbox-prefix", "_INBOX_"+role)...)
}

// visitor is a connection of a role, and what the server refuses it.
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

// wantRefusal waits for the next refusal, which has to be of a subject.
func (v *visitor) wantRefusal(verb, subject string) {
	v.t.Helper()
	if err := v.nc.Flush(); err != nil {
		v.t.Fatal(err)
	}
	select {
	case refused := <-v.refused:
		if !strings.Contains(refused, verb+` to "`+subject+`"`) {
			v.t.Errorf("%s to %s: the server refuses %s", verb, subject, refused)
		}
	case <-time.After(patience):
		v.t.Fatalf("%s to %s is not refused", verb, subject)
	}
}

// wantNoRefusal fails the test where the server has refused something so far: it
// answers in order, and what nobody may do is refused next.
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
	g := newGuarded(t)
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	sandboxURL := box.find(`sandbox on (http://\S+),`)[1]
	fetch(t, http.MethodPut, sandboxURL+"/settings", `{"flowControl": false}`)
	key, err := messages.GenerateKey()
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

	run := spawn(t, "run", "-c", cfg, "--log-format", "text")
	run.find(`run codeferry provision with one that may`)
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
		ended <- messages.Outcomes(hearing, auth.js, messages.OutcomesOptions{Durable: "publisher", Since: time.Now().Add(-time.Minute)}, func(_ context.Context, o messages.Outcome) error {
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

	// The operator's part.
	status := g.as("operator", "status", rejected).want(t, 0)
	if !strings.Contains(status.out, "isv.MOBILE_NUMBER_ILLEGAL") {
		t.Errorf("status: %s", status.out)
	}
	for _, args := range [][]string{{"dead", "list"}, {"dead", "list", "--limit", "0"}, {"dead", "list", "--summary"}, {"dead", "show", rejected}} {
		if r := g.as("operator", args...).want(t, 0); !strings.Contains(r.out, "rejected") {
			t.Errorf("%v: %s", args, r.out)
		}
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
		t.Errorf("a reissue without a service: %s", r.out)
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
	// It tried to make the stream until somebody else had, as often as that took.
	for line := range strings.Lines(run.output()) {
		if strings.Contains(line, "ermissions Violation") && !strings.Contains(line, "STREAM.CREATE.CODEFERRY") {
			t.Errorf("the worker was refused something: %s", line)
		}
	}
}

func awaitReady(t *testing.T, url string) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); {
		if status, _ := fetch(t, http.MethodGet, url+"/readyz", ""); status == http.StatusOK {
			return
		}
	}
	t.Fatal("it does not become ready")
}

// TestRolesDoNoMore tries what a role has no need of, each once.
func TestRolesDoNoMore(t *testing.T) {
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
				api + "STREAM.CREATE.CODEFERRY", api + "STREAM.UPDATE.CODEFERRY", api + "STREAM.DELETE.CODEFERRY", api + "STREAM.PURGE.CODEFERRY", api + "STREAM.PURGE.KV_codeferry-ledger",
				api + "STREAM.MSG.DELETE.CODEFERRY_DEAD", api + "STREAM.MSG.DELETE.CODEFERRY_OUTCOMES", api + "CONSUMER.DELETE.CODEFERRY.sms", api + "CONSUMER.CREATE.CODEFERRY.sms.codeferry.send.*.sms.*.*",
				api + "CONSUMER.CREATE.CODEFERRY_DEAD.x.codeferry.dead.>", "$SYS.REQ.SERVER.PING",
			},
			subscribe: []string{">", "_INBOX_publisher.>", "codeferry.send.>", "codeferry.outcome.>", "codeferry.dead.>", "codeferry.reissue.>"},
			allowed:   []string{api + "STREAM.MSG.DELETE.CODEFERRY", api + "STREAM.MSG.DELETE.KV_codeferry-ledger", api + "DIRECT.GET.CODEFERRY_DEAD"},
		},
		"operator": {
			publish: []string{
				"codeferry.outcome.default.sms.sent", "codeferry.dead.default.sms.invalid", "$KV.codeferry-ledger.x", "$JS.ACK.CODEFERRY.sms.1.1.1.1.0", "_INBOX_worker.x",
				api + "CONSUMER.MSG.NEXT.CODEFERRY.sms", api + "CONSUMER.CREATE.CODEFERRY.x", api + "CONSUMER.CREATE.CODEFERRY.x.codeferry.send.>", api + "CONSUMER.CREATE.CODEFERRY_OUTCOMES.x", api + "DIRECT.GET.KV_codeferry-ledger.x",
				api + "STREAM.MSG.DELETE.CODEFERRY", api + "STREAM.MSG.DELETE.CODEFERRY_OUTCOMES", api + "CONSUMER.DELETE.CODEFERRY_OUTCOMES.publisher",
				api + "STREAM.PURGE.CODEFERRY_DEAD", api + "STREAM.DELETE.CODEFERRY_DEAD", api + "STREAM.UPDATE.CODEFERRY", api + "STREAM.CREATE.X",
			},
			subscribe: []string{">", "_INBOX_publisher.>", "codeferry.send.>", "codeferry.reissue.>", "codeferry.dead.>"},
			allowed:   []string{api + "STREAM.INFO.CODEFERRY_DEAD"},
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
		t.Errorf("somebody without a name: %v", err)
	}
}

// TestAPublisherCanNotWidenItsConsumer: the request's subject is what is permitted;
// its body has to say the same.
func TestAPublisherCanNotWidenItsConsumer(t *testing.T) {
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
			t.Errorf("%s made %s", config, m.Data)
		}
	}
	m, err := v.nc.Request(create+"*.*", []byte(`{"stream_name":"CODEFERRY_OUTCOMES","config":{"durable_name":"publisher","ack_policy":"explicit","filter_subject":"codeferry.outcome.default.*.*"}}`), patience)
	if err != nil || strings.Contains(string(m.Data), `"error"`) {
		t.Errorf("its own: %v %s", err, m.Data)
	}
}

// TestADeniedCommandSaysSo: at once, in a line.
func TestADeniedCommandSaysSo(t *testing.T) {
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	for _, args := range [][]string{
		{"status", "01JDCT5Z6Q0000000000000000"},
		{"dead", "list"},
		{"dead", "list", "--summary"},
		{"dead", "show", "x"},
		{"dead", "replay", "--all", "--yes"},
		{"dead", "delete", "--all", "--yes"},
		{"provision"},
		{"send", "--app", "other", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"},
	} {
		r := g.as("publisher", args...).want(t, exitFailed)
		if !strings.Contains(r.err, "NATS does not permit it to this user") || strings.Count(r.err, "\n") != 1 || strings.Contains(r.err, "pass-") {
			t.Errorf("%v: %s", args, r.err)
		}
	}
	r := call(t, "dead", "list", "--nats", g.url("operator")).want(t, exitFailed)
	if !strings.Contains(r.err, "--inbox-prefix") {
		t.Errorf("without an inbox prefix: %s", r.err)
	}
	r = call(t, "dead", "list", "--nats", g.url("operator"), "--inbox-prefix", "a.>").want(t, exitUsage)
	if !strings.Contains(r.err, "--inbox-prefix") {
		t.Errorf("a bad inbox prefix: %s", r.err)
	}
}
