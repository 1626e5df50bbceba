package worker_test

import (
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// TestAnSMSInDoubtIsAskedFor breaks the connection after the provider has accepted the
// message. A second request would send it twice.
func TestAnSMSInDoubtIsAskedFor(t *testing.T) {
	t.Parallel()
	for _, claims := range []config.Claims{config.ClaimsOff, config.ClaimsOn} {
		t.Run("claims "+string(claims), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = claims })
			r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 5})
			r.start()
			for i := range 10 {
				r.sms(i, "")
			}
			for sent := 0; sent < 10; {
				o := <-r.outcomes
				if o.Status == messages.StatusSent {
					sent++
				}
				if o.Status.Final() {
					check.Equal(t, o.ID+": last status", o.Status, messages.StatusSent)
					check.Equal(t, o.ID+": attempts", o.Attempt, 1)
				}
			}
			r.empty()
			if got := r.box.Requests()["SendSms"]; got != 10 || len(r.box.Inbox("")) != 10 {
				t.Errorf("%d requests, %d messages", got, len(r.box.Inbox("")))
			}
		})
	}
}

func TestAnSMSThatNeverArrivedIsSentAfterTheGrace(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropBefore, Count: 1})
	r.start()
	story := r.story(r.sms(1, ""))
	last := story[len(story)-1]
	check.Equal(t, "outcomes", len(story), 2)
	check.Equal(t, "last status", last.Status, messages.StatusSent)
	check.Equal(t, "attempts", last.Attempt, 2)
	if took := last.At.Sub(story[0].At); took < 80*time.Millisecond {
		t.Errorf("sent again after %v, want at least 80ms", took)
	}
	if got := r.box.Requests(); got["SendSms"] != 2 || got["QuerySendDetails"] < 2 {
		t.Errorf("got the requests %v, want 2 SendSms and at least 2 questions", got)
	}
}

func TestADoubtThatCannotBeAskedForIsDeadOnceTheCodeHasExpired(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter}, fakealiyun.Fault{Action: "QuerySendDetails", Code: "isp.SYSTEM_ERROR"})
	r.start()
	id := r.sms(1, `,"expiresAt":"`+time.Now().Add(2*time.Second).UTC().Format(time.RFC3339Nano)+`"`)
	story := r.story(id)
	check.Equal(t, "reason", story[len(story)-1].Reason, messages.ReasonDoubt)
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 1)
}

func TestAMailInDoubtIsSentAgainAndSaysSo(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Drop: fakealiyun.DropAfter, Count: 1})
	r.start()
	story := r.story(r.email(1, ""))
	check.Equal(t, "outcomes", len(story), 2)
	check.Equal(t, "first status", story[0].Status, messages.StatusUnknown)
	check.Equal(t, "first class", story[0].Class, "unknown")
	check.Equal(t, "attempts", story[len(story)-1].Attempt, 2)
	check.Equal(t, "detail", story[len(story)-1].Detail, "it may arrive twice: connector direct-mail may have sent it before and can't be asked, and onDoubt is resend")
}

func TestClaims(t *testing.T) {
	t.Parallel()
	claimed := func(c *config.Config) { c.Worker.Claims = config.ClaimsOn }
	t.Run("fresh messages are sent", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		for i := range 50 {
			sentOnce(t, r.story(r.sms(i, "")))
		}
	})
	t.Run("retries go on", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.fault(fakealiyun.Fault{Code: "Throttling", Count: 3})
		r.start()
		o := r.story(r.sms(1, ""))
		check.Equal(t, "outcomes", len(o), 4)
		check.Equal(t, "last status", o[len(o)-1].Status, messages.StatusSent)
		check.Equal(t, "attempts", o[len(o)-1].Attempt, 4)
	})
	t.Run("the count of a server that forgot is not believed", func(t *testing.T) {
		r := newRig(t, "", claimed)
		id := r.sms(1, "")
		r.ledger(1, `{"state":"claimed","delivery":1}`)
		r.sendAsADeadWorkerDid(id, "13000000001", 1)
		r.start()
		sentOnce(t, r.story(id))
		if n := len(r.box.Inbox("")); n != 1 {
			t.Errorf("the provider accepted it %d times", n)
		}
	})
	t.Run("a publish that the server forgot and stored again is known from the outcomes", func(t *testing.T) {
		r := newRig(t, "", claimed)
		stop := r.start()
		first := r.publishAs("repeated", 1)
		r.story("sms-1")
		r.empty()
		stop()
		r.forgetMsgIDs()
		r.start()
		second := r.publishAs("repeated", 1)
		if first.Sequence == second.Sequence {
			t.Fatal("the stream has not stored the message again")
		}
		r.empty()
		if n := r.box.Requests(); n["SendSms"] != 1 || n["QuerySendDetails"] != 0 {
			t.Errorf("got the requests %v, want one SendSms and no question", n)
		}
	})
	t.Run("a publish that nothing is known of but a claim is asked for", func(t *testing.T) {
		r := newRig(t, "", claimed)
		outcomes, err := r.js.Stream(r.ctx(), wire.OutcomesName)
		if err != nil {
			t.Fatal(err)
		}
		stop := r.start()
		first := r.publishAs("repeated", 1)
		r.story("sms-1")
		r.empty()
		stop()
		if err := outcomes.Purge(r.ctx()); err != nil {
			t.Fatal(err)
		}
		r.forgetMsgIDs()
		r.start()
		second := r.publishAs("repeated", 1)
		if first.Sequence == second.Sequence {
			t.Fatal("the stream has not stored the message again")
		}
		o := r.story("sms-1")
		check.Equal(t, "last status", o[len(o)-1].Status, messages.StatusSent)
		check.Equal(t, "attempts", o[len(o)-1].Attempt, 0)
		check.Equal(t, "requests", r.box.Requests()["SendSms"], 1)
	})
	t.Run("what is published again without a Nats-Msg-Id is another message", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		for range 2 {
			r.story(r.sms(1, ""))
			r.empty()
		}
		check.Equal(t, "requests", r.box.Requests()["SendSms"], 2)
	})
	t.Run("another code of the same id is sent", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		for i := range 2 {
			r.publish("codeferry.send.default.sms.SignIn.u", fmt.Sprintf(`{"id":"same","to":"13000000001","type":"SignIn","payload":{"code":"12345%d"}}`, i))
			sentOnce(t, r.story("same"))
		}
		check.Equal(t, "sent", len(r.box.Inbox("")), 2)
	})
	t.Run("another message's claim of the same id means nothing", func(t *testing.T) {
		r := newRig(t, "", claimed)
		id := r.sms(1, "")
		r.ledgerAt(id, worker.LedgerPlace(r.stored(1)), `{"state":"claimed","delivery":1}`)
		r.start()
		o := r.story(id)
		sentOnce(t, o)
		check.Equal(t, "attempts", o[0].Attempt, 1)
	})
}

// TestASupersededCodeIsNotSent lets twice as many messages as there are slots wait while
// newer codes for the same subjects are published.
func TestASupersededCodeIsNotSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Concurrency = 1 })
	r.fault(fakealiyun.Fault{Latency: 300 * time.Millisecond, Count: 1})
	r.start()
	r.sms(0, "")
	r.eventually("the first request is under way", func() bool { return r.box.Requests()["SendSms"] == 1 })
	const n = 5
	for i := range 2 * n {
		r.publish(fmt.Sprintf("codeferry.send.default.sms.SignIn.k%d", i%n),
			fmt.Sprintf(`{"id":"k-%d","to":"+86131%08d","type":"SignIn","payload":{"code":"%06d"}}`, i, i%n, i))
	}
	r.empty()
	for i := range n {
		got := r.box.Inbox(fmt.Sprintf("131%08d", i))
		if len(got) != 1 || got[0].TemplateParam != fmt.Sprintf(`{"code":"%06d"}`, n+i) {
			t.Errorf("k%d: %+v", i, got)
		}
	}
}

func TestTheAccountIsOut(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Action: "SendSms", Code: "isv.AMOUNT_NOT_ENOUGH"})
	const n = 300
	for i := range n {
		r.sms(i, "")
	}
	r.start()
	r.eventually("the connector was tried again", func() bool { return r.box.Requests()["SendSms"] >= 7 })
	r.fault()
	sent := make(map[string]bool)
	for len(sent) < n {
		o := <-r.outcomes
		if o.Status == messages.StatusDead {
			t.Fatalf("%s became a dead letter: %+v", o.ID, o)
		}
		if sent[o.ID] {
			t.Fatalf("%s has an outcome after it was sent: %+v", o.ID, o)
		}
		if o.Status == messages.StatusSent {
			sent[o.ID] = true
		}
	}
	r.empty()
	if got := r.box.Requests()["SendSms"] - n; got > 12 {
		t.Errorf("%d requests reached the provider while the account was out", got)
	}
	if n := strings.Count(r.log.String(), "circuit breaker opened"); n < 2 {
		t.Errorf("the breaker opened %d times", n)
	}
}

func TestAnUnreachableConnectorIsLeftAlone(t *testing.T) {
	t.Parallel()
	r := newRig(t, backup, route("direct-mail", "backup"), func(c *config.Config) {
		dm := c.Connectors["direct-mail"]
		dm.Settings = withEndpoint(dm.Settings, "http://127.0.0.1:1") // nobody listens there
		c.Connectors["direct-mail"] = dm
	})
	r.start()
	const n = 200
	for i := range n {
		r.email(i, "")
	}
	for sent := 0; sent < n; {
		o := <-r.outcomes
		if o.Status == messages.StatusRetrying {
			continue // its turn came while the breaker opened, and the second connector had no slot
		}
		check.Equal(t, o.ID+": status", o.Status, messages.StatusSent)
		check.Equal(t, o.ID+": connector", o.Connector, "backup")
		sent++
	}
	if tried := r.attempts("direct-mail", "unavailable"); tried >= n {
		t.Errorf("%d attempts through a connector that can't be reached, for %d mails: it is not left alone", tried, n)
	}
	if !strings.Contains(r.log.String(), "too many requests failed") {
		t.Error("the breaker of the unreachable connector never opened")
	}
}

// TestAHangingConnectorKeepsToItsShare lets the first connector hang: three of four slots
// may wait for it, and the fourth goes on with the second connector.
func TestAHangingConnectorKeepsToItsShare(t *testing.T) {
	t.Parallel()
	hanging := fakealiyun.New(fakealiyun.Options{})
	r := newRig(t, backup, route("direct-mail", "backup"), func(c *config.Config) {
		dm := c.Connectors["direct-mail"]
		dm.Settings = withEndpoint(dm.Settings, serve(t, hanging))
		c.Connectors["direct-mail"] = dm
	})
	r.start()
	r.story(r.email(1000, "")) // shows that it works
	if err := hanging.SetFaults([]fakealiyun.Fault{{Drop: fakealiyun.DropHang}}); err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		r.email(i, "")
	}
	r.eventually("what the hanging connector does not hold is sent", func() bool { return len(r.box.Inbox("")) >= n-12 })
	check.Equal(t, "requests that hang, of 16 slots", hanging.Requests()["SingleSendMail"]-1, 12)
	hanging.Close()
}

func TestThrottlingSlowsDownAndClimbsBack(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 1000 })
	r.fault(fakealiyun.Fault{Count: 100}, fakealiyun.Fault{Code: "Throttling.User", Count: 5})
	r.start()
	const n = 200
	for i := range n {
		r.sms(i, "")
	}
	sent := 0
	for sent < n {
		o := <-r.outcomes
		switch {
		case o.Status == messages.StatusSent:
			sent++
		case o.Status != messages.StatusRetrying || o.Class != "throttled":
			t.Fatalf("%s: got the status %s and the class %s, want that it is throttled and retried", o.ID, o.Status, o.Class)
		}
	}
	r.empty()
}

// TestTheFreshestGoFirst: old codes and new ones wait, and the worker's clock is stopped
// at the time at which the first new one was stored.
func TestTheFreshestGoFirst(t *testing.T) {
	t.Parallel()
	const (
		patience = 50 * time.Millisecond
		slots    = 4
		old      = 40
		fresh    = 20
	)
	held := newBarrier(t)
	r := newRig(t, "", script("aliyun-sms", held.hold), func(c *config.Config) {
		c.Worker.Patience, c.Worker.Concurrency = patience, slots
	})
	var clock atomic.Pointer[time.Time]
	begun := time.Now()
	clock.Store(&begun)
	r.now = func() time.Time { return *clock.Load() }
	r.start()
	for i := range old {
		r.sms(i, "")
	}
	held.wait(r, slots) // the slots are full
	last := r.stored(old).Time
	r.eventually("the old codes are older than the patience", func() bool { return time.Since(last) > 2*patience })
	for i := range fresh {
		r.sms(old+i, "")
	}
	first := r.stored(old + 1).Time
	clock.Store(&first)
	r.eventually("the worker knows about the new ones", func() bool { return r.waiting("sms") == old+fresh })
	held.lift()
	sent := make(map[string]bool)
	for n := 0; n < fresh; {
		o := <-r.outcomes
		if o.Status != messages.StatusSent {
			t.Errorf("%s: %s: %s", o.ID, o.Status, o.Detail)
		}
		if sent[o.ID] = true; o.StoredAt.Before(first) {
			continue
		}
		n++
	}
	if n := len(sent) - fresh; n > slots {
		t.Errorf("%d old codes were sent before the new ones; %d were in their slots", n, slots)
	}
}
