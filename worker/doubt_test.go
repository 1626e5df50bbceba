package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
)

// TestAnSMSInDoubtIsAskedFor breaks the connection after the provider has
// accepted the message: sending it again would be sending it twice.
func TestAnSMSInDoubtIsAskedFor(t *testing.T) {
	for _, claims := range []config.Claims{config.ClaimsOff, config.ClaimsOn} {
		t.Run("claims "+string(claims), func(t *testing.T) {
			r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = claims })
			r.fault(sandbox.Fault{Action: "SendSms", Drop: sandbox.DropAfter, Count: 5})
			r.start()
			for i := range 10 {
				r.sms(i, "")
			}
			for sent := 0; sent < 10; {
				o := <-r.outcomes
				if o.Status == messages.StatusSent {
					sent++
				}
				if o.Status.Final() && (o.Status != messages.StatusSent || o.Attempt != 1) {
					t.Errorf("%+v", o)
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
	r := newRig(t, "")
	r.fault(sandbox.Fault{Action: "SendSms", Drop: sandbox.DropBefore, Count: 1})
	r.start()
	story := r.story(r.sms(1, ""))
	if len(story) != 2 || story[1].Status != messages.StatusSent || story[1].Attempt != 2 || story[1].At.Sub(story[0].At) < 80*time.Millisecond {
		t.Errorf("%+v", story)
	}
	if got := r.box.Requests(); got["SendSms"] != 2 || got["QuerySendDetails"] < 2 {
		t.Errorf("requests: %v", got)
	}
}

func TestADoubtThatCannotBeAskedForIsDeadOnceTheCodeHasExpired(t *testing.T) {
	r := newRig(t, "")
	r.fault(sandbox.Fault{Action: "SendSms", Drop: sandbox.DropAfter}, sandbox.Fault{Action: "QuerySendDetails", Code: "isp.SYSTEM_ERROR"})
	r.start()
	id := r.sms(1, `,"expiresAt":"`+time.Now().Add(400*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"`)
	story := r.story(id)
	if last := story[len(story)-1]; last.Reason != messages.ReasonDoubt {
		t.Errorf("%+v", story)
	}
	if n := r.box.Requests()["SendSms"]; n != 1 {
		t.Errorf("%d requests", n)
	}
}

func TestAMailInDoubtIsSentAgainAndSaysSo(t *testing.T) {
	r := newRig(t, "")
	r.fault(sandbox.Fault{Drop: sandbox.DropAfter, Count: 1})
	r.start()
	story := r.story(r.email(1, ""))
	if len(story) != 2 || story[0].Status != messages.StatusUnknown || story[0].Class != "unknown" || story[1].Attempt != 2 {
		t.Errorf("%+v", story)
	}
}

func TestClaims(t *testing.T) {
	claimed := func(c *config.Config) { c.Worker.Claims = config.ClaimsOn }
	t.Run("fresh messages are sent", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		for i := range 50 {
			if o := r.story(r.sms(i, "")); len(o) != 1 || o[0].Status != messages.StatusSent {
				t.Fatalf("%+v", o)
			}
		}
	})
	t.Run("retries go on", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.fault(sandbox.Fault{Code: "Throttling", Count: 3})
		r.start()
		if o := r.story(r.sms(1, "")); len(o) != 4 || o[3].Status != messages.StatusSent || o[3].Attempt != 4 {
			t.Errorf("%+v", o)
		}
	})
	t.Run("the count of a server that forgot is not believed", func(t *testing.T) {
		r := newRig(t, "", claimed)
		id := r.sms(1, "")
		r.ledger(id, `{"state":"claimed","delivery":1,"sequence":1}`)
		r.sendAsADeadWorkerDid(id, "13000000001")
		r.start()
		if o := r.story(id); len(o) != 1 || o[0].Status != messages.StatusSent {
			t.Errorf("%+v", o)
		}
		if n := len(r.box.Inbox("")); n != 1 {
			t.Errorf("sent %d times", n)
		}
	})
	t.Run("what is published again after it was sent is asked for", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		id := r.sms(1, "")
		r.story(id)
		r.empty()
		r.sms(1, "") // without a Nats-Msg-Id, which the server forgets at a restart
		if o := r.story(id); o[len(o)-1].Status != messages.StatusSent || o[len(o)-1].Attempt != 0 {
			t.Errorf("%+v", o)
		}
		if n := r.box.Requests()["SendSms"]; n != 1 {
			t.Errorf("%d requests", n)
		}
	})
	t.Run("another code of the same id is sent", func(t *testing.T) {
		r := newRig(t, "", claimed)
		r.start()
		for i := range 2 {
			r.publish("codeferry.send.default.sms.SignIn.u", fmt.Sprintf(`{"id":"same","to":"13000000001","type":"SignIn","payload":{"code":"12345%d"}}`, i))
			if o := r.story("same"); len(o) != 1 || o[0].Status != messages.StatusSent {
				t.Errorf("%+v", o)
			}
		}
		if n := len(r.box.Inbox("")); n != 2 {
			t.Errorf("%d sent", n)
		}
	})
	t.Run("another message's claim of the same id means nothing", func(t *testing.T) {
		r := newRig(t, "", claimed)
		id := r.sms(1, "")
		r.ledger(id, `{"state":"claimed","delivery":1,"sequence":77}`)
		r.start()
		if o := r.story(id); len(o) != 1 || o[0].Status != messages.StatusSent || o[0].Attempt != 1 {
			t.Errorf("%+v", o)
		}
	})
}

// TestAnOvertakenCodeIsNotSent lets two workers' worth of messages wait in one
// worker's hands while newer codes for the same subjects are published.
func TestAnOvertakenCodeIsNotSent(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Concurrency = 1 })
	r.fault(sandbox.Fault{Latency: 300 * time.Millisecond, Count: 1})
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
	r := newRig(t, "")
	r.fault(sandbox.Fault{Action: "SendSms", Code: "isv.AMOUNT_NOT_ENOUGH"})
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
		if o.Status == messages.StatusDead || sent[o.ID] {
			t.Fatalf("%+v", o)
		}
		if o.Status == messages.StatusSent {
			sent[o.ID] = true
		}
	}
	r.empty()
	if got := r.box.Requests()["SendSms"] - n; got > 12 {
		t.Errorf("%d requests reached the provider while the account was out", got)
	}
	if n := strings.Count(r.log.String(), "connector closed off"); n < 2 {
		t.Errorf("it was closed off %d times", n)
	}
}

func TestAnUnreachableConnectorIsLeftAlone(t *testing.T) {
	r := newRig(t, backup, route("direct-mail", "backup"), func(c *config.Config) {
		dm := c.Connectors["direct-mail"]
		dm.Settings = withEndpoint(dm.Settings, "http://127.0.0.1:1") // nobody listens there
		c.Connectors["direct-mail"] = dm
	})
	r.start()
	const n = 200
	began := time.Now()
	for i := range n {
		r.email(i, "")
	}
	for range n {
		if o := <-r.outcomes; o.Status != messages.StatusSent || o.Connector != "backup" {
			t.Fatalf("%+v", o)
		}
	}
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("%d mails by the second connector took %v", n, took)
	}
	if !strings.Contains(r.log.String(), "too many requests failed") {
		t.Error("its breaker never opened")
	}
}

// TestAHangingConnectorKeepsToItsShare lets the first connector hang: three of
// four slots may wait for it, and the fourth goes on by the second.
func TestAHangingConnectorKeepsToItsShare(t *testing.T) {
	hanging := sandbox.New(sandbox.Options{})
	r := newRig(t, backup, route("direct-mail", "backup"), func(c *config.Config) {
		dm := c.Connectors["direct-mail"]
		dm.Settings = withEndpoint(dm.Settings, serve(t, hanging))
		c.Connectors["direct-mail"] = dm
	})
	r.start()
	r.story(r.email(1000, "")) // it works, and shows it
	if err := hanging.SetFaults([]sandbox.Fault{{Drop: sandbox.DropHang}}); err != nil {
		t.Fatal(err)
	}
	const n = 60
	for i := range n {
		r.email(i, "")
	}
	r.eventually("what the hanging connector does not hold is sent", func() bool { return len(r.box.Inbox("")) >= n-12 })
	if got := hanging.Requests()["SingleSendMail"] - 1; got != 12 {
		t.Errorf("%d requests hang, of 16 slots", got)
	}
	hanging.Close()
}

func TestThrottlingSlowsDownAndClimbsBack(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 1000 })
	r.fault(sandbox.Fault{Count: 100}, sandbox.Fault{Code: "Throttling.User", Count: 5})
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
			t.Fatalf("%+v", o)
		}
	}
	r.empty()
}

// TestTheFreshestGoFirst lets twice as much come in as can go out, on a scale of
// one to sixty: a user's minute is a second here.
func TestTheFreshestGoFirst(t *testing.T) {
	const (
		patience = 200 * time.Millisecond // ten seconds
		minute   = time.Second
		rate     = 200 // out
		length   = 4 * time.Second
	)
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.Patience = patience
		c.Worker.Concurrency = 8
		conn := c.Connectors["aliyun-sms"]
		conn.RateLimit = rate
		c.Connectors["aliyun-sms"] = conn
	})
	r.start()
	tick := time.NewTicker(time.Second / (2 * rate))
	defer tick.Stop()
	published := 0
	for began := time.Now(); time.Since(began) < length; published++ {
		<-tick.C
		r.sms(published, `,"expiresAt":"`+time.Now().Add(10*minute).UTC().Format(time.RFC3339Nano)+`"`)
	}
	good := 0
	for drained := false; !drained; {
		select {
		case o := <-r.outcomes:
			if o.Status == messages.StatusSent && o.At.Sub(o.StoredAt) <= minute {
				good++
			}
		default:
			drained = true
		}
	}
	if share := float64(good) / float64(published); share < 0.40 {
		t.Errorf("%d of %d codes (%.0f%%) arrived in time; half of them could", good, published, 100*share)
	}
}
