package replay_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// alive starts a worker on the rig's server, with a fake provider. rig.key is its sealing key.
func (r *rig) alive(edit func(*config.Config)) *fakealiyun.Server {
	r.t.Helper()
	box := fakealiyun.New(fakealiyun.Options{MaxInbox: 1 << 20})
	web := httptest.NewServer(box)
	r.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	cfg, err := config.Parse("test.yaml", []byte(strings.ReplaceAll(`
apps:
  default: {sms: [aliyun-sms]}
connectors:
  aliyun-sms:
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: Example
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_1}
      - {usageType: ForgotPassword, templateCode: SMS_1}
      - {usageType: Generic, templateCode: SMS_1}
worker: {accountPause: 50ms}
`, "SANDBOX", web.URL)), config.Env{})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg.Sealing.Keys = []wire.PrivateKey{r.key}
	edit(cfg)
	nc, err := nats.Connect(r.nc.ConnectedUrl())
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := worker.New(worker.Options{
		Conn: nc, Config: cfg, Log: zerolog.Nop(),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, wire.StreamOptions{}) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		nc.Close()
		web.Close()
		box.Close()
	})
	return box
}

// drained waits until no message waits and want dead letters are left.
func (r *rig) drained(want int) {
	r.t.Helper()
	check.Eventually(r.t, fmt.Sprintf("no message waits and %d dead letters are left", want), func() bool {
		s, err := r.js.Stream(r.t.Context(), wire.StreamName)
		if err != nil {
			r.t.Fatal(err)
		}
		return s.CachedInfo().State.Msgs == 0 && (want < 0 || r.left() == want)
	})
}

// atOnce is how far apart two codes can arrive that are in flight together. Their order at the
// provider is not defined.
const atOnce = 250 * time.Millisecond

// TestReplayWhileCodesArrive replays while workers run and newer codes for the same
// keys come in: no older code goes out once the newer one was sent, and none twice.
func TestReplayWhileCodesArrive(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	n := *many / 4
	box := r.alive(func(*config.Config) {})
	if err := box.SetFaults([]fakealiyun.Fault{{Action: "SendSms", Latency: 50 * time.Millisecond}}); err != nil {
		t.Fatal(err)
	}
	number := func(i int) string { return fmt.Sprintf("+8613%09d", i) }
	for i := range n {
		d := r.letter(fmt.Sprintf("old-%d", i), fmt.Sprintf("k-%d", i))
		sealed, err := messages.NewSealer(r.key.Public()).Seal(d.Subject, &messages.SendCode{
			ID: d.ID, To: number(i), Type: d.Type, Payload: messages.Payload{"code": "100000"}, ExpiresAt: *d.ExpiresAt,
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Message = sealed
		r.store1(d)
	}
	<-r.js.PublishAsyncComplete()
	nc, err := messages.Connect(r.nc.ConnectedUrl())
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	p, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range n {
			if i%2 == 0 { // the others have no newer code
				continue
			}
			if _, err := p.Publish(t.Context(), messages.Subject{Channel: messages.SMS, Key: fmt.Sprintf("k-%d", i)}, &messages.SendCode{
				ID: fmt.Sprintf("new-%d", i), To: number(i), Type: messages.SignIn, Payload: messages.Payload{"code": "200000"},
			}); err != nil {
				t.Error(err)
			}
		}
	})
	report := r.run(replay.Options{})
	wg.Wait()
	r.drained(-1)
	sent := make(map[string]time.Time)
	for _, m := range box.Inbox("") {
		id := m.OutID[:strings.LastIndex(m.OutID, "-")] // the rest belongs to the stored message
		if !sent[id].IsZero() {
			t.Errorf("%s was sent twice", id)
		}
		sent[id] = m.At
	}
	for i := range n {
		old, newer := sent[fmt.Sprintf("old-%d", i)], sent[fmt.Sprintf("new-%d", i)]
		switch {
		case i%2 == 0 && old.IsZero(), i%2 == 1 && newer.IsZero():
			t.Errorf("user %d got no code: %v, %v", i, old, newer)
		case i%2 == 1 && old.Sub(newer) > atOnce:
			t.Errorf("user %d got the older code %v after the newer one", i, old.Sub(newer))
		}
	}
	t.Logf("%v", report)
}

// TestTheMistakeIsFixed: dead letters of a wrong configuration are replayed once it is right;
// those that have expired meanwhile are counted, and stay.
func TestTheMistakeIsFixed(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	const n = 500
	// The app that the codes are for is not in the configuration yet.
	for i := range n {
		d := r.letter(fmt.Sprintf("id-%d", i), fmt.Sprintf("k-%d", i), func(d *messages.DeadLetter) {
			d.Reason = messages.ReasonMisconfigured
			if i%5 == 0 {
				*d.ExpiresAt = r.now.Add(-time.Second)
			}
		})
		r.store1(d)
	}
	<-r.js.PublishAsyncComplete()
	box := r.alive(func(*config.Config) {})
	report := r.run(replay.Options{})
	check.Equal(t, "the number of replayed", report[replay.Replayed], n-n/5)
	check.Equal(t, "the number of expired", report[replay.Expired], n/5)
	check.Equal(t, "the total", report.Total(), n)
	r.drained(n / 5)
	if got := box.Requests()["SendSms"]; got != n-n/5 {
		t.Errorf("%d requests", got)
	}
}
