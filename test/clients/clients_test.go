package clients_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// password is the same for all roles.
const password = "correct horse"

func TestMain(m *testing.M) {
	for _, role := range []string{"PUBLISHER", "WORKER", "OPERATOR", "PROVISIONER"} {
		_ = os.Setenv(role+"_PASSWORD", strconv.Quote(password)) // the name is a valid one
	}
	testmain.Wide(2)
	testmain.NoLeaks(m)
}

const (
	mobile = "+8613012345678"
	code   = "482913"
	id     = "2f1c6a0e-4b7d-4f0a-9a53-1c7d0a6f5b11"
)

func TestExamples(t *testing.T) {
	for _, l := range languages(t) {
		t.Run(l.name, func(t *testing.T) {
			t.Parallel()
			t.Run("readme", l.testReadme)
			t.Run("vectors", l.testVectors)
			t.Run("send", func(t *testing.T) { l.testSend(t, false) })
			t.Run("send sealed", func(t *testing.T) { l.testSend(t, true) })
			t.Run("not stored", l.testNotStored)
			t.Run("roles", l.testRoles)
			t.Run("no server", l.testNoServer)
			t.Run("acknowledgement", l.testAcknowledgement)
		})
	}
}

// testReadme runs the send command of the example's README, and compares its check with the one
// that testVectors runs.
func (l language) testReadme(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(l.dir, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```sh\n")
	block, _, _ = strings.Cut(block, "```")
	lines := strings.Split(strings.TrimSpace(block), "\n")
	if len(lines) != 3 || lines[1] != l.checkHere {
		t.Fatalf("the commands are %q", lines)
	}
	args, ok := strings.CutPrefix(lines[2], l.sendHere+" ")
	if !ok {
		t.Fatalf("it sends with %q", lines[2])
	}
	l.with("NATS_URL="+testrig.New(t).Server.URL()).start(t, l.send, append(strings.Fields(args), "--timeout", long)...).want(t, 0, "stored: ")
}

// testVectors runs the example's own check of its sealing.
func (l language) testVectors(t *testing.T) {
	t.Parallel()
	if r := l.start(t, l.check); r.status != 0 {
		t.Errorf("status %d\n%s%s", r.status, r.out, r.err)
	}
}

// testSend: a code is stored once and sent once, though it is published twice.
func (l language) testSend(t *testing.T, sealed bool) {
	t.Parallel()
	f := newFerry(t, sealed)
	args := []string{"--server", f.rig.Server.URL(), "--to", mobile, "--code", code, "--key", "user-1", "--id", id, "--timeout", long}
	if sealed {
		args = append(args, "--seal", f.publicKey)
	}
	l.start(t, l.send, args...).want(t, 0, "\nstored: "+id+", "+wire.StreamName+" 1")
	f.sent(t, id)
	l.start(t, l.send, args...).want(t, 0, "already stored: "+id+", "+wire.StreamName+" 1")

	// One more, which is stored behind it: by then a second one would be there.
	const other = "another"
	l.start(t, l.send, append(args, "--id", other, "--key", "user-2")...).want(t, 0, "\nstored: "+other+", "+wire.StreamName+" 2")
	f.sent(t, other)
	inbox := f.fake.Inbox("")
	if len(inbox) != 2 {
		t.Errorf("%d messages, want one of each: %+v", len(inbox), inbox)
	}
	for _, m := range inbox {
		if !strings.HasSuffix(m.To, strings.TrimPrefix(mobile, "+86")) || !strings.Contains(m.TemplateParam, code) {
			t.Errorf("got %+v", m)
		}
	}
	m := f.published(t)
	if got := m.Header.Get(nats.MsgIdHdr); got != id {
		t.Errorf("Nats-Msg-Id %q, want %q", got, id)
	}
	if plain := bytes.Contains(m.Data, []byte(code)) || bytes.Contains(m.Data, []byte(mobile)); plain == sealed {
		t.Errorf("the code is in the clear: %t; body %s", plain, m.Data)
	}
}

// testNotStored: a message that no stream takes, and wrong arguments, end with a clear error.
func (l language) testNotStored(t *testing.T) {
	t.Parallel()
	rig := testrig.New(t)
	args := []string{"--server", rig.Server.URL(), "--to", mobile, "--code", code}
	l.start(t, l.send, append(args, "--key", "one.two")...).
		want(t, 1, "not stored: no stream takes codeferry.send.default.sms.SignIn.one.two;", "codeferry provision")
	l.start(t, l.send, append(args, "--seal", "codeferry-public-x")...).want(t, 1, "no public key")
	if r := l.start(t, l.send); r.status == 0 || !strings.Contains(r.err, "--to") {
		t.Errorf("without arguments: %+v", r)
	}
	stream, err := rig.JS.Stream(t.Context(), wire.StreamName)
	if err != nil {
		t.Fatal(err)
	}
	if n := stream.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages are stored", n)
	}
}

// testRoles: a server with the users and permissions of deploy/nats-roles.conf takes a code from
// the publisher, which has inboxes of its own, and refuses a wrong password.
func (l language) testRoles(t *testing.T) {
	t.Parallel()
	opts, err := server.ProcessConfigFile("../../deploy/nats-roles.conf")
	if err != nil {
		t.Fatal(err)
	}
	opts.JetStream, opts.StoreDir = true, t.TempDir()
	url := "nats://" + natstest.StartWith(t, opts).Addr().String()
	nc, err := messages.Connect(url, nats.UserInfo("provisioner", password), nats.CustomInboxPrefix("_INBOX_provisioner"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Provision(testrig.Context(t), js, wire.StreamOptions{}); err != nil {
		t.Fatal(err)
	}
	args := []string{"--server", url, "--to", mobile, "--code", code, "--timeout", long}
	l.with("NATS_USER=publisher", "NATS_PASSWORD="+password).start(t, l.send, args...).want(t, 0, "stored: ")
	wrong := l.with("NATS_USER=publisher", "NATS_PASSWORD=wrong").start(t, l.send, args...)
	wrong.want(t, 1, "not stored: no connection to NATS")
}

// testNoServer: the example says that it cannot reach the server.
func (l language) testNoServer(t *testing.T) {
	t.Parallel()
	l.start(t, l.send, "--server", "nats://127.0.0.1:1", "--to", mobile, "--code", code).want(t, 1, "not stored: no connection to NATS")
}

const (
	silence = ""
	stored  = `{"stream":"CODEFERRY","seq":7}`
	full    = `{"error":{"code":503,"err_code":10077,"description":"maximum messages exceeded"}}`
)

// Seconds for one try: long if every try is answered, and shorter if an answer is lost and the
// next try is answered.
const (
	long  = "25"
	short = "5"
)

// testAcknowledgement answers each try as the stream would, or not at all. Each try has the same
// id and the same body.
func (l language) testAcknowledgement(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		answers []string
		timeout string
		status  int
		said    []string
	}{
		"the first is lost":          {[]string{silence, stored}, short, 0, []string{"\nstored: " + id + ", CODEFERRY 7"}},
		"none comes":                 {[]string{silence, silence, silence}, "1", 1, []string{"in doubt: no acknowledgement after 3 tries", "--id " + id}},
		"refused":                    {[]string{full}, long, 1, []string{"not stored: the stream refuses it: maximum messages exceeded"}},
		"refused, but in doubt":      {[]string{silence, full, full}, short, 1, []string{"in doubt: ", "--id " + id}},
		"refused, in doubt, and not": {[]string{silence, full, stored}, short, 0, []string{"\nstored: " + id}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stream := answer(t, test.answers)
			l.start(t, l.send, "--server", stream.url, "--to", mobile, "--code", code, "--id", id, "--timeout", test.timeout).want(t, test.status, test.said...)
			tries := stream.end(t)
			if len(tries) != len(test.answers) {
				t.Errorf("%d tries, want %d", len(tries), len(test.answers))
			}
			for _, m := range tries {
				if m.Header.Get(nats.MsgIdHdr) != id || !bytes.Equal(m.Data, tries[0].Data) {
					t.Errorf("a try has the id %q and the body %s", m.Header.Get(nats.MsgIdHdr), m.Data)
				}
			}
		})
	}
}

// fakeStream answers in place of the stream.
type fakeStream struct {
	url   string
	sub   *nats.Subscription
	tries []*nats.Msg
	ended chan struct{}
}

// answer starts a server without streams, and answers what is published there.
func answer(t *testing.T, answers []string) *fakeStream {
	t.Helper()
	s := &fakeStream{url: testrig.Server(t).URL(), ended: make(chan struct{})}
	nc := testrig.Connect(t, s.url)
	var err error
	s.sub, err = nc.Subscribe("codeferry.send.>", func(m *nats.Msg) {
		s.tries = append(s.tries, m)
		if n := len(s.tries); n <= len(answers) && answers[n-1] != silence {
			if err := m.Respond([]byte(answers[n-1])); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	s.sub.SetClosedHandler(func(string) { close(s.ended) })
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return s
}

// end returns all that was published.
func (s *fakeStream) end(t *testing.T) []*nats.Msg {
	t.Helper()
	if err := s.sub.Drain(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-s.ended:
	case <-testrig.Context(t).Done():
		t.Fatal("the subscription does not end")
	}
	return s.tries
}

// ferry is a worker over the fake Aliyun, and what is published to it.
type ferry struct {
	rig       *testrig.Rig
	fake      *fakealiyun.Server
	publicKey string
	outcomes  chan messages.Outcome
	messages  chan *nats.Msg
}

func newFerry(t *testing.T, requireSealed bool) *ferry {
	t.Helper()
	private, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	text, err := private.Reveal()
	if err != nil {
		t.Fatal(err)
	}
	f := &ferry{
		rig: testrig.New(t), fake: fakealiyun.New(fakealiyun.Options{}), publicKey: private.Public().String(),
		outcomes: make(chan messages.Outcome, 10), messages: make(chan *nats.Msg, 10),
	}
	provider := httptest.NewServer(f.fake)
	t.Cleanup(provider.Close)
	t.Cleanup(f.fake.Close)
	cfg, err := config.Parse("codeferry.yaml", fmt.Appendf(nil, `
apps: {default: {sms: [aliyun-sms]}}
sealing: {keys: [%s], requireSealed: %t}
connectors:
  aliyun-sms:
    type: aliyun-sms
    endpoint: %s
    accessKeyId: %s
    accessKeySecret: %s
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
`, text, requireSealed, provider.URL, fakealiyun.DefaultKeyID, fakealiyun.DefaultKeySecret), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.rig.NC.ChanSubscribe("codeferry.send.>", f.messages); err != nil {
		t.Fatal(err)
	}
	f.rig.Outcomes(func(o messages.Outcome) { f.outcomes <- o })
	f.rig.Work(worker.Options{
		Conn: testrig.Connect(t, f.rig.Server.URL()), Config: cfg,
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, f.rig.JS, wire.StreamOptions{}) },
	})
	return f
}

// sent waits until a message is, and fails if another outcome comes first.
func (f *ferry) sent(t *testing.T, id string) {
	t.Helper()
	select {
	case o := <-f.outcomes:
		if o.ID != id || o.Status != messages.StatusSent {
			text, err := json.Marshal(o)
			t.Fatalf("the outcome is %s, %v", text, err)
		}
	case <-testrig.Context(t).Done():
		t.Fatalf("%s has no outcome\n%s", id, f.rig.Log.String())
	}
}

// published returns the first message.
func (f *ferry) published(t *testing.T) *nats.Msg {
	t.Helper()
	select {
	case m := <-f.messages:
		return m
	case <-testrig.Context(t).Done():
		t.Fatal("nothing was published")
		return nil
	}
}
