package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker"
)

// panicky is a connector whose first requests panic.
type panicky struct {
	sender.Config
	left *atomic.Int64
}

func (p panicky) New() (sender.Sender, error) {
	s, err := p.Config.New()
	return panickySender{s, p.left}, err
}

type panickySender struct {
	sender.Sender
	left *atomic.Int64
}

func (p panickySender) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	if p.left.Add(-1) >= 0 {
		panic(fmt.Errorf("a provider's answer that nobody thought of, to %s: %s", m.To, m.HTML))
	}
	return p.Sender.Send(ctx, m)
}

func TestPanicsTakeNothingWithThem(t *testing.T) {
	left := new(atomic.Int64)
	left.Store(4)
	r := newRig(t, "", func(c *config.Config) {
		dm := c.Connectors["direct-mail"]
		dm.Settings = panicky{dm.Settings, left}
		c.Connectors["direct-mail"] = dm
	})
	r.start()
	for i := range 4 {
		r.email(i, "")
	}
	var told []messages.Outcome
	for sent := 0; sent < 4; {
		select {
		case o := <-r.outcomes:
			told = append(told, o)
			if o.Status == messages.StatusSent {
				sent++
			}
		case <-time.After(patience):
			t.Fatalf("%d of 4 sent", sent)
		}
	}
	lookFor(t, "the log", r.log.String(), "123456", "u0@example.com", "u3@example.com")
	for _, o := range told {
		b, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		lookFor(t, "an outcome", string(b), "123456", "u0@example.com", "u3@example.com")
	}
}

// TestACodeOvertakenWhileItWaitedForTheRateIsNotSent: the older code has its place
// in the connector's rate when a newer one comes. Where the machine is too slow for
// that, the rate is lowered until it is not.
func TestACodeOvertakenWhileItWaitedForTheRateIsNotSent(t *testing.T) {
	const subject = "codeferry.send.default.sms.SignIn.k"
	for rate := 2.0; ; rate /= 2 {
		r := newRig(t, "", func(c *config.Config) {
			sms := c.Connectors["aliyun-sms"]
			sms.RateLimit = rate
			c.Connectors["aliyun-sms"] = sms
		})
		stop := r.start()
		r.story(r.sms(1, "")) // takes the rate's first place
		r.publish(subject, `{"id":"old","to":"+8613100000000","type":"SignIn","payload":{"code":"111111"}}`)
		r.eventually("it is in hand", func() bool {
			c, err := r.js.Consumer(r.ctx(), messages.StreamName, "sms")
			return err == nil && c.CachedInfo().NumPending == 0
		})
		r.publish(subject, `{"id":"new","to":"+8613100000000","type":"SignIn","payload":{"code":"222222"}}`)
		published := time.Now()
		r.story("new")
		r.empty()
		stop()
		got := r.box.Inbox("13100000000")
		if len(got) == 2 && got[1].OutID == "old" && got[1].At.Before(published) && rate > 0.1 {
			t.Logf("at %v/s the older code's turn came before the newer one was stored", rate)
			continue
		}
		if len(got) != 1 || got[0].TemplateParam != `{"code":"222222"}` {
			t.Errorf("%+v", got)
		}
		return
	}
}

func TestACodeThatExpiresWhileTheConnectorIsTriedIsNotSent(t *testing.T) {
	r := newRig(t, "")
	r.fault(sandbox.Fault{Action: "SendSms", Latency: time.Second, Count: 4})
	r.start()
	for i := range 4 {
		r.sms(i, "")
	}
	r.eventually("four try the connector", func() bool { return r.box.Requests()["SendSms"] == 4 })
	id := r.sms(9, `,"expiresAt":"`+time.Now().Add(300*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"`)
	if o := r.story(id); o[len(o)-1].Reason != messages.ReasonExpired {
		t.Errorf("%+v", o)
	}
}

func TestALetterAfterRetriesIsNotLostForAnotherOfTheSameID(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 2 })
	r.fault(sandbox.Fault{Code: "Throttling.User"})
	r.start()
	for i := range 2 {
		r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i), `{"id":"same","to":"+8613000000001","type":"SignIn","payload":{"code":"123456"}}`)
		r.story("same")
	}
	r.empty()
	if n := len(r.dead()); n != 2 {
		t.Errorf("%d letters for two messages: %+v", n, r.dead())
	}
}

func TestAMessageCannotSpeakForTheServer(t *testing.T) {
	for _, status := range []string{"418", "503", "409", "100"} {
		t.Run(status, func(t *testing.T) {
			r := newRig(t, "")
			r.start()
			msg := nats.NewMsg("codeferry.send.default.sms.SignIn.evil")
			msg.Header.Set("Status", status)
			msg.Header.Set("Description", "Consumer Deleted")
			ack, err := r.js.PublishMsg(r.ctx(), msg)
			if err != nil {
				t.Fatal(err)
			}
			if o := r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence)); o[0].Reason != messages.ReasonInvalid {
				t.Errorf("%+v", o)
			}
			r.story(r.sms(1, ""))
		})
	}
}

// gate is a way to the server that can be shut.
type gate struct {
	l     net.Listener
	to    string
	mu    sync.Mutex
	conns []net.Conn
	shut  bool
	ended sync.WaitGroup
}

func newGate(t *testing.T, to string) *gate {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{l: l, to: to}
	g.ended.Go(g.accept)
	t.Cleanup(func() {
		_ = l.Close()
		g.set(true)
		g.ended.Wait()
	})
	return g
}

func (g *gate) accept() {
	for {
		in, err := g.l.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		out, err := new(net.Dialer).DialContext(context.Background(), "tcp", g.to)
		if g.shut || err != nil {
			_ = in.Close()
			if err == nil {
				_ = out.Close()
			}
			g.mu.Unlock()
			continue
		}
		g.conns = append(g.conns, in, out)
		g.mu.Unlock()
		for _, pair := range [][2]net.Conn{{in, out}, {out, in}} {
			g.ended.Go(func() {
				_, err := io.Copy(pair[0], pair[1])
				_ = errors.Join(err, pair[0].Close()) // either end may be first
			})
		}
	}
}

// set shuts or opens the gate.
func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	if shut {
		for _, c := range g.conns {
			_ = c.Close()
		}
		g.conns = nil
	}
}

// TestAServerThatIsAwayForAMoment takes the connection away between the
// provider's acceptance and the ack: the worker lives, and knows that it was sent.
func TestAServerThatIsAwayForAMoment(t *testing.T) {
	for _, claims := range []config.Claims{config.ClaimsOff, config.ClaimsOn} {
		t.Run("claims "+string(claims), func(t *testing.T) {
			r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = claims })
			cfg := messages.Consumer(messages.Email, messages.StreamOptions{})
			cfg.AckWait = 5 * time.Second
			if _, err := r.js.UpdateConsumer(r.ctx(), messages.StreamName, cfg); err != nil {
				t.Fatal(err)
			}
			g := newGate(t, r.nc.ConnectedAddr())
			r.startVia("nats://" + g.l.Addr().String())
			r.fault(sandbox.Fault{Action: "SingleSendMail", Latency: 300 * time.Millisecond, Count: 1})
			r.email(1, "")
			r.eventually("the request is under way", func() bool { return r.box.Requests()["SingleSendMail"] == 1 })
			g.set(true)
			r.eventually("the provider has accepted it", func() bool { return len(r.box.Inbox("")) == 1 })
			g.set(false)
			r.empty()
			if n := len(r.box.Inbox("")); n != 1 {
				t.Errorf("sent %d times", n)
			}
		})
	}
}

// startVia is start over another way to the server.
func (r *rig) startVia(url string) {
	r.t.Helper()
	nc, err := broker.Connect(broker.Target{URL: url, Name: "test"}, zerolog.Nop())
	if err != nil {
		r.t.Fatal(err)
	}
	w, err := worker.New(worker.Options{
		Conn: nc, Config: r.cfg, Log: zerolog.New(&r.log),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, r.js, messages.StreamOptions{}) },
	})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	r.t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
		nc.Close()
	})
	r.eventually("the worker pulls", func() bool { return w.Ready() == nil })
}

func TestAShutdownIsNoAttempt(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) {
		sms := c.Connectors["aliyun-sms"]
		sms.RateLimit = 0.1
		c.Connectors["aliyun-sms"] = sms
		c.Worker.Retry.MaxAttempts, c.Worker.Grace = 1, 200*time.Millisecond
	})
	stop := r.start()
	r.story(r.sms(0, ""))
	r.sms(1, "")
	r.eventually("the second waits for its turn", func() bool {
		c, err := r.js.Consumer(r.ctx(), messages.StreamName, "sms")
		return err == nil && c.CachedInfo().NumAckPending == 1
	})
	stop()
	if d := r.dead(); len(d) > 0 {
		t.Errorf("%+v", d)
	}
}

func TestClaimsAreForgottenOnlyAfterAWhile(t *testing.T) {
	r := newRig(t, "")
	r.start()
	r.story(r.sms(1, ""))
	r.empty()
	s, err := r.js.Stream(r.ctx(), "KV_"+messages.LedgerName)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 1 {
		t.Errorf("the ledger has %d entries right after the send", n)
	}
}
