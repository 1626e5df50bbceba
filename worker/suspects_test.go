package worker_test

import (
	"fmt"
	"maps"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/archive"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/worker"
)

const secondSMS = `
  second-sms:
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
`

// TestAfterALostWorkerTheWholeRouteIsAsked: an old attempt names one connector, and the
// lost worker may have sent it through the other.
func TestAfterALostWorkerTheWholeRouteIsAsked(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		other := fakealiyun.New(fakealiyun.Options{})
		url := serve(t, other)
		r := newRig(t, secondSMS, claims, func(c *config.Config) {
			app := c.Apps["default"]
			app.SMS = []config.Step{{Connector: "aliyun-sms"}, {Connector: "second-sms"}}
			c.Apps["default"] = app
			conn := c.Connectors["second-sms"]
			settings := *conn.Settings.(*aliyunsms.Config)
			settings.Endpoint = url
			conn.Settings = &settings
			c.Connectors["second-sms"] = conn
		})
		r.shortAckWait(500 * time.Millisecond)
		id := r.sms(1, "")
		state, delivery := "unknown", 1
		if r.cfg.Worker.Claims == config.ClaimsOn {
			state, delivery = "claimed", 2
		}
		r.take()
		r.ledger(1, fmt.Sprintf(`{"state":%q,"delivery":%d,"suspects":["aliyun-sms"],"history":[{"connector":"aliyun-sms","at":%q,"durationMs":3,"class":"unknown","code":"SDK.ReadError"}]}`,
			state, delivery, time.Now().UTC().Format(time.RFC3339Nano)))
		r.take() // this worker was throttled by the first, sent it through the second, and died
		s, err := r.cfg.Connectors["second-sms"].Settings.New()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Send(r.ctx(), &sender.Message{ID: worker.ProviderID(id, r.stored(1)), To: "13000000001", TemplateCode: "SMS_2", TemplateParam: `{"code":"123456"}`}); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.story(id)
		r.empty()
		if n := len(r.box.Inbox("")) + len(other.Inbox("")); n != 1 {
			t.Errorf("it was accepted %d times; the first was asked %d times, the second %d times",
				n, r.box.Requests()["QuerySendDetails"], other.Requests()["QuerySendDetails"])
		}
	})
}

// TestADoubtIsDeadForNoOtherReason: a message that may have been sent can't be read any
// more, or has no route any more. The advice of its dead letter does not lead to a second
// send.
func TestADoubtIsDeadForNoOtherReason(t *testing.T) {
	t.Parallel()
	key, fresh := sealingKey(t), sealingKey(t)
	for name, c := range map[string]struct {
		change func(*config.Config)
		lost   bool
	}{
		"its key was rotated away":                     {change: sealWith(fresh)},
		"sealing is required now":                      {change: func(c *config.Config) { c.Sealing.RequireSealed = true }},
		"its app has no route":                         {change: withoutSMS, lost: true},
		"its connector is gone":                        {change: func(c *config.Config) { withoutSMS(c); delete(c.Connectors, "aliyun-sms") }},
		"its key was rotated away and its worker lost": {change: sealWith(fresh), lost: true},
		"its app is gone and its worker lost":          {change: func(c *config.Config) { delete(c.Apps, "default") }, lost: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClaims(t, func(t *testing.T, claims func(*config.Config)) {
				r := newRig(t, "", claims, sealWith(key), grace("aliyun-sms", config.Connector{AskGrace: 10 * time.Second}))
				r.shortAckWait(time.Second)
				publish := func() {
					if name == "sealing is required now" {
						r.publish(sealSubject, `{"id":"sealed-1","to":"+8613012345678","type":"SignIn","payload":{"code":"482913"}}`)
						return
					}
					r.publishSealed(key.Public(), "sealed-1")
				}
				if c.lost {
					publish()
					r.take()
					if r.cfg.Worker.Claims == config.ClaimsOn {
						r.ledger(1, `{"state":"claimed","delivery":1}`)
					}
					r.sendAsADeadWorkerDid("sealed-1", "13012345678", 1)
				} else {
					r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 1})
					stop := r.start()
					publish()
					if o := r.next("sealed-1"); o.Status != messages.StatusUnknown {
						t.Fatalf("the first outcome is %s, want unknown", o.Status)
					}
					stop()
				}
				before := *r.cfg
				changed := before
				changed.Apps, changed.Connectors = maps.Clone(before.Apps), maps.Clone(before.Connectors)
				c.change(&changed)
				r.cfg = &changed
				stop := r.start()
				r.empty()
				stop()
				d := r.dead()
				if len(d) != 1 || d[0].Reason != messages.ReasonDoubt {
					t.Fatalf("%d dead letters, want one for doubt: %+v", len(d), d)
				}
				r.cfg = &before
				if _, err := replay.Run(r.ctx(), r.nc, r.js, replay.Options{Filter: archive.Filter{}}); err != nil {
					t.Fatal(err)
				}
				r.start()
				r.empty()
				if n := len(r.box.Inbox("")); n != 1 {
					t.Errorf("after a plain replay the provider has accepted it %d times", n)
				}
			})
		})
	}
}

func withoutSMS(c *config.Config) {
	app := c.Apps["default"]
	app.SMS = nil
	c.Apps["default"] = app
}
