package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestEveryTypeArrivesOnceAndRendered(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	own := map[messages.Type]string{messages.Register: "SMS_1", messages.SignIn: "SMS_2", messages.ForgotPassword: "SMS_3"}
	for i, typ := range append(messages.Types(), messages.Test) {
		phone, mail := fmt.Sprintf("130%08d", i), fmt.Sprintf("u%d@example.com", i)
		for channel, to := range map[messages.Channel]string{messages.SMS: "+86" + phone, messages.Email: mail} {
			id := fmt.Sprintf("%s-%s", channel, typ)
			r.publish(messages.Subject{App: "default", Channel: channel, Type: typ, Key: "u1"}.String(),
				fmt.Sprintf(`{"id":%q,"to":%q,"type":%q,"payload":{"code":"012345","name":"A<b>","locale":"zh-CN"}}`, id, to, typ))
			story := r.story(id)
			if last := story[len(story)-1]; len(story) != 1 || last.Status != messages.StatusSent || last.Attempt != 1 || last.Type != typ.Canonical() {
				t.Errorf("%s: got the outcomes %+v, want one that it was sent", id, story)
			}
		}
		sms, ok := own[typ]
		name := string(typ)
		if !ok {
			sms, name = "SMS_4", "Generic"
		}
		if got := r.box.Inbox(phone); len(got) != 1 || got[0].TemplateCode != sms || got[0].TemplateParam != `{"code":"012345"}` || !strings.HasPrefix(got[0].OutID, "sms-"+string(typ)+"-") {
			t.Errorf("%s by SMS: the provider got %+v", typ, got)
		}
		want := "Code"
		if subject, ok := map[messages.Type]string{
			messages.Register: "Welcome A<b>", messages.SignIn: "Sign in", messages.ForgotPassword: "Reset",
		}[typ]; ok {
			want = subject
		}
		if got := r.box.Inbox(mail); len(got) != 1 || got[0].Subject != want || got[0].HTMLBody != "<p>"+name+": 012345</p>" {
			t.Errorf("%s by mail: the provider got %+v", typ, got)
		}
	}
	r.empty()
}

func TestWireFormatFromAnyClient(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	now := time.Now().UTC()
	body := fmt.Sprintf(`{"id":"01JDCT","to":"+8613012345678","type":"SignIn","payload":{"code":"123456","locale":"zh-CN","uiLocales":"zh-CN zh","user":{"name":"x"}},
 "ip":"1.2.3.4","createdAt":%q,"expiresAt":%q,"later":{"field":[1]}}`, now.Format(time.RFC3339), now.Add(time.Minute).Format(time.RFC3339))
	r.publish("codeferry.send.default.sms.SignIn.user-1", body)
	o := r.story("01JDCT")[0]
	check.Equal(t, "status", o.Status, messages.StatusSent)
	check.Equal(t, "recipient", o.To, "+86130****5678")
	check.Equal(t, "it has a provider's id", o.ProviderID != "", true)

	t.Run("the id is the Nats-Msg-Id", func(t *testing.T) {
		msg := nats.NewMsg("codeferry.send.default.sms.SignIn.user-2")
		msg.Header.Set(jetstream.MsgIDHeader, "from-the-header")
		msg.Data = []byte(`{"to":"13012345679","type":"SignIn","payload":{"code":"123456"}}`)
		if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
			t.Fatal(err)
		}
		r.story("from-the-header")
		if got := one(t, "accepted messages", r.box.Inbox("13012345679")).OutID; !strings.HasPrefix(got, "from-the-header-") {
			t.Errorf("OutId: got %s, want one that begins with from-the-header-", got)
		}
	})
	t.Run("the id is the place in the stream", func(t *testing.T) {
		ack := r.publish("codeferry.send.default.sms.SignIn.user-3", `{"to":"85291234567","type":"SignIn","payload":{"code":"123456"}}`)
		r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))
		got := one(t, "accepted messages", r.box.Inbox("+85291234567"))
		check.Equal(t, "template", got.TemplateCode, "SMS_22")
		check.Equal(t, "recipient", got.To, "85291234567")
	})
}

func TestThree503sThenSent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		action  string
		fault   fakealiyun.Fault
		publish func(*rig, int, string) string
		// wait is how long after an attempt the message comes again: to ask about an SMS,
		// or to send a mail again.
		wait func(i int) time.Duration
	}{
		{
			"SMS with a code", "SendSms",
			fakealiyun.Fault{Code: "ServiceUnavailable", HTTPStatus: 503, Count: 3},
			(*rig).sms,
			func(i int) time.Duration { return 80*time.Millisecond + 20*time.Millisecond<<i },
		},
		{
			"mail without a code", "SingleSendMail",
			fakealiyun.Fault{HTTPStatus: 503, Count: 3},
			(*rig).email,
			func(i int) time.Duration { return 20 * time.Millisecond << i },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.RandomizationFactor = 0 })
			c.fault.Action = c.action
			r.fault(c.fault)
			r.start()
			story := r.story(c.publish(r, 1, ""))
			if len(story) != 4 {
				t.Fatalf("got %d outcomes, want 4: %+v", len(story), story)
			}
			for i, o := range story[:3] {
				wait := o.RetryAt.Sub(o.At).Round(5 * time.Millisecond)
				if want := c.wait(i); o.Status != messages.StatusUnknown || o.Attempt != i+1 || wait != want {
					t.Errorf("attempt %d: got %s and a retry after %v; want unknown and a retry after %v", o.Attempt, o.Status, wait, want)
				}
				if next := story[i+1]; next.At.Before(*o.RetryAt) {
					t.Errorf("attempt %d came at %v, before its time %v", next.Attempt, next.At, *o.RetryAt)
				}
			}
			check.Equal(t, "last status", story[3].Status, messages.StatusSent)
			check.Equal(t, "attempts", story[3].Attempt, 4)
			if n := r.box.Requests()[c.action]; n != 4 || len(r.box.Inbox("")) != 1 {
				t.Errorf("got %d requests, and the accepted messages %+v", n, r.box.Inbox(""))
			}
			r.empty()
		})
	}
}

func TestPermanentIsOneRequestAndOneDeadLetter(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.fault(fakealiyun.Fault{Action: "SendSms", Code: "isv.MOBILE_NUMBER_ILLEGAL"})
	r.start()
	story := r.story(r.sms(1, ""))
	check.Equal(t, "outcomes", len(story), 1)
	check.Equal(t, "status", story[0].Status, messages.StatusDead)
	check.Equal(t, "reason", story[0].Reason, messages.ReasonRejected)
	check.Equal(t, "code", story[0].Code, "isv.MOBILE_NUMBER_ILLEGAL")
	r.empty()
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 1)
	letters := r.dead()
	if len(letters) != 1 {
		t.Fatalf("got %d dead letters, want 1", len(letters))
	}
	d := letters[0]
	check.Equal(t, "dead letter: id", d.ID, "sms-1")
	check.Equal(t, "dead letter: reason", d.Reason, messages.ReasonRejected)
	check.Equal(t, "dead letter: connector", d.Connector, "aliyun-sms")
	check.Equal(t, "dead letter: code", d.Code, "isv.MOBILE_NUMBER_ILLEGAL")
	tried := one(t, "attempts in the dead letter", d.Attempts)
	check.Equal(t, "attempt: it has a request id", tried.RequestID != "", true)
	check.Equal(t, "attempt: class", tried.Class, "permanent")
	check.Equal(t, "dead letter: recipient", d.To, "+86130****0001")
	check.Equal(t, "dead letter: subject", d.Subject, "codeferry.send.default.sms.SignIn.u1")
	check.Equal(t, "dead letter: sequence", d.Sequence, 1)
	check.Equal(t, "dead letter: deliveries", d.Deliveries, 1)
	check.Equal(t, "dead letter: it has storedAt", !d.StoredAt.IsZero(), true)
	check.Equal(t, "dead letter: it has deadAt", !d.DeadAt.IsZero(), true)
	check.Equal(t, "dead letter: it has advice", d.Advice != "", true)
	if d.ExpiresAt == nil {
		t.Error("dead letter: it has no expiresAt")
	} else {
		check.Equal(t, "dead letter: expires after", d.ExpiresAt.Sub(d.StoredAt), 10*time.Minute)
	}
}

func TestBadInputIsADeadLetterEachAndTheWorkerGoesOn(t *testing.T) {
	t.Parallel()
	const good = `"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}`
	for _, c := range []struct{ name, subject, body, want string }{
		{"no JSON", "default.sms.SignIn.u", `code 123456`, "body is not a JSON object"},
		{"a JSON list", "default.sms.SignIn.u", `[1]`, "body is not a JSON object"},
		{"nothing", "default.sms.SignIn.u", ``, "body is not a JSON object"},
		{"no to", "default.sms.SignIn.u", `{"type":"SignIn","payload":{"code":"123456"}}`, "to is missing"},
		{"no type", "default.sms.SignIn.u", `{"to":"+8613012345678","payload":{"code":"123456"}}`, "type is missing"},
		{"no payload", "default.sms.SignIn.u", `{"to":"+8613012345678","type":"SignIn"}`, "payload is missing"},
		{"another type than the subject's", "default.sms.Register.u", `{` + good + `}`, "type is SignIn in the message and Register in its subject"},
		{"no type of ours", "default.sms.Login.u", `{` + good + `}`, "is not a usage type"},
		{"a word for a number", "default.sms.SignIn.u", `{"to":"somebody","type":"SignIn","payload":{"code":"123456"}}`, "to is not a phone number"},
		{"a number of no country", "default.sms.SignIn.u", `{"to":"+99912345678","type":"SignIn","payload":{"code":"123456"}}`, "is not a phone number"},
		{"a landline", "default.sms.SignIn.u", `{"to":"+861012345678","type":"SignIn","payload":{"code":"123456"}}`, "not a mobile number"},
		{"no address", "default.email.SignIn.u", `{"to":"not an address","type":"SignIn","payload":{"code":"123456"}}`, "to is not an email address"},
		{"a number for an address", "default.email.SignIn.u", `{` + good + `}`, "to is not an email address"},
		{"no code for the template", "default.email.SignIn.u", `{"to":"a@example.com","type":"SignIn","payload":{}}`, "the payload has no code"},
		{"a number as code", "default.sms.SignIn.u", `{"to":"+8613012345678","type":"SignIn","payload":{"code":123456}}`, "payload.code is not a string"},
		{"a time that is none", "default.sms.SignIn.u", `{` + good + `,"expiresAt":"soon"}`, "expiresAt is not a time"},
		{"an address as key", "default.email.SignIn.a@example", `{"to":"a@example.com","type":"SignIn","payload":{"code":"123456"}}`, "key looks like an address"},
		{"more than 16 KiB", "default.sms.SignIn.u", `{` + good + `,"pad":"` + strings.Repeat("x", wire.MaxBody-len(good)-10) + `"}`, "body has 16385 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "")
			r.start()
			ack := r.publish("codeferry.send."+c.subject, c.body)
			story := r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))
			check.Equal(t, "outcomes", len(story), 1)
			check.Equal(t, "reason", story[0].Reason, messages.ReasonInvalid)
			contains(t, "detail", story[0].Detail, c.want)
			d := one(t, "dead letters", r.dead())
			check.Equal(t, "dead letter: reason", d.Reason, messages.ReasonInvalid)
			contains(t, "dead letter: detail", d.Detail, c.want)
			if strings.Contains(d.Subject+d.Detail, "a@example") {
				t.Errorf("the dead letter shows the address: %+v", d)
			}
			r.story(r.sms(7, ""))
			r.empty()
			if len(r.box.Inbox("")) != 1 {
				t.Errorf("the accepted messages are %+v, want 1", r.box.Inbox(""))
			}
		})
	}
}

func TestAnExpiredCodeIsNotSent(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	past := time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano)
	id := r.sms(1, `,"expiresAt":"`+past+`"`)
	r.start()
	check.Equal(t, "reason", r.story(id)[0].Reason, messages.ReasonExpired)
	r.empty()
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 0)
}

func TestNoRetryPastTheExpiry(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.Retry.InitialInterval, c.Worker.Retry.MaxInterval = 500*time.Millisecond, time.Second
		c.Worker.Retry.MaxAttempts = 1000
	})
	r.fault(fakealiyun.Fault{Code: "Throttling.User"})
	r.start()
	expires := time.Now().Add(4 * time.Second)
	story := r.story(r.email(1, `,"expiresAt":"`+expires.UTC().Format(time.RFC3339Nano)+`"`))
	last := story[len(story)-1]
	if len(story) < 2 {
		t.Errorf("got %d outcomes, want a retry first: %+v", len(story), story)
	}
	check.Equal(t, "reason", last.Reason, messages.ReasonExpired)
	// TestDecideTheExpiryIsABound has the decision itself. Between that and the nak a busy
	// machine takes its time, so the last retry can come too late. No attempt is made then.
	// Nor is one if the rate limiter, which the provider's answers slow down, has no room.
	requests := 0
	for i, o := range story {
		if i < len(story)-1 {
			check.Equal(t, "status", o.Status, messages.StatusRetrying)
		}
		if o.Code == "Throttling.User" {
			requests++
		}
	}
	check.Equal(t, "requests", r.box.Requests()["SingleSendMail"], requests)
}

func TestANewerCodeSupersedesOneThatWaitsForItsRetry(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.Retry.InitialInterval, c.Worker.Retry.MaxInterval = time.Second, time.Second
	})
	r.fault(fakealiyun.Fault{Code: "Throttling", Count: 1})
	r.start()
	subject := "codeferry.send.default.sms.SignIn.u"
	r.publish(subject, `{"id":"old","to":"13012345678","type":"SignIn","payload":{"code":"111111"}}`)
	if o := r.next("old"); o.Status != messages.StatusRetrying {
		t.Fatalf("the older message: got the status %s, want %s", o.Status, messages.StatusRetrying)
	}
	r.publish(subject, `{"id":"new","to":"13012345678","type":"SignIn","payload":{"code":"222222"}}`)
	r.story("new")
	r.empty()
	check.Equal(t, "code", one(t, "accepted messages", r.box.Inbox("")).TemplateParam, `{"code":"222222"}`)
}

const backup = `
  backup:
    type: aliyun-dm
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    accountName: backup@mail.example.com
    templates: ` + templates

func route(names ...string) func(*config.Config) {
	return func(c *config.Config) {
		app := c.Apps["default"]
		app.Email = nil
		for _, name := range names {
			app.Email = append(app.Email, config.Step{Connector: name})
		}
		c.Apps["default"] = app
	}
}

// TestARouteWithConditions: a message takes the steps whose conditions it meets. A message
// that meets none becomes a dead letter, and no provider is called.
func TestARouteWithConditions(t *testing.T) {
	t.Parallel()
	r := newRig(t, backup, func(c *config.Config) {
		app := c.Apps["default"]
		app.Email = []config.Step{{Connector: "direct-mail", Types: []messages.Type{messages.Register}}, {Connector: "backup", Domains: []string{"example.com"}}}
		mainland := false
		app.SMS[0].Mainland = &mainland
		c.Apps["default"] = app
	})
	r.start()
	r.story(r.email(1, ""))
	check.Equal(t, "account", one(t, "accepted messages", r.box.Inbox("")).AccountName, "backup@mail.example.com")
	story := r.story(r.sms(1, ""))
	last := story[len(story)-1]
	check.Equal(t, "reason", last.Reason, messages.ReasonMisconfigured)
	check.Equal(t, "detail", last.Detail, "no step of app default for sms takes this recipient and type")
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 0)
}

func TestTheNextConnectorTakesWhatWasNotAccepted(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		code    string
		through string
	}{
		{"Throttling.User", "backup@mail.example.com"},
		{"InvalidMailAddress.NotFound", "backup@mail.example.com"},
		{"Forbidden.RAM", "backup@mail.example.com"},
		// A message in doubt never goes to the next connector, because the first one may
		// have accepted it.
		{"InternalError", "no-reply@mail.example.com"},
	} {
		t.Run(c.code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, backup, route("direct-mail", "backup"))
			r.fault(fakealiyun.Fault{Code: c.code, Count: 1})
			r.start()
			r.story(r.email(1, ""))
			r.empty()
			check.Equal(t, "account", one(t, "accepted messages", r.box.Inbox("")).AccountName, c.through)
			check.Equal(t, "requests", r.box.Requests()["SingleSendMail"], 2)
		})
	}
}

func TestTheOperatorsFaultCostsNoAttempt(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 2 })
	r.fault(fakealiyun.Fault{Code: "isv.AMOUNT_NOT_ENOUGH", Count: 4}, fakealiyun.Fault{Code: "Throttling", Count: 1})
	r.start()
	story := r.story(r.sms(1, ""))
	last := story[len(story)-1]
	check.Equal(t, "last status", last.Status, messages.StatusSent)
	check.Equal(t, "attempts", last.Attempt, 6)
}

func TestAttemptsEnd(t *testing.T) {
	t.Parallel()
	for code, want := range map[string]messages.Reason{"Throttling": messages.ReasonUndeliverable, "InternalError": messages.ReasonDoubt} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 3 })
			r.fault(fakealiyun.Fault{Code: code})
			r.start()
			story := r.story(r.email(1, ""))
			check.Equal(t, "outcomes", len(story), 3)
			check.Equal(t, "reason", story[len(story)-1].Reason, want)
			d := one(t, "dead letters", r.dead())
			check.Equal(t, "attempts in the dead letter", len(d.Attempts), 3)
			check.Equal(t, "deliveries in the dead letter", d.Deliveries, 3)
			check.Equal(t, "requests", r.box.Requests()["SingleSendMail"], 3)
		})
	}
}

func TestOnDoubtDead(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) {
		conn := c.Connectors["direct-mail"]
		conn.OnDoubt = config.Dead
		c.Connectors["direct-mail"] = conn
	})
	r.fault(fakealiyun.Fault{Drop: fakealiyun.DropAfter, Count: 1})
	r.start()
	check.Equal(t, "reason", r.story(r.email(1, ""))[0].Reason, messages.ReasonDoubt)
	check.Equal(t, "accepted mails", len(r.box.Inbox("")), 1)
}

func TestFlowControl(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	for window, want := range map[string]messages.Status{
		"触发分钟级流控Permits:1":   messages.StatusRetrying,
		"触发小时级流控Permits:5":   messages.StatusDead,
		"触发天级流控Permits:10":   messages.StatusDead,
		"触发号码天级流控Permits:40": messages.StatusDead,
		"?":                  messages.StatusDead,
	} {
		t.Run(window, func(t *testing.T) {
			r.fault(fakealiyun.Fault{Code: "isv.BUSINESS_LIMIT_CONTROL", Message: window, Count: 1})
			stop := r.start()
			defer stop()
			id := fmt.Sprintf("limited-%x", window)
			r.publish("codeferry.send.default.sms.SignIn."+id, fmt.Sprintf(`{"id":%q,"to":"13012345678","type":"SignIn","payload":{"code":"123456"}}`, id))
			o := r.next(id)
			check.Equal(t, id+": status", o.Status, want)
			if want == messages.StatusDead {
				check.Equal(t, id+": reason", o.Reason, messages.ReasonLimited)
			}
			if want == messages.StatusRetrying && o.RetryAt.Sub(o.At) != time.Minute {
				t.Errorf("the retry comes after %v", o.RetryAt.Sub(o.At))
			}
		})
	}
}

func TestNoRouteIsMisconfigured(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", route())
	r.start()
	o := r.story(r.email(1, ""))[0]
	check.Equal(t, "reason without a connector", o.Reason, messages.ReasonMisconfigured)
	contains(t, "detail without a connector", o.Detail, "app default has no connector for email")
	r.publish("codeferry.send.other.sms.SignIn.u", `{"id":"x","to":"13012345678","type":"SignIn","payload":{"code":"123456"}}`)
	o = r.story("x")[0]
	check.Equal(t, "reason without an app", o.Reason, messages.ReasonMisconfigured)
	contains(t, "detail without an app", o.Detail, "no app other")
}

func TestRateLimit(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) {
		conn := c.Connectors["aliyun-sms"]
		conn.RateLimit = 20
		c.Connectors["aliyun-sms"] = conn
	})
	const n = 30
	ids := make([]string, n)
	for i := range ids {
		ids[i] = r.sms(i, "")
	}
	late := r.sms(n, `,"expiresAt":"`+time.Now().Add(100*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"`)
	began := time.Now()
	r.start()
	seen := make(map[string]messages.Outcome)
	for len(seen) < n+1 {
		o := <-r.outcomes
		seen[o.ID] = o
	}
	got := r.box.Inbox("")
	if took := got[0].At.Sub(began); took < (n-3)*time.Second/20 {
		t.Errorf("at 20 a second %d messages took %v", len(got), took)
	}
	if o := seen[late]; o.Status == messages.StatusSent && o.At.Sub(o.StoredAt) > time.Second {
		t.Errorf("a code that expires in 100ms was sent: %+v", o)
	}
}

func TestNothingLeaks(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	// The provider's text repeats the request.
	const phone, code = "13099887766", "73K154"
	for i, f := range []fakealiyun.Fault{
		{Code: "SignatureDoesNotMatch", Message: "Specified signature does not match, server string to sign is:POST&%2F&PhoneNumbers%3D" + phone + "%26TemplateParam%3D%257B%2522code%2522%253A%2522" + code, Count: 1},
		{Code: "isv.MOBILE_NUMBER_ILLEGAL", Message: "number " + phone + " with code " + code + " refused", Count: 1},
		{Drop: fakealiyun.DropBefore, Count: 1},
		{Body: new("<html>" + phone + code), HTTPStatus: 502, Count: 1},
	} {
		r.fault(f)
		id := fmt.Sprintf("leak-%d", i)
		r.publish("codeferry.send.default.sms.SignIn."+id, fmt.Sprintf(`{"id":%q,"to":"+86%s","type":"SignIn","payload":{"code":%q},"ip":"203.0.113.77"}`, id, phone, code))
		r.story(id)
	}
	r.publish("codeferry.send.default.sms.SignIn.bad", `{"to":"+86`+phone+`","type":"SignIn","payload":"`+code+`"}`)
	for o := range r.outcomes {
		if o.Reason == messages.ReasonInvalid {
			break
		}
	}
	r.empty()
	for _, name := range []string{wire.OutcomesName, wire.DeadName, "KV_" + wire.LedgerName} {
		s, err := r.js.Stream(r.ctx(), name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
			m, err := s.GetMsg(r.ctx(), seq)
			if err != nil {
				continue // superseded by a later one
			}
			lookFor(t, name, string(m.Data)+m.Subject, phone, code, "203.0.113.77")
		}
	}
	lookFor(t, "the log", r.log.String(), phone, code, "203.0.113.77")
}

func lookFor(t *testing.T, where, text string, marks ...string) {
	t.Helper()
	for _, m := range marks {
		if strings.Contains(text, m) {
			t.Errorf("%s shows %s: %s", where, m, text)
		}
	}
}
