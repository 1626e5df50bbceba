package worker_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
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
		panic(fmt.Errorf("an unexpected answer of a provider, to %s: %s", m.To, m.HTML))
	}
	return p.Sender.Send(ctx, m)
}

func TestPanicsTakeNothingWithThem(t *testing.T) {
	t.Parallel()
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
			t.Fatalf("%d messages of 4 were sent", sent)
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

// TestACodeSupersededWhileItWaitedForTheRateIsNotSent: the older code already waits for its
// turn at the rate limiter when a newer code comes. If the machine is too slow for that,
// the test lowers the rate until it is not.
func TestACodeSupersededWhileItWaitedForTheRateIsNotSent(t *testing.T) {
	t.Parallel()
	const subject = "codeferry.send.default.sms.SignIn.k"
	for rate := 2.0; ; rate /= 2 {
		r := newRig(t, "", func(c *config.Config) {
			sms := c.Connectors["aliyun-sms"]
			sms.RateLimit = rate
			c.Connectors["aliyun-sms"] = sms
		})
		stop := r.start()
		r.story(r.sms(1, "")) // takes the first turn of the rate
		r.publish(subject, `{"id":"old","to":"+8613100000000","type":"SignIn","payload":{"code":"111111"}}`)
		r.eventually("it is in flight", func() bool {
			c, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
			return err == nil && c.CachedInfo().NumPending == 0
		})
		r.publish(subject, `{"id":"new","to":"+8613100000000","type":"SignIn","payload":{"code":"222222"}}`)
		published := time.Now()
		r.story("new")
		r.empty()
		stop()
		got := r.box.Inbox("13100000000")
		if len(got) == 2 && strings.HasPrefix(got[1].OutID, "old-") && got[1].At.Before(published) && rate > 0.1 {
			t.Logf("at %v/s the older code's turn came before the newer one was stored", rate)
			continue
		}
		check.Equal(t, "code", one(t, "accepted messages", got).TemplateParam, `{"code":"222222"}`)
		return
	}
}

func TestACodeThatExpiresWhileTheConnectorIsTriedIsNotSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Action: "SendSms", Latency: time.Second, Count: 4})
	r.start()
	for i := range 4 {
		r.sms(i, "")
	}
	r.eventually("four try the connector", func() bool { return r.box.Requests()["SendSms"] == 4 })
	id := r.sms(9, `,"expiresAt":"`+time.Now().Add(300*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"`)
	o := r.story(id)
	check.Equal(t, "reason", o[len(o)-1].Reason, messages.ReasonExpired)
}

func TestADeadLetterAfterRetriesIsNotLostForAnotherOfTheSameID(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 2 })
	r.fault(fakealiyun.Fault{Code: "Throttling.User"})
	r.start()
	for i := range 2 {
		r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.u%d", i), `{"id":"same","to":"+8613000000001","type":"SignIn","payload":{"code":"123456"}}`)
		r.story("same")
	}
	r.empty()
	if n := len(r.dead()); n != 2 {
		t.Errorf("%d dead letters for two messages: %+v", n, r.dead())
	}
}

func TestAMessageCannotSpeakForTheServer(t *testing.T) {
	t.Parallel()
	for _, status := range []string{"418", "503", "409", "100"} {
		t.Run(status, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.start()
			msg := nats.NewMsg("codeferry.send.default.sms.SignIn.evil")
			msg.Header.Set("Status", status)
			msg.Header.Set("Description", "Consumer Deleted")
			ack, err := r.js.PublishMsg(r.ctx(), msg)
			if err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "reason", r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))[0].Reason, messages.ReasonInvalid)
			r.story(r.sms(1, ""))
		})
	}
}

// gate is a proxy to the server that can be shut.
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

// set opens or shuts the gate.
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

// TestAServerThatIsAwayForAMoment cuts the connection between the provider's acceptance
// and the ack: the worker goes on running, and knows that the message was sent.
func TestAServerThatIsAwayForAMoment(t *testing.T) {
	t.Parallel()
	for _, claims := range []config.Claims{config.ClaimsOff, config.ClaimsOn} {
		t.Run("claims "+string(claims), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = claims })
			r.shortAckWait(5 * time.Second)
			g := newGate(t, r.nc.ConnectedAddr())
			r.startVia(g)
			r.fault(fakealiyun.Fault{Action: "SingleSendMail", Latency: 300 * time.Millisecond, Count: 1})
			r.email(1, "")
			r.eventually("the request is under way", func() bool { return r.box.Requests()["SingleSendMail"] == 1 })
			g.set(true)
			r.eventually("the provider has accepted it", func() bool { return len(r.box.Inbox("")) == 1 })
			g.set(false)
			r.empty()
			if n := len(r.box.Inbox("")); n != 1 {
				t.Errorf("the provider accepted it %d times", n)
			}
		})
	}
}

// startVia is start over a gate to the server.
func (r *rig) startVia(g *gate) (nc *nats.Conn, stop func()) {
	r.t.Helper()
	nc = r.connect("nats://" + g.l.Addr().String())
	return nc, r.startOn(nc)
}

func TestAShutdownIsNoAttempt(t *testing.T) {
	t.Parallel()
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
		c, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
		return err == nil && c.CachedInfo().NumAckPending == 1
	})
	stop()
	if d := r.dead(); len(d) > 0 {
		t.Errorf("got the dead letters %+v, want none", d)
	}
}

func TestClaimsAreForgottenOnlyAfterAWhile(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	r.story(r.sms(1, ""))
	r.empty()
	bucket, err := r.js.KeyValue(r.ctx(), wire.LedgerName)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := bucket.Keys(r.ctx())
	if err != nil {
		t.Fatal(err)
	}
	keys = slices.DeleteFunc(keys, func(k string) bool { return strings.HasPrefix(k, "consumer.") })
	if len(keys) != 1 {
		t.Errorf("the ledger has the entries %v right after the send", keys)
	}
}
