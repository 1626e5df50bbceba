package worker_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/sandbox"
	"github.com/codeferry/codeferry/messages"
)

func sealingKey(t *testing.T) messages.PrivateKey {
	t.Helper()
	k, err := messages.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealWith(keys ...messages.PrivateKey) func(*config.Config) {
	return func(c *config.Config) { c.Sealing.Keys = keys }
}

const sealSubject = "codeferry.send.default.sms.SignIn.sealed-1"

// publishSealed publishes an SMS sealed for a key.
func (r *rig) publishSealed(to messages.PublicKey, id string) {
	r.t.Helper()
	p, err := messages.NewPublisher(r.nc, messages.PublisherOptions{Sealer: messages.NewSealer(to)})
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := p.Publish(r.ctx(), messages.Subject{Channel: messages.SMS, Key: "sealed-1"}, &messages.SendCode{
		ID: id, To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"}, IP: "203.0.113.7",
	}); err != nil {
		r.t.Fatal(err)
	}
}

func TestSealedMessages(t *testing.T) {
	oldKey, newKey, strange := sealingKey(t), sealingKey(t), sealingKey(t)
	r := newRig(t, "", sealWith(newKey, oldKey), func(c *config.Config) { c.Sealing.RequireSealed = true })
	r.start()
	for _, k := range []messages.PrivateKey{newKey, oldKey} { // keys rotate
		r.publishSealed(k.Public(), k.Public().ID())
		if o := r.next(k.Public().ID()); o.Status != messages.StatusSent || o.To != "+86130****5678" || o.Key != "sealed-1" {
			t.Errorf("%+v", o)
		}
	}
	if got := r.box.Inbox(""); len(got) != 2 || got[0].To != "13012345678" || got[0].TemplateParam != `{"code":"482913"}` {
		t.Errorf("%+v", got)
	}

	r.publishSealed(strange.Public(), "strange")
	if o := r.next("strange"); o.Reason != messages.ReasonMisconfigured || !strings.Contains(o.Detail, strange.Public().ID()) {
		t.Errorf("%+v", o)
	}
	id := r.sms(7, "")
	if o := r.next(id); o.Reason != messages.ReasonInvalid || !strings.Contains(o.Detail, "requireSealed") {
		t.Errorf("%+v", o)
	}
	// A box that was moved to another user's message.
	moved, err := messages.NewSealer(newKey.Public()).Seal(sealSubject, &messages.SendCode{ID: "moved", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := moved.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.publish("codeferry.send.default.sms.SignIn.sealed-2", string(body))
	if o := r.next("moved"); o.Reason != messages.ReasonInvalid || !strings.Contains(o.Detail, "sealed for another subject or id") {
		t.Errorf("%+v", o)
	}

	letters := make(map[string]messages.DeadLetter)
	for _, d := range r.dead() {
		letters[d.ID] = d
	}
	if d := letters["strange"]; d.Message == nil || d.Message.Sealed == nil {
		t.Errorf("%+v", d)
	} else if err := messages.NewOpener(strange).Open(d.Subject, d.Message); err != nil || d.Message.Payload.Text("code") != "482913" {
		t.Errorf("%v: %+v", err, d)
	}
	if d := letters["moved"]; d.Message != nil || d.Dropped != messages.DroppedInvalid {
		t.Errorf("%+v", d)
	}
	if n := r.box.Requests()["SendSms"]; n != 2 {
		t.Errorf("%d requests", n)
	}
}

// TestDeadLettersAreSealed: what a plain publisher sent in the clear stands
// nowhere in the clear.
func TestDeadLettersAreSealed(t *testing.T) {
	key := sealingKey(t)
	for name, c := range map[string]struct {
		key     []messages.PrivateKey
		fault   string
		expires time.Duration
		reason  messages.Reason
		dropped messages.Dropped
	}{
		"rejected": {[]messages.PrivateKey{key}, "isv.MOBILE_NUMBER_ILLEGAL", time.Minute, messages.ReasonRejected, ""},
		"no key":   {nil, "isv.MOBILE_NUMBER_ILLEGAL", time.Minute, messages.ReasonRejected, messages.DroppedNoKey},
		"expired":  {[]messages.PrivateKey{key}, "", -time.Second, messages.ReasonExpired, messages.DroppedExpired},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, "", sealWith(c.key...))
			if c.fault != "" {
				r.fault(sandbox.Fault{Code: c.fault})
			}
			r.start()
			expires := time.Now().Add(c.expires).UTC()
			msg := nats.NewMsg("codeferry.send.default.sms.SignIn.dead-1")
			msg.Header.Set(messages.EpochHeader, "3")
			msg.Data, _ = messages.SendCode{
				ID: "dead-1", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "482913"}, IP: "203.0.113.7", ExpiresAt: expires,
				Extra: map[string]json.RawMessage{"backupCode": json.RawMessage(`"731904"`)},
			}.Encode()
			if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
				t.Fatal(err)
			}
			if o := r.next("dead-1"); o.Reason != c.reason || o.Epoch != 3 {
				t.Errorf("%+v", o)
			}
			raw := r.rawDead()
			for _, secret := range []string{"482913", "13012345678", "203.0.113.7", "731904", "backupCode"} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("%s is in %s", secret, raw)
				}
			}
			d := r.dead()[0]
			if d.Epoch != 3 || d.Dropped != c.dropped || d.Message == nil != (c.dropped != "") {
				t.Fatalf("%+v", d)
			}
			if hash, err := key.Lookup("13012345678"); err != nil || (d.ToHash == hash) != (len(c.key) > 0) {
				t.Errorf("%v: its hash is %q", err, d.ToHash)
			}
			if d.Message == nil {
				return
			}
			if err := messages.NewOpener(key).Open(d.Subject, d.Message); err != nil {
				t.Fatal(err)
			}
			if m := d.Message; m.Payload.Text("code") != "482913" || m.IP != "203.0.113.7" || m.To != "+8613012345678" || string(m.Extra["backupCode"]) != `"731904"` || !m.ExpiresAt.Equal(expires) {
				t.Errorf("%#v", m)
			}
		})
	}
}

// rawDead returns the first dead letter as it is stored.
func (r *rig) rawDead() []byte {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx(), messages.DeadName)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := s.GetMsg(r.ctx(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Data
}

// TestAReplayIsAnotherLife: what the ledger knows of a message's first life says
// nothing of its second.
func TestAReplayIsAnotherLife(t *testing.T) {
	r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = config.ClaimsOn })
	r.start()
	send := func(epoch string) {
		t.Helper()
		msg := nats.NewMsg("codeferry.send.default.sms.SignIn.again")
		msg.Header.Set(jetstream.MsgIDHeader, "again."+epoch)
		if epoch != "" {
			msg.Header.Set(messages.EpochHeader, epoch)
		}
		msg.Data = []byte(`{"id":"again","to":"+8613012345678","type":"SignIn","payload":{"code":"482913"}}`)
		if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
			t.Fatal(err)
		}
		if o := r.next("again"); o.Status != messages.StatusSent {
			t.Errorf("epoch %q: %+v", epoch, o)
		}
	}
	send("")
	send("1")
	send("2")
	if n := r.box.Requests()["SendSms"]; n != 3 {
		t.Errorf("%d requests", n)
	}
	if n := r.box.Requests()["QuerySendDetails"]; n != 0 {
		t.Errorf("%d doubts", n)
	}
}
