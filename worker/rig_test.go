package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/worker"
)

func TestMain(m *testing.M) {
	testmain.Wide(4)
	testmain.NoLeaks(m)
}

// patience bounds every wait for something that has to happen.
const patience = check.Patience

// rig is a nats-server, a fake Aliyun over HTTP, and the configuration of a worker between
// them.
type rig struct {
	base *testrig.Rig
	t    *testing.T
	nc   *nats.Conn
	js   jetstream.JetStream
	box  *fakealiyun.Server
	url  string
	cfg  *config.Config
	log  *syncbuf.Buffer
	// streams are the options of the streams and consumers.
	streams wire.StreamOptions
	// asIs is true if Ensure changes nothing in JetStream.
	asIs bool
	// now is the workers' clock; nil for the real one.
	now      func() time.Time
	outcomes chan messages.Outcome
}

const templates = `
      - {usageType: Register, subject: "Welcome {{name}}", content: "<p>Register: {{code}}</p>"}
      - {usageType: SignIn, subject: Sign in, content: "<p>SignIn: {{code}}</p>"}
      - {usageType: ForgotPassword, subject: Reset, content: "<p>ForgotPassword: {{code}}</p>"}
      - {usageType: Generic, subject: Code, content: "<p>Generic: {{code}}</p>"}
`

// newRig starts the servers. extra is added to the configuration's connectors;
// edit changes the configuration further.
func newRig(t *testing.T, extra string, edit ...func(*config.Config)) *rig {
	t.Helper()
	base := testrig.New(t)
	r := &rig{base: base, t: t, nc: base.NC, js: base.JS, log: &base.Log, outcomes: make(chan messages.Outcome, 100_000)}
	r.box = fakealiyun.New(fakealiyun.Options{})
	web := httptest.NewServer(r.box)
	t.Cleanup(web.Close)
	t.Cleanup(r.box.Close)
	r.url = web.URL

	text := strings.ReplaceAll(`
apps:
  default: {email: [direct-mail], sms: [aliyun-sms]}
connectors:
  direct-mail:
    type: aliyun-dm
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    accountName: no-reply@mail.example.com
    templates: `+templates+`
  aliyun-sms:
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: Example
    askGrace: 80ms
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: {china: SMS_2, overseas: SMS_22}}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
`+extra+`
worker:
  concurrency: 16
  grace: 5s
  accountPause: 100ms
  healthPause: 100ms
  retry: {initialInterval: 20ms, maxInterval: 1s, maxAttempts: 8}
`, "SANDBOX", r.url)
	cfg, err := config.Parse("test.yaml", []byte(text), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range edit {
		f(cfg)
	}
	r.cfg = cfg

	base.Outcomes(func(o messages.Outcome) { r.outcomes <- o })
	return r
}

// restart stops the nats-server and starts it again with what it has stored.
func (r *rig) restart() {
	r.t.Helper()
	r.base.Restart()
}

func (r *rig) connect(url string) *nats.Conn {
	r.t.Helper()
	return testrig.Connect(r.t, url)
}

func (r *rig) ctx() context.Context { return testrig.Context(r.t) }

// start runs a worker with a connection of its own, and waits until it pulls.
// The returned function stops it and waits for its end.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	return r.startOn(r.connect(r.nc.ConnectedUrl()))
}

// startOn is start with a connection of the test's own, which stop closes.
func (r *rig) startOn(nc *nats.Conn) (stop func()) {
	r.t.Helper()
	keeper := broker.NewKeeper(r.js, r.streams, nil, zerolog.Nop())
	w, stop := r.base.Work(worker.Options{
		Conn: nc, Config: r.cfg, Now: r.now,
		Ensure: func(ctx context.Context) error {
			if r.asIs {
				return nil
			}
			return keeper.Ensure(ctx)
		},
	})
	r.eventually("the worker pulls", func() bool { return w.Ready() == nil })
	return stop
}

// eventually polls until a condition holds that gives no signal.
func (r *rig) eventually(what string, so func() bool) {
	r.t.Helper()
	check.Eventually(r.t, what, so)
}

// publish stores a message as any NATS client does.
func (r *rig) publish(subject, body string) *jetstream.PubAck {
	r.t.Helper()
	ack, err := r.js.Publish(r.ctx(), subject, []byte(body))
	if err != nil {
		r.t.Fatal(err)
	}
	return ack
}

// sms publishes a sign-in code to the nth number, and returns its id.
func (r *rig) sms(n int, more string) string {
	r.t.Helper()
	id := fmt.Sprintf("sms-%d", n)
	r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", n),
		fmt.Sprintf(`{"id":%q,"to":"+86130%08d","type":"SignIn","payload":{"code":"123456"}%s}`, id, n, more))
	return id
}

// email publishes a sign-in code to the nth address, and returns its id.
func (r *rig) email(n int, more string) string {
	r.t.Helper()
	id := fmt.Sprintf("email-%d", n)
	r.publish(fmt.Sprintf("codeferry.send.default.email.SignIn.u%d", n),
		fmt.Sprintf(`{"id":%q,"to":"u%d@example.com","type":"SignIn","payload":{"code":"123456"}%s}`, id, n, more))
	return id
}

// story returns a message's outcomes up to its last one.
func (r *rig) story(id string) []messages.Outcome {
	r.t.Helper()
	var story []messages.Outcome
	limit := time.After(patience)
	for {
		select {
		case o := <-r.outcomes:
			if o.ID != id {
				continue
			}
			story = append(story, o)
			if o.Status.Final() {
				return story
			}
		case <-limit:
			r.t.Fatalf("%s has no last outcome; so far %+v\n%s", id, story, r.log.String())
		}
	}
}

// contains checks that a text has a part.
func contains(t testing.TB, what, text, part string) {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Errorf("%s: %q does not have %q", what, text, part)
	}
}

// sentOnce checks that a message's only outcome is that it was sent.
func sentOnce(t testing.TB, story []messages.Outcome) {
	t.Helper()
	check.Equal(t, "outcomes", len(story), 1)
	check.Equal(t, "status", story[len(story)-1].Status, messages.StatusSent)
}

// one returns the only element of a list.
func one[T any](t testing.TB, what string, all []T) T {
	t.Helper()
	if len(all) != 1 {
		t.Fatalf("%s: got %d, want 1: %+v", what, len(all), all)
	}
	return all[0]
}

// next returns a message's next outcome.
func (r *rig) next(id string) messages.Outcome {
	r.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case o := <-r.outcomes:
			if o.ID == id {
				return o
			}
		case <-limit:
			r.t.Fatalf("%s has no outcome; the log:\n%s", id, r.log.String())
		}
	}
}

// dead returns every dead letter.
func (r *rig) dead() []messages.DeadLetter {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx(), wire.DeadName)
	if err != nil {
		r.t.Fatal(err)
	}
	info := s.CachedInfo()
	var letters []messages.DeadLetter
	for seq := info.State.FirstSeq; seq <= info.State.LastSeq && info.State.Msgs > 0; seq++ {
		m, err := s.GetMsg(r.ctx(), seq)
		if err != nil {
			r.t.Fatal(err)
		}
		var d messages.DeadLetter
		if err := json.Unmarshal(m.Data, &d); err != nil {
			r.t.Fatal(err)
		}
		if want := wire.DeadSubject(d.App, d.Channel, d.Reason); m.Subject != want {
			r.t.Errorf("the dead letter of %s has the subject %s, want %s", d.ID, m.Subject, want)
		}
		letters = append(letters, d)
	}
	return letters
}

// consumer returns what the server knows about a channel's consumer.
func (r *rig) consumer(name string) *jetstream.ConsumerInfo {
	r.t.Helper()
	c, err := r.js.Consumer(r.ctx(), wire.StreamName, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.CachedInfo()
}

// empty waits until nothing is left in CODEFERRY.
func (r *rig) empty() {
	r.t.Helper()
	r.eventually("the stream is empty", func() bool {
		s, err := r.js.Stream(r.ctx(), wire.StreamName)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
}

func (r *rig) fault(faults ...fakealiyun.Fault) {
	r.t.Helper()
	if err := r.box.SetFaults(faults); err != nil {
		r.t.Fatal(err)
	}
}

// stored returns a message that the stream holds.
func (r *rig) stored(sequence uint64) *jetstream.RawStreamMsg {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx(), wire.StreamName)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := s.GetMsg(r.ctx(), sequence)
	if err != nil {
		r.t.Fatal(err)
	}
	return m
}

// ledger writes another worker's entry for a message that the stream holds.
func (r *rig) ledger(sequence uint64, entry string) {
	r.t.Helper()
	m := r.stored(sequence)
	r.ledgerAt(worker.LedgerKey(m), worker.LedgerPlace(m), entry)
}

// ledgerAt is ledger with a given key and place.
func (r *rig) ledgerAt(key string, place any, entry string) {
	r.t.Helper()
	all := make(map[string]any)
	for _, part := range []any{place, json.RawMessage(entry)} {
		b, err := json.Marshal(part)
		if err != nil {
			r.t.Fatal(err)
		}
		if err := json.Unmarshal(b, &all); err != nil {
			r.t.Fatal(err)
		}
	}
	// Not through a float: the time has nanoseconds.
	b, err := json.Marshal(place)
	if err != nil {
		r.t.Fatal(err)
	}
	var exact map[string]json.Number
	if err := json.Unmarshal(b, &exact); err != nil {
		r.t.Fatal(err)
	}
	for name, n := range exact {
		all[name] = n
	}
	value, err := json.Marshal(all)
	if err != nil {
		r.t.Fatal(err)
	}
	bucket, err := r.js.KeyValue(r.ctx(), wire.LedgerName)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := bucket.Put(r.ctx(), key, value); err != nil {
		r.t.Fatal(err)
	}
}

// attempts returns codeferry_attempts_total of a connector and a class.
func (r *rig) attempts(connector, class string) int {
	r.t.Helper()
	families, err := r.base.Metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			labels := m.GetLabel() // by name: class, connector
			if f.GetName() == "codeferry_attempts_total" && labels[0].GetValue() == class && labels[1].GetValue() == connector {
				return int(m.GetCounter().GetValue())
			}
		}
	}
	r.t.Fatalf("there is no codeferry_attempts_total of %s, %s", connector, class)
	return 0
}

// waiting returns codeferry_waiting of a channel; -1 if it is not known yet.
func (r *rig) waiting(channel string) int {
	r.t.Helper()
	families, err := r.base.Metrics.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == "codeferry_waiting" && m.GetLabel()[0].GetValue() == channel {
				return int(m.GetGauge().GetValue())
			}
		}
	}
	return -1
}

// serve starts another fake Aliyun.
func serve(t *testing.T, box *fakealiyun.Server) string {
	t.Helper()
	web := httptest.NewServer(box)
	t.Cleanup(web.Close)
	t.Cleanup(box.Close)
	return web.URL
}

// withEndpoint returns a mail connector's settings for another endpoint.
func withEndpoint(s sender.Config, url string) sender.Config {
	c := *s.(*aliyundm.Config)
	c.Endpoint = url
	return &c
}

// publishAs publishes the nth SMS with a Nats-Msg-Id.
func (r *rig) publishAs(msgID string, n int) *jetstream.PubAck {
	r.t.Helper()
	msg := nats.NewMsg(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", n))
	msg.Header.Set(jetstream.MsgIDHeader, msgID)
	msg.Data = fmt.Appendf(nil, `{"id":"sms-%d","to":"+86130%08d","type":"SignIn","payload":{"code":"123456"}}`, n, n)
	ack, err := r.js.PublishMsg(r.ctx(), msg)
	if err != nil {
		r.t.Fatal(err)
	}
	return ack
}

// forgetMsgIDs makes the server forget the Nats-Msg-Ids of acked messages, as a crash
// does. It sets the stream's duplicate window to its minimum, and back.
func (r *rig) forgetMsgIDs() {
	r.t.Helper()
	cfg := wire.StreamConfigs(wire.StreamOptions{})[0]
	for _, window := range []time.Duration{100 * time.Millisecond, cfg.Duplicates} {
		short := cfg
		short.Duplicates = window
		if _, err := r.js.UpdateStream(r.ctx(), short); err != nil {
			r.t.Fatal(err)
		}
		if window < time.Second {
			probe := nats.NewMsg("codeferry.send.default.email.SignIn.probe")
			probe.Header.Set(jetstream.MsgIDHeader, "probe")
			probe.Data = []byte("{}")
			r.eventually("the duplicate window is over", func() bool {
				ack, err := r.js.PublishMsg(r.ctx(), probe)
				return err == nil && !ack.Duplicate && ack.Sequence > 2
			})
		}
	}
}
