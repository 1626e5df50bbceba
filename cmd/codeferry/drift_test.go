package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// drifting is a nats-server and the sandbox, for a worker between them.
type drifting struct {
	t       *testing.T
	addr    string
	js      jetstream.JetStream
	sandbox string
	cfg     string
}

// newDrifting starts a server with a store of maxStore bytes. It adds fields to nats.* of the
// configuration, and more at its end.
func newDrifting(t *testing.T, maxStore int64, fields, more string) *drifting {
	t.Helper()
	s := natstest.StartWith(t, &server.Options{JetStream: true, StoreDir: t.TempDir(), JetStreamMaxStore: maxStore})
	d := &drifting{t: t, addr: s.Addr().String()}
	d.js = jetStream(t, s.ClientURL())
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	d.sandbox = box.find(`sandbox on (http://\S+),`)[1]
	fetch(t, http.MethodPut, d.sandbox+"/settings", `{"flowControl": false}`)
	text := strings.Replace(configText, `{url: "nats://NATS"}`, fmt.Sprintf(`{url: "nats://%s"%s}`, d.addr, fields), 1)
	d.cfg = write(t, "codeferry.yaml", strings.ReplaceAll(text, "SANDBOX", d.sandbox)+more)
	return d
}

func (d *drifting) provision() {
	d.t.Helper()
	call(d.t, "provision", "-c", d.cfg).want(d.t, 0)
}

// run starts a worker, and returns it with the address of its HTTP side.
func (d *drifting) run() (*process, string) {
	d.t.Helper()
	run := spawn(d.t, "run", "-c", d.cfg, "--log-format", "text")
	return run, "http://" + run.find(`listen=(\S+)`)[1]
}

// publish stores a code for each number.
func (d *drifting) publish(numbers ...string) {
	d.t.Helper()
	for _, n := range numbers {
		body, err := json.Marshal(map[string]any{"id": "id-" + n, "to": n, "type": "SignIn", "payload": map[string]string{"code": "123456"}})
		if err != nil {
			d.t.Fatal(err)
		}
		if _, err := d.js.Publish(d.t.Context(), "codeferry.send.default.sms.SignIn.u"+n, body); err != nil {
			d.t.Fatal(err)
		}
	}
}

// wantSent waits until each number has its code, and fails if one has it twice.
func (d *drifting) wantSent(numbers ...string) {
	d.t.Helper()
	for _, n := range numbers {
		check.Eventually(d.t, n+" has its code", func() bool { return len(inbox(d.t, d.sandbox, n)) > 0 })
	}
	for _, n := range numbers {
		if got := len(inbox(d.t, d.sandbox, n)); got != 1 {
			d.t.Errorf("%s has %d codes, want 1", n, got)
		}
	}
}

// wantReadyz waits until /readyz is 200 or not, and contains each word.
func (d *drifting) wantReadyz(http200 bool, base string, words ...string) {
	d.t.Helper()
	var text string
	defer func() {
		if d.t.Failed() {
			d.t.Log("/readyz: ", text)
		}
	}()
	check.Eventually(d.t, fmt.Sprintf("/readyz is ok: %v, and says %q", http200, words), func() bool {
		var status int
		status, text = fetch(d.t, http.MethodGet, base+"/readyz", "")
		return (status == http.StatusOK) == http200 && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) })
	})
}

func (d *drifting) updateConsumer(name string, change func(*jetstream.ConsumerConfig)) {
	d.t.Helper()
	c, err := d.js.Consumer(d.t.Context(), wire.StreamName, name)
	if err != nil {
		d.t.Fatal(err)
	}
	cfg := c.CachedInfo().Config
	change(&cfg)
	if _, err := d.js.UpdateConsumer(d.t.Context(), wire.StreamName, cfg); err != nil {
		d.t.Fatal(err)
	}
}

func numbers(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprintf("138000000%02d", i))
	}
	return all
}

// TestAConsumerThatGivesUpEarly: with max_deliver codes would vanish without a dead letter.
func TestAConsumerThatGivesUpEarly(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 1<<30, "", "worker: {retry: {initialInterval: 100ms}}\n")
	d.provision()
	d.updateConsumer("sms", func(c *jetstream.ConsumerConfig) { c.MaxDeliver = 3 })
	if r := call(t, "check", "-c", d.cfg).want(t, exitFailed); !strings.Contains(r.out, "max_deliver of consumer sms is 3, and has to be -1") {
		t.Errorf("check: %s", r.out)
	}
	fetch(t, http.MethodPut, d.sandbox+"/faults", `[{"action":"SendSms","code":"Throttling.User","count":5}]`)
	run, base := d.run()
	awaitReady(t, base)
	run.find(`max_deliver of consumer sms is 3, and has to be -1`)
	d.publish("13800000000")
	d.wantSent("13800000000")
	if r := call(t, "check", "-c", d.cfg).want(t, 0); !strings.Contains(r.out, "the streams and consumers exist") {
		t.Errorf("check afterwards: %s", r.out)
	}
	// Also while the worker runs.
	d.updateConsumer("email", func(c *jetstream.ConsumerConfig) { c.MaxDeliver, c.HeadersOnly = 1, true })
	run.find(`max_deliver of consumer email is 1`)
}

// TestAConsumerWithALimitOnRequests: the worker asks for no more than the limit.
func TestAConsumerWithALimitOnRequests(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 1<<30, "", "")
	d.provision()
	d.updateConsumer("sms", func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch, c.MaxRequestExpires = 10, 100*time.Millisecond })
	_, base := d.run()
	awaitReady(t, base)
	d.publish(numbers(3)...)
	d.wantSent(numbers(3)...)
	d.updateConsumer("sms", func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch, c.MaxRequestExpires = 1, 50*time.Millisecond })
	d.publish(numbers(20)[3:]...)
	d.wantSent(numbers(20)...)
	d.wantReadyz(true, base)
	if r := call(t, "check", "-c", d.cfg).want(t, 0); !strings.Contains(r.out, "max_batch of consumer sms is 1; the worker keeps to it") {
		t.Errorf("check: %s", r.out)
	}
}

// TestAPausedConsumer: the worker does not resume it, and /readyz names it.
func TestAPausedConsumer(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 1<<30, "", "")
	d.provision()
	_, base := d.run()
	awaitReady(t, base)
	if _, err := d.js.PauseConsumer(t.Context(), wire.StreamName, "sms", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	d.wantReadyz(false, base, "pause_until of consumer sms")
	d.publish("13800000000")
	if _, err := d.js.ResumeConsumer(t.Context(), wire.StreamName, "sms"); err != nil {
		t.Fatal(err)
	}
	d.wantSent("13800000000")
	d.wantReadyz(true, base)
}

// TestWhatIsDeletedWhileItRuns: the worker creates deleted streams again, and sends nothing
// twice.
func TestWhatIsDeletedWhileItRuns(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 1<<30, "", "")
	d.provision()
	run, base := d.run()
	awaitReady(t, base)
	all := numbers(40)
	d.publish(all[0])
	d.wantSent(all[0])
	for i, name := range []string{wire.LedgerStream, wire.OutcomesName, wire.DeadName, wire.LedgerStream} {
		if err := d.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		if r := call(t, "check", "-c", d.cfg); !strings.Contains(r.out, "stream "+name+" is missing") && !strings.Contains(r.out, "the streams and consumers exist") {
			t.Errorf("check without %s: %s", name, r.out)
		}
		some := all[1+3*i : 4+3*i]
		d.publish(some...)
		d.wantSent(some...)
		check.Eventually(t, name+" exists again", func() bool {
			_, err := d.js.Stream(t.Context(), name)
			return err == nil
		})
		d.wantReadyz(true, base)
	}
	// All streams.
	for _, name := range []string{wire.LedgerStream, wire.OutcomesName, wire.DeadName, wire.StreamName} {
		if err := d.js.DeleteStream(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	check.Eventually(t, "all streams exist again", func() bool {
		return strings.Contains(call(t, "check", "-c", d.cfg).out, "the streams and consumers exist")
	})
	d.wantReadyz(true, base)
	d.publish(all[20:23]...)
	d.wantSent(all[20:23]...)
	d.wantSent(all[:13]...)
	if status := run.stop(); status != 0 {
		t.Errorf("exit status %d: %s", status, run.output())
	}
}

// fill makes another stream of the same account take the rest of the store.
func (d *drifting) fill(t *testing.T) (empty func()) {
	t.Helper()
	s, err := d.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "NEIGHBOR", Subjects: []string{"neighbor"}})
	if err != nil {
		t.Fatal(err)
	}
	const most = 10_000
	for range most {
		if _, err := d.js.Publish(t.Context(), "neighbor", make([]byte, 64<<10)); err != nil {
			return func() {
				t.Helper()
				if err := s.Purge(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	t.Fatalf("the store is not full after %d messages", most)
	return nil
}

// TestAFullStore: the log and /readyz say so, and the waiting codes are sent when there is
// room.
func TestAFullStore(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 8<<20, ", maxBytes: 1MiB, outcomesBytes: 1MiB, deadBytes: 1MiB, ledgerBytes: 1MiB", "")
	d.provision()
	// Another stream can't reserve the room of codeferry's streams.
	if _, err := d.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "LARGE", Subjects: []string{"large"}, MaxBytes: 5 << 20}); err == nil {
		t.Error("another stream takes the reserved room")
	}
	some := numbers(10)
	d.publish(some...)
	empty := d.fill(t)
	run, base := d.run()
	d.wantReadyz(false, base, "the ledger can't be written")
	run.find(`no message is sent until the ledger can be written`)
	empty()
	d.wantSent(some...)
	d.wantReadyz(true, base)
	text := run.output()
	if n := strings.Count(text, "no message is sent until the ledger can be written"); n > 2 {
		t.Errorf("the log says %d times that no message is sent, want at most 2", n)
	}
	if n := strings.Count(text, "put back for a moment"); n > 0 {
		t.Errorf("the log has %d lines of single messages, want none: %s", n, text)
	}
	if doubts := metric(t, base, `codeferry_doubts_total{channel="sms"}`); doubts != "0" {
		t.Errorf("%s messages are in doubt, but none was tried", doubts)
	}
}

// metric returns a metric's value, as text.
func metric(t *testing.T, base, name string) string {
	t.Helper()
	_, text := fetch(t, http.MethodGet, base+"/metrics", "")
	for line := range strings.Lines(text) {
		if value, ok := strings.CutPrefix(line, name+" "); ok {
			return strings.TrimSpace(value)
		}
	}
	return "no"
}

// TestASmallStore: the worker starts with a store of less than a GiB, and names the streams
// that have no room.
func TestASmallStore(t *testing.T) {
	t.Parallel()
	d := newDrifting(t, 512<<20, "", "")
	d.provision()
	_, base := d.run()
	awaitReady(t, base)

	d = newDrifting(t, 100<<20, ", maxBytes: 8MiB, deadBytes: 8MiB", "")
	if r := call(t, "provision", "-c", d.cfg).want(t, exitFailed); !strings.Contains(r.err, "128MiB: make nats.outcomesBytes smaller") {
		t.Errorf("provision: %s", r.err)
	}
	r := call(t, "check", "-c", d.cfg).want(t, exitFailed)
	for _, what := range []string{"stream CODEFERRY_OUTCOMES is missing", "stream CODEFERRY_DEAD is missing", "stream KV_codeferry-ledger is missing", "consumer email is missing", "consumer sms is missing"} {
		if !strings.Contains(r.out, what) {
			t.Errorf("the output of check lacks %q: %s", what, r.out)
		}
	}
	// Codes are sent also without room for the outcomes.
	_, base = d.run()
	d.wantReadyz(false, base, "stream CODEFERRY_OUTCOMES is missing", "nats.outcomesBytes")
	d.publish("13800000000")
	d.wantSent("13800000000")
}

// TestAWorkerThatMayNotRepair: the worker reports what is wrong, and takes no message that
// could get lost.
func TestAWorkerThatMayNotRepair(t *testing.T) {
	t.Parallel()
	g := newGuarded(t)
	g.as("provisioner", "provision").want(t, 0)
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	d := &drifting{t: t, addr: g.addr, sandbox: box.find(`sandbox on (http://\S+),`)[1]}
	opts, err := nats.Connect(g.url("provisioner"), nats.CustomInboxPrefix("_INBOX_provisioner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(opts.Close)
	if d.js, err = jetstream.New(opts); err != nil {
		t.Fatal(err)
	}
	cfg := wire.ConsumerConfig(messages.SMS, wire.StreamOptions{})
	cfg.MaxDeliver = 3
	if _, err := d.js.UpdateConsumer(t.Context(), wire.StreamName, cfg); err != nil {
		t.Fatal(err)
	}
	d.cfg = write(t, "codeferry.yaml", strings.NewReplacer(`{url: "nats://NATS"}`, fmt.Sprintf(`{url: %q, inboxPrefix: _INBOX_worker}`, g.url("worker")), "SANDBOX", d.sandbox).Replace(configText))
	_, base := d.run()
	d.wantReadyz(false, base, "max_deliver of consumer sms is 3, and has to be -1", "codeferry provision")
	send := []string{"send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456"}
	g.as("publisher", send...).want(t, 0)
	if n := len(inbox(t, d.sandbox, "13012345678")); n != 0 {
		t.Errorf("%d messages were sent over a consumer that can lose them, want none", n)
	}
	g.as("provisioner", "provision").want(t, 0)
	d.wantSent("13012345678")
	d.wantReadyz(true, base)
}

// mayRepair gives the worker the permissions of the provisioner, as docs/roles.md says.
func mayRepair(opts *server.Options) {
	var more []string
	for _, u := range opts.Users {
		if u.Username == "provisioner" {
			more = u.Permissions.Publish.Allow
		}
	}
	for _, u := range opts.Users {
		if u.Username == "worker" {
			u.Permissions.Publish.Allow = append(u.Permissions.Publish.Allow, more...)
		}
	}
}

// TestAWorkerThatMayRepair: with the permissions of docs/roles.md the worker repairs.
func TestAWorkerThatMayRepair(t *testing.T) {
	t.Parallel()
	g := newGuarded(t, mayRepair)
	box := spawn(t, "sandbox", "--listen", "127.0.0.1:0")
	d := &drifting{t: t, addr: g.addr, sandbox: box.find(`sandbox on (http://\S+),`)[1]}
	d.cfg = write(t, "codeferry.yaml", strings.NewReplacer(`{url: "nats://NATS"}`, fmt.Sprintf(`{url: %q, inboxPrefix: _INBOX_worker}`, g.url("worker")), "SANDBOX", d.sandbox).Replace(configText))
	_, base := d.run()
	awaitReady(t, base)
	v := g.visit("worker")
	cfg := wire.ConsumerConfig(messages.SMS, wire.StreamOptions{})
	cfg.MaxDeliver = 3
	if _, err := v.js.UpdateConsumer(t.Context(), wire.StreamName, cfg); err != nil {
		t.Fatal(err)
	}
	check.Eventually(t, "the consumer is repaired", func() bool {
		c, err := v.js.Consumer(t.Context(), wire.StreamName, "sms")
		return err == nil && c.CachedInfo().Config.MaxDeliver == -1
	})
	g.as("publisher", "send", "--channel", "sms", "--to", "13012345678", "--type", "SignIn", "--code", "123456").want(t, 0)
	d.wantSent("13012345678")
}
