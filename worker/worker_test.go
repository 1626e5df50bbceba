package worker_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
)

func TestEveryTypeArrivesOnceAndRendered(t *testing.T) {
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
				t.Errorf("%s: %+v", id, story)
			}
		}
		sms, ok := own[typ]
		name := string(typ)
		if !ok {
			sms, name = "SMS_4", "Generic"
		}
		if got := r.box.Inbox(phone); len(got) != 1 || got[0].TemplateCode != sms || got[0].TemplateParam != `{"code":"012345"}` || got[0].OutID != "sms-"+string(typ) {
			t.Errorf("%s by SMS: %+v", typ, got)
		}
		want := "Code"
		if subject, ok := map[messages.Type]string{
			messages.Register: "Welcome A<b>", messages.SignIn: "Sign in", messages.ForgotPassword: "Reset",
		}[typ]; ok {
			want = subject
		}
		if got := r.box.Inbox(mail); len(got) != 1 || got[0].Subject != want || got[0].HTMLBody != "<p>"+name+": 012345</p>" {
			t.Errorf("%s by mail: %+v", typ, got)
		}
	}
	r.empty()
}

func TestWireFormatFromAnyClient(t *testing.T) {
	r := newRig(t, "")
	r.start()
	now := time.Now().UTC()
	body := fmt.Sprintf(`{"id":"01JDCT","to":"+8613012345678","type":"SignIn","payload":{"code":"123456","locale":"zh-CN","uiLocales":"zh-CN zh","user":{"name":"x"}},
 "ip":"1.2.3.4","createdAt":%q,"expiresAt":%q,"later":{"field":[1]}}`, now.Format(time.RFC3339), now.Add(time.Minute).Format(time.RFC3339))
	r.publish("codeferry.send.default.sms.SignIn.user-1", body)
	if o := r.story("01JDCT"); o[0].Status != messages.StatusSent || o[0].To != "+86130****5678" || o[0].ProviderID == "" {
		t.Errorf("%+v", o)
	}

	t.Run("the id is the Nats-Msg-Id", func(t *testing.T) {
		msg := nats.NewMsg("codeferry.send.default.sms.SignIn.user-2")
		msg.Header.Set(jetstream.MsgIDHeader, "from-the-header")
		msg.Data = []byte(`{"to":"13012345679","type":"SignIn","payload":{"code":"123456"}}`)
		if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
			t.Fatal(err)
		}
		r.story("from-the-header")
		if got := r.box.Inbox("13012345679"); len(got) != 1 || got[0].OutID != "from-the-header" {
			t.Errorf("%+v", got)
		}
	})
	t.Run("the id is the place in the stream", func(t *testing.T) {
		ack := r.publish("codeferry.send.default.sms.SignIn.user-3", `{"to":"85291234567","type":"SignIn","payload":{"code":"123456"}}`)
		r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))
		if got := r.box.Inbox("+85291234567"); len(got) != 1 || got[0].TemplateCode != "SMS_22" || got[0].To != "85291234567" {
			t.Errorf("%+v", got)
		}
	})
}

func TestThree503sThenSent(t *testing.T) {
	for _, c := range []struct {
		name    string
		action  string
		fault   sandbox.Fault
		publish func(*rig, int, string) string
		// wait is how long after an attempt the message is taken up again: to ask
		// about an SMS, to send a mail once more.
		wait func(i int) time.Duration
	}{
		{
			"SMS with a code", "SendSms",
			sandbox.Fault{Code: "ServiceUnavailable", HTTPStatus: 503, Count: 3},
			(*rig).sms,
			func(i int) time.Duration { return 80*time.Millisecond + 20*time.Millisecond<<i },
		},
		{
			"mail without a code", "SingleSendMail",
			sandbox.Fault{HTTPStatus: 503, Count: 3},
			(*rig).email,
			func(i int) time.Duration { return 20 * time.Millisecond << i },
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.RandomizationFactor = 0 })
			c.fault.Action = c.action
			r.fault(c.fault)
			r.start()
			story := r.story(c.publish(r, 1, ""))
			if len(story) != 4 {
				t.Fatalf("%d outcomes: %+v", len(story), story)
			}
			for i, o := range story[:3] {
				wait := o.RetryAt.Sub(o.At).Round(5 * time.Millisecond)
				if want := c.wait(i); o.Status != messages.StatusUnknown || o.Attempt != i+1 || wait != want {
					t.Errorf("attempt %d: %s, again in %v; want unknown, again in %v", o.Attempt, o.Status, wait, want)
				}
				if next := story[i+1]; next.At.Before(*o.RetryAt) {
					t.Errorf("attempt %d came at %v, before its time %v", next.Attempt, next.At, *o.RetryAt)
				}
			}
			if last := story[3]; last.Status != messages.StatusSent || last.Attempt != 4 {
				t.Errorf("%+v", last)
			}
			if n := r.box.Requests()[c.action]; n != 4 || len(r.box.Inbox("")) != 1 {
				t.Errorf("%d requests, inbox %+v", n, r.box.Inbox(""))
			}
			r.empty()
		})
	}
}

func TestPermanentIsOneRequestAndOneLetter(t *testing.T) {
	r := newRig(t, "")
	r.fault(sandbox.Fault{Action: "SendSms", Code: "isv.MOBILE_NUMBER_ILLEGAL"})
	r.start()
	story := r.story(r.sms(1, ""))
	if o := story[0]; len(story) != 1 || o.Status != messages.StatusDead || o.Reason != messages.ReasonRejected || o.Code != "isv.MOBILE_NUMBER_ILLEGAL" {
		t.Errorf("%+v", story)
	}
	r.empty()
	if n := r.box.Requests()["SendSms"]; n != 1 {
		t.Errorf("%d requests", n)
	}
	letters := r.dead()
	if len(letters) != 1 {
		t.Fatalf("%d letters", len(letters))
	}
	d := letters[0]
	if d.ID != "sms-1" || d.Reason != messages.ReasonRejected || d.Connector != "aliyun-sms" || d.Code != "isv.MOBILE_NUMBER_ILLEGAL" ||
		len(d.Attempts) != 1 || d.Attempts[0].RequestID == "" || d.Attempts[0].Class != "permanent" || d.To != "+86130****0001" ||
		d.Subject != "codeferry.send.default.sms.SignIn.u1" || d.Sequence != 1 || d.Deliveries != 1 || d.StoredAt.IsZero() || d.DeadAt.IsZero() ||
		d.ExpiresAt == nil || d.ExpiresAt.Sub(d.StoredAt) != 10*time.Minute || d.Advice == "" {
		t.Errorf("%+v", d)
	}
}

func TestBadInputIsALetterEachAndTheWorkerGoesOn(t *testing.T) {
	const good = `"to":"+8613012345678","type":"SignIn","payload":{"code":"123456"}`
	for _, c := range []struct{ name, subject, body, want string }{
		{"no JSON", "default.sms.SignIn.u", `code 123456`, "body is no JSON object"},
		{"a JSON list", "default.sms.SignIn.u", `[1]`, "body is no JSON object"},
		{"nothing", "default.sms.SignIn.u", ``, "body is no JSON object"},
		{"no to", "default.sms.SignIn.u", `{"type":"SignIn","payload":{"code":"123456"}}`, "to is missing"},
		{"no type", "default.sms.SignIn.u", `{"to":"+8613012345678","payload":{"code":"123456"}}`, "type is missing"},
		{"no payload", "default.sms.SignIn.u", `{"to":"+8613012345678","type":"SignIn"}`, "payload is missing"},
		{"another type than the subject's", "default.sms.Register.u", `{` + good + `}`, "type is SignIn in the message and Register in its subject"},
		{"no type of ours", "default.sms.Login.u", `{` + good + `}`, "is no usage type"},
		{"a word for a number", "default.sms.SignIn.u", `{"to":"somebody","type":"SignIn","payload":{"code":"123456"}}`, "to is no phone number"},
		{"a number of no country", "default.sms.SignIn.u", `{"to":"+99912345678","type":"SignIn","payload":{"code":"123456"}}`, "is no phone number"},
		{"a landline", "default.sms.SignIn.u", `{"to":"+861012345678","type":"SignIn","payload":{"code":"123456"}}`, "no mobile one"},
		{"no address", "default.email.SignIn.u", `{"to":"not an address","type":"SignIn","payload":{"code":"123456"}}`, "to is no email address"},
		{"a number for an address", "default.email.SignIn.u", `{` + good + `}`, "to is no email address"},
		{"no code for the template", "default.email.SignIn.u", `{"to":"a@example.com","type":"SignIn","payload":{}}`, "the payload has no code"},
		{"a number as code", "default.sms.SignIn.u", `{"to":"+8613012345678","type":"SignIn","payload":{"code":123456}}`, "payload.code is not a string"},
		{"a time that is none", "default.sms.SignIn.u", `{` + good + `,"expiresAt":"soon"}`, "expiresAt is not a time"},
		{"an address as key", "default.email.SignIn.a@example", `{"to":"a@example.com","type":"SignIn","payload":{"code":"123456"}}`, "key looks like an address"},
		{"more than 16 KiB", "default.sms.SignIn.u", `{` + good + `,"pad":"` + strings.Repeat("x", messages.MaxBody-len(good)-10) + `"}`, "body has 16385 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, "")
			r.start()
			ack := r.publish("codeferry.send."+c.subject, c.body)
			story := r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))
			if o := story[0]; len(story) != 1 || o.Reason != messages.ReasonInvalid || !strings.Contains(o.Detail, c.want) {
				t.Errorf("%+v; want %q", story, c.want)
			}
			if letters := r.dead(); len(letters) != 1 || letters[0].Reason != messages.ReasonInvalid || !strings.Contains(letters[0].Detail, c.want) {
				t.Errorf("%+v", letters)
			} else if strings.Contains(letters[0].Subject+letters[0].Detail, "a@example") {
				t.Errorf("the letter holds the address: %+v", letters[0])
			}
			r.story(r.sms(7, ""))
			r.empty()
			if len(r.box.Inbox("")) != 1 {
				t.Errorf("inbox: %+v", r.box.Inbox(""))
			}
		})
	}
}

func TestAnExpiredCodeIsNotSent(t *testing.T) {
	r := newRig(t, "")
	past := time.Now().Add(-time.Second).UTC().Format(time.RFC3339Nano)
	id := r.sms(1, `,"expiresAt":"`+past+`"`)
	r.start()
	if o := r.story(id)[0]; o.Reason != messages.ReasonExpired {
		t.Errorf("%+v", o)
	}
	r.empty()
	if n := r.box.Requests()["SendSms"]; n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestNoRetryPastTheExpiry(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.Retry.InitialInterval, c.Worker.Retry.MaxInterval = 200*time.Millisecond, 400*time.Millisecond
		c.Worker.Retry.MaxAttempts = 1000
	})
	r.fault(sandbox.Fault{Code: "Throttling.User"})
	r.start()
	expires := time.Now().Add(time.Second)
	story := r.story(r.email(1, `,"expiresAt":"`+expires.UTC().Format(time.RFC3339Nano)+`"`))
	last := story[len(story)-1]
	if len(story) < 2 || last.Reason != messages.ReasonExpired || last.Code != "Throttling.User" || !last.At.Before(expires) {
		t.Errorf("%+v", story)
	}
	for _, o := range story[:len(story)-1] {
		if o.Status != messages.StatusRetrying || !o.RetryAt.Before(expires) {
			t.Errorf("%+v, and the code expires at %v", o, expires)
		}
	}
	if n := r.box.Requests()["SingleSendMail"]; n != len(story) {
		t.Errorf("%d requests for %d outcomes", n, len(story))
	}
}

func TestANewerCodeReplacesOneThatWaitsForItsRetry(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) {
		c.Worker.Retry.InitialInterval, c.Worker.Retry.MaxInterval = time.Second, time.Second
	})
	r.fault(sandbox.Fault{Code: "Throttling", Count: 1})
	r.start()
	subject := "codeferry.send.default.sms.SignIn.u"
	r.publish(subject, `{"id":"old","to":"13012345678","type":"SignIn","payload":{"code":"111111"}}`)
	if o := r.next("old"); o.Status != messages.StatusRetrying {
		t.Fatalf("%+v", o)
	}
	r.publish(subject, `{"id":"new","to":"13012345678","type":"SignIn","payload":{"code":"222222"}}`)
	r.story("new")
	r.empty()
	if got := r.box.Inbox(""); len(got) != 1 || got[0].TemplateParam != `{"code":"222222"}` {
		t.Errorf("%+v", got)
	}
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

// TestARouteWithConditions: a message goes by the steps that are for it; one that
// none is for becomes a dead letter, and no provider is asked.
func TestARouteWithConditions(t *testing.T) {
	r := newRig(t, backup, func(c *config.Config) {
		app := c.Apps["default"]
		app.Email = []config.Step{{Connector: "direct-mail", Types: []messages.Type{messages.Register}}, {Connector: "backup", Domains: []string{"example.com"}}}
		mainland := false
		app.SMS[0].Mainland = &mainland
		c.Apps["default"] = app
	})
	r.start()
	r.story(r.email(1, ""))
	if got := r.box.Inbox(""); len(got) != 1 || got[0].AccountName != "backup@mail.example.com" {
		t.Errorf("%+v", got)
	}
	story := r.story(r.sms(1, ""))
	if last := story[len(story)-1]; last.Reason != messages.ReasonMisconfigured || last.Detail != "no step of app default for sms takes this recipient and type" {
		t.Errorf("%+v", last)
	}
	if n := r.box.Requests()["SendSms"]; n != 0 {
		t.Errorf("%d requests", n)
	}
}

func TestTheNextConnectorTakesWhatWasNotAccepted(t *testing.T) {
	for _, c := range []struct {
		code    string
		through string
	}{
		{"Throttling.User", "backup@mail.example.com"},
		{"InvalidMailAddress.NotFound", "backup@mail.example.com"},
		{"Forbidden.RAM", "backup@mail.example.com"},
		// Doubt is never handed on: the first connector may have accepted it.
		{"InternalError", "no-reply@mail.example.com"},
	} {
		t.Run(c.code, func(t *testing.T) {
			r := newRig(t, backup, route("direct-mail", "backup"))
			r.fault(sandbox.Fault{Code: c.code, Count: 1})
			r.start()
			r.story(r.email(1, ""))
			r.empty()
			if got := r.box.Inbox(""); len(got) != 1 || got[0].AccountName != c.through {
				t.Errorf("%+v", got)
			}
			if n := r.box.Requests()["SingleSendMail"]; n != 2 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestTheOperatorsFaultCostsNoAttempt(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 2 })
	r.fault(sandbox.Fault{Code: "isv.AMOUNT_NOT_ENOUGH", Count: 4}, sandbox.Fault{Code: "Throttling", Count: 1})
	r.start()
	story := r.story(r.sms(1, ""))
	if last := story[len(story)-1]; last.Status != messages.StatusSent || last.Attempt != 6 {
		t.Errorf("%+v", story)
	}
}

func TestAttemptsEnd(t *testing.T) {
	for code, want := range map[string]messages.Reason{"Throttling": messages.ReasonUndeliverable, "InternalError": messages.ReasonDoubt} {
		t.Run(code, func(t *testing.T) {
			r := newRig(t, "", func(c *config.Config) { c.Worker.Retry.MaxAttempts = 3 })
			r.fault(sandbox.Fault{Code: code})
			r.start()
			story := r.story(r.email(1, ""))
			if last := story[len(story)-1]; len(story) != 3 || last.Reason != want {
				t.Errorf("%+v", story)
			}
			if d := r.dead(); len(d) != 1 || len(d[0].Attempts) != 3 || d[0].Deliveries != 3 {
				t.Errorf("%+v", d)
			}
			if n := r.box.Requests()["SingleSendMail"]; n != 3 {
				t.Errorf("%d requests", n)
			}
		})
	}
}

func TestOnDoubtDead(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) {
		conn := c.Connectors["direct-mail"]
		conn.OnDoubt = config.Dead
		c.Connectors["direct-mail"] = conn
	})
	r.fault(sandbox.Fault{Drop: sandbox.DropAfter, Count: 1})
	r.start()
	if o := r.story(r.email(1, ""))[0]; o.Reason != messages.ReasonDoubt {
		t.Errorf("%+v", o)
	}
	if n := len(r.box.Inbox("")); n != 1 {
		t.Errorf("%d mails", n)
	}
}

func TestFlowControl(t *testing.T) {
	r := newRig(t, "")
	for window, want := range map[string]messages.Status{
		"触发分钟级流控Permits:1":   messages.StatusRetrying,
		"触发小时级流控Permits:5":   messages.StatusDead,
		"触发天级流控Permits:10":   messages.StatusDead,
		"触发号码天级流控Permits:40": messages.StatusDead,
		"?":                  messages.StatusDead,
	} {
		t.Run(window, func(t *testing.T) {
			r.fault(sandbox.Fault{Code: "isv.BUSINESS_LIMIT_CONTROL", Message: window, Count: 1})
			stop := r.start()
			defer stop()
			id := fmt.Sprintf("limited-%x", window)
			r.publish("codeferry.send.default.sms.SignIn."+id, fmt.Sprintf(`{"id":%q,"to":"13012345678","type":"SignIn","payload":{"code":"123456"}}`, id))
			o := r.next(id)
			if o.Status != want {
				t.Fatalf("%+v", o)
			}
			if want == messages.StatusDead && o.Reason != messages.ReasonLimited {
				t.Errorf("%+v", o)
			}
			if want == messages.StatusRetrying && o.RetryAt.Sub(o.At) != time.Minute {
				t.Errorf("again in %v", o.RetryAt.Sub(o.At))
			}
		})
	}
}

func TestNoWayIsMisconfigured(t *testing.T) {
	r := newRig(t, "", route())
	r.start()
	if o := r.story(r.email(1, ""))[0]; o.Reason != messages.ReasonMisconfigured || !strings.Contains(o.Detail, "app default has no connector for email") {
		t.Errorf("%+v", o)
	}
	r.publish("codeferry.send.other.sms.SignIn.u", `{"id":"x","to":"13012345678","type":"SignIn","payload":{"code":"123456"}}`)
	if o := r.story("x")[0]; o.Reason != messages.ReasonMisconfigured || !strings.Contains(o.Detail, "no app other") {
		t.Errorf("%+v", o)
	}
}

func TestRateLimit(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) {
		conn := c.Connectors["aliyun-sms"]
		conn.RateLimit = 20
		c.Connectors["aliyun-sms"] = conn
	})
	const n = 10
	ids := make([]string, n)
	for i := range ids {
		ids[i] = r.sms(i, "")
	}
	late := r.sms(n, `,"expiresAt":"`+time.Now().Add(100*time.Millisecond).UTC().Format(time.RFC3339Nano)+`"`)
	r.start()
	seen := make(map[string]messages.Outcome)
	for len(seen) < n+1 {
		o := <-r.outcomes
		seen[o.ID] = o
	}
	got := r.box.Inbox("")
	first, last := got[len(got)-1].At, got[0].At
	if took := last.Sub(first); took < (n-3)*time.Second/20 {
		t.Errorf("%d messages took %v at 20 a second", len(got), took)
	}
	if o := seen[late]; o.Status == messages.StatusSent && o.At.Sub(o.StoredAt) > time.Second {
		t.Errorf("a code that was good for 100ms went out: %+v", o)
	}
}

func TestNothingLeaks(t *testing.T) {
	r := newRig(t, "")
	r.start()
	// The provider's words repeat the request.
	const phone, code = "13099887766", "739154"
	for i, f := range []sandbox.Fault{
		{Code: "SignatureDoesNotMatch", Message: "Specified signature does not match, server string to sign is:POST&%2F&PhoneNumbers%3D" + phone + "%26TemplateParam%3D%257B%2522code%2522%253A%2522" + code, Count: 1},
		{Code: "isv.MOBILE_NUMBER_ILLEGAL", Message: "number " + phone + " with code " + code + " refused", Count: 1},
		{Drop: sandbox.DropBefore, Count: 1},
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
	for _, name := range []string{messages.OutcomesName, messages.DeadName, "KV_" + messages.LedgerName} {
		s, err := r.js.Stream(r.ctx(), name)
		if err != nil {
			t.Fatal(err)
		}
		for seq := s.CachedInfo().State.FirstSeq; seq <= s.CachedInfo().State.LastSeq; seq++ {
			m, err := s.GetMsg(r.ctx(), seq)
			if err != nil {
				continue // replaced by a later one
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
			t.Errorf("%s holds %s: %s", where, m, text)
		}
	}
}
