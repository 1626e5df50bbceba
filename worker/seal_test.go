package worker_test

import (
	"bytes"
	"encoding/json"
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

func sealingKey(t *testing.T) wire.PrivateKey {
	t.Helper()
	k, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func sealWith(keys ...wire.PrivateKey) func(*config.Config) {
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
		ID: id, To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "48K913"}, IP: "203.0.113.7",
	}); err != nil {
		r.t.Fatal(err)
	}
}

func TestSealedMessages(t *testing.T) {
	t.Parallel()
	oldKey, newKey, strange := sealingKey(t), sealingKey(t), sealingKey(t)
	r := newRig(t, "", sealWith(newKey, oldKey), func(c *config.Config) { c.Sealing.RequireSealed = true })
	r.start()
	for _, k := range []wire.PrivateKey{newKey, oldKey} { // keys rotate
		r.publishSealed(k.Public(), k.Public().ID())
		o := r.next(k.Public().ID())
		check.Equal(t, "status", o.Status, messages.StatusSent)
		check.Equal(t, "recipient", o.To, "+86130****5678")
		check.Equal(t, "key", o.Key, "sealed-1")
	}
	got := r.box.Inbox("")
	if len(got) != 2 {
		t.Fatalf("%d messages were accepted, want 2", len(got))
	}
	check.Equal(t, "recipient at the provider", got[0].To, "13012345678")
	check.Equal(t, "code at the provider", got[0].TemplateParam, `{"code":"48K913"}`)

	r.publishSealed(strange.Public(), "strange")
	o := r.next("strange")
	check.Equal(t, "reason for an unknown key", o.Reason, messages.ReasonMisconfigured)
	contains(t, "detail for an unknown key", o.Detail, strange.Public().ID())
	id := r.sms(7, "")
	o = r.next(id)
	check.Equal(t, "reason for a plain message", o.Reason, messages.ReasonInvalid)
	contains(t, "detail for a plain message", o.Detail, "requireSealed")
	// The sealed part of a message, moved to another user's message.
	moved, err := messages.NewSealer(newKey.Public()).Seal(sealSubject, &messages.SendCode{ID: "moved", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "48K913"}})
	if err != nil {
		t.Fatal(err)
	}
	body, err := moved.Encode()
	if err != nil {
		t.Fatal(err)
	}
	r.publish("codeferry.send.default.sms.SignIn.sealed-2", string(body))
	o = r.next("moved")
	check.Equal(t, "reason for a moved message", o.Reason, messages.ReasonInvalid)
	contains(t, "detail for a moved message", o.Detail, "sealed for another subject or id")

	letters := make(map[string]messages.DeadLetter)
	for _, d := range r.dead() {
		letters[d.ID] = d
	}
	if d := letters["strange"]; d.Message == nil || d.Message.Sealed == nil {
		t.Errorf("the dead letter of an unknown key has no sealed message: %+v", d)
	} else if err := wire.NewOpener(strange).Open(d.Subject, d.Message); err != nil {
		t.Errorf("the message in the dead letter can't be opened: %v", err)
	} else {
		check.Equal(t, "code in the dead letter", d.Message.Payload.Text("code"), "48K913")
	}
	check.Equal(t, "the moved message is kept", letters["moved"].Message != nil, false)
	check.Equal(t, "dropped, of the moved message", letters["moved"].Dropped, messages.DroppedInvalid)
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 2)
}

// TestDeadLettersAreSealed: a code that was published in plain text is stored nowhere in
// plain text.
func TestDeadLettersAreSealed(t *testing.T) {
	t.Parallel()
	key := sealingKey(t)
	for name, c := range map[string]struct {
		key     []wire.PrivateKey
		fault   string
		expires time.Duration
		reason  messages.Reason
		dropped messages.Dropped
	}{
		"rejected": {[]wire.PrivateKey{key}, "isv.MOBILE_NUMBER_ILLEGAL", time.Minute, messages.ReasonRejected, ""},
		"no key":   {nil, "isv.MOBILE_NUMBER_ILLEGAL", time.Minute, messages.ReasonRejected, messages.DroppedNoKey},
		"expired":  {[]wire.PrivateKey{key}, "", -time.Second, messages.ReasonExpired, messages.DroppedExpired},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", sealWith(c.key...))
			if c.fault != "" {
				r.fault(fakealiyun.Fault{Code: c.fault})
			}
			r.start()
			expires := time.Now().Add(c.expires).UTC()
			msg := nats.NewMsg("codeferry.send.default.sms.SignIn.dead-1")
			msg.Header.Set(wire.EpochHeader, "3")
			msg.Data, _ = messages.SendCode{
				ID: "dead-1", To: "+8613012345678", Type: messages.SignIn, Payload: messages.Payload{"code": "48K913"}, IP: "203.0.113.7", ExpiresAt: expires,
				Extra: map[string]json.RawMessage{"backupCode": json.RawMessage(`"731904"`)},
			}.Encode()
			if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
				t.Fatal(err)
			}
			o := r.next("dead-1")
			check.Equal(t, "reason", o.Reason, c.reason)
			check.Equal(t, "epoch", o.Epoch, 3)
			raw := r.rawDead()
			for _, secret := range []string{"48K913", "13012345678", "203.0.113.7", "731904", "backupCode"} {
				if bytes.Contains(raw, []byte(secret)) {
					t.Errorf("the dead letter shows %s: %s", secret, raw)
				}
			}
			d := r.dead()[0]
			check.Equal(t, "epoch of the dead letter", d.Epoch, 3)
			check.Equal(t, "dropped", d.Dropped, c.dropped)
			check.Equal(t, "the message is kept", d.Message != nil, c.dropped == "")
			if t.Failed() {
				return
			}
			if hash, err := key.Lookup("13012345678"); err != nil || (d.ToHash == hash) != (len(c.key) > 0) {
				t.Errorf("the hash of the address: got %q, with the error %v", d.ToHash, err)
			}
			if d.Message == nil {
				return
			}
			if err := wire.NewOpener(key).Open(d.Subject, d.Message); err != nil {
				t.Fatal(err)
			}
			if m := d.Message; m.Payload.Text("code") != "48K913" || m.IP != "203.0.113.7" || m.To != "+8613012345678" || string(m.Extra["backupCode"]) != `"731904"` || !m.ExpiresAt.Equal(expires) {
				t.Errorf("the opened message is %#v", m)
			}
		})
	}
}

// rawDead returns the first dead letter as it is stored.
func (r *rig) rawDead() []byte {
	r.t.Helper()
	s, err := r.js.Stream(r.ctx(), wire.DeadName)
	if err != nil {
		r.t.Fatal(err)
	}
	m, err := s.GetMsg(r.ctx(), 1)
	if err != nil {
		r.t.Fatal(err)
	}
	return m.Data
}

// TestAReplayIsAnotherLife: the ledger's entry of a message says nothing about its replay.
func TestAReplayIsAnotherLife(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) { c.Worker.Claims = config.ClaimsOn })
	r.start()
	send := func(epoch string) {
		t.Helper()
		msg := nats.NewMsg("codeferry.send.default.sms.SignIn.again")
		msg.Header.Set(jetstream.MsgIDHeader, "again."+epoch)
		if epoch != "" {
			msg.Header.Set(wire.EpochHeader, epoch)
		}
		msg.Data = []byte(`{"id":"again","to":"+8613012345678","type":"SignIn","payload":{"code":"48K913"}}`)
		if _, err := r.js.PublishMsg(r.ctx(), msg); err != nil {
			t.Fatal(err)
		}
		if o := r.next("again"); o.Status != messages.StatusSent {
			t.Errorf("epoch %q: got the outcome %+v", epoch, o)
		}
	}
	send("")
	send("1")
	send("2")
	check.Equal(t, "requests", r.box.Requests()["SendSms"], 3)
	check.Equal(t, "questions about a doubt", r.box.Requests()["QuerySendDetails"], 0)
}
