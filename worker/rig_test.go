package worker_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyundm"
	"github.com/codeferry/codeferry/worker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for something that has to happen.
const patience = 2 * time.Minute

// rig is a real nats-server, the sandbox over real HTTP, and what a worker
// between them is configured with.
type rig struct {
	t        *testing.T
	nc       *nats.Conn
	js       jetstream.JetStream
	box      *sandbox.Server
	url      string
	cfg      *config.Config
	log      safeBuffer
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
	r := &rig{t: t, outcomes: make(chan messages.Outcome, 100_000)}
	r.box = sandbox.New(sandbox.Options{})
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

	server, err := broker.Start(broker.Options{Dir: t.TempDir(), Listen: "127.0.0.1:0", Log: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Stop)
	r.nc = r.connect(server.URL())
	if r.js, err = jetstream.New(r.nc); err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(r.ctx(), r.js, messages.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.nc.Subscribe(messages.OutcomeSubject("*", "*", "*"), func(m *nats.Msg) {
		var o messages.Outcome
		if err := json.Unmarshal(m.Data, &o); err != nil {
			t.Errorf("an outcome is no JSON: %s", m.Data)
		}
		r.outcomes <- o
	}); err != nil {
		t.Fatal(err)
	}
	if err := r.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rig) connect(url string) *nats.Conn {
	r.t.Helper()
	nc, err := broker.Connect(broker.Target{URL: url, Name: "test"}, zerolog.Nop())
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(nc.Close)
	return nc
}

func (r *rig) ctx() context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	r.t.Cleanup(cancel)
	return ctx
}

// start runs a worker with a connection of its own, and waits until it pulls.
// The returned function stops it and waits for its end.
func (r *rig) start() (stop func()) {
	r.t.Helper()
	return r.startOn(r.connect(r.nc.ConnectedUrl()))
}

// startOn is start with a connection of the test's own, which stop closes.
func (r *rig) startOn(nc *nats.Conn) (stop func()) {
	r.t.Helper()
	w, err := worker.New(worker.Options{
		Conn: nc, Config: r.cfg,
		Log:    zerolog.New(&r.log).Level(zerolog.DebugLevel),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, messages.StreamOptions{}) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				r.t.Errorf("the worker ended with %v", err)
			}
		case <-time.After(patience):
			r.t.Error("the worker does not stop")
		}
		nc.Close()
	})
	r.t.Cleanup(stop)
	r.eventually("the worker pulls", func() bool { return w.Ready() == nil })
	return stop
}

// eventually waits until something is so that tells of itself in no other way.
func (r *rig) eventually(what string, so func() bool) {
	r.t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !so() {
		select {
		case <-tick.C:
		case <-limit:
			r.t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// publish stores a message as any NATS client would.
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
			r.t.Fatalf("%s has no outcome\n%s", id, r.log.String())
		}
	}
}

// dead returns every dead letter.
func (r *rig) dead() []messages.DeadLetter {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx(), messages.DeadName)
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
		if want := messages.DeadSubject(d.App, d.Channel, d.Reason); m.Subject != want {
			r.t.Errorf("the letter of %s stands on %s, not %s", d.ID, m.Subject, want)
		}
		letters = append(letters, d)
	}
	return letters
}

// consumer is what the server knows of a channel's consumer.
func (r *rig) consumer(name string) *jetstream.ConsumerInfo {
	r.t.Helper()
	c, err := r.js.Consumer(r.ctx(), messages.StreamName, name)
	if err != nil {
		r.t.Fatal(err)
	}
	return c.CachedInfo()
}

// empty waits until nothing is left in CODEFERRY.
func (r *rig) empty() {
	r.t.Helper()
	r.eventually("the stream is empty", func() bool {
		s, err := r.js.Stream(r.ctx(), messages.StreamName)
		return err == nil && s.CachedInfo().State.Msgs == 0
	})
}

func (r *rig) fault(faults ...sandbox.Fault) {
	r.t.Helper()
	if err := r.box.SetFaults(faults); err != nil {
		r.t.Fatal(err)
	}
}

// safeBuffer is a buffer that a worker may write while a test reads.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// ledger writes what another worker has left word of.
func (r *rig) ledger(id, entry string) {
	r.t.Helper()
	bucket, err := r.js.KeyValue(r.ctx(), messages.LedgerName)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := bucket.PutString(r.ctx(), id, entry); err != nil {
		r.t.Fatal(err)
	}
}

// serve serves a sandbox of its own.
func serve(t *testing.T, box *sandbox.Server) string {
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
