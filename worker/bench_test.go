package worker

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

const benchSubject = "codeferry.send.default.sms.SignIn.user-1"

// benchApps has one app with one connector.
func benchApps() map[string]config.App {
	return map[string]config.App{"default": {SMS: []config.Step{{Connector: "sms"}}, CodeTTL: config.DefaultCodeTTL}}
}

func benchMessage(body []byte) *jetpull.Message {
	return &jetpull.Message{
		Subject: benchSubject, Header: nats.Header{"Nats-Msg-Id": {"01JDCT0000000000000000000A"}}, Data: body,
		Sequence: 7, Delivered: 1, StoredAt: time.Now(), Arrived: time.Now(),
	}
}

func benchCode() *messages.SendCode {
	return &messages.SendCode{
		ID: "01JDCT0000000000000000000A", To: "+8613012345678", Type: messages.SignIn,
		Payload: messages.Payload{"code": "123456", "locale": "zh-CN"}, ExpiresAt: time.Now().Add(10 * time.Minute),
	}
}

// benchDelivery returns a message that was opened.
func benchDelivery(b *testing.B) *delivery {
	b.Helper()
	body, err := benchCode().Encode()
	if err != nil {
		b.Fatal(err)
	}
	d := &delivery{msg: benchMessage(body)}
	openStage{channel: messages.SMS, apps: benchApps()}.handle(b.Context(), d)
	return d
}

// BenchmarkOpen decodes and validates a message, and opens it if it is sealed.
func BenchmarkOpen(b *testing.B) {
	key, err := wire.GenerateKey()
	if err != nil {
		b.Fatal(err)
	}
	plain, err := benchCode().Encode()
	if err != nil {
		b.Fatal(err)
	}
	code, err := messages.NewSealer(key.Public()).Seal(benchSubject, benchCode())
	if err != nil {
		b.Fatal(err)
	}
	sealed, err := code.Encode()
	if err != nil {
		b.Fatal(err)
	}
	for name, body := range map[string][]byte{"plain": plain, "sealed": sealed} {
		b.Run(name, func(b *testing.B) {
			s := openStage{channel: messages.SMS, apps: benchApps(), seals: newSeals(config.Sealing{Keys: []wire.PrivateKey{key}})}
			d := &delivery{msg: benchMessage(body)}
			b.ReportAllocs()
			for b.Loop() {
				if s.handle(b.Context(), d); d.wrong != nil {
					b.Fatal(d.wrong)
				}
			}
		})
	}
}

// BenchmarkRoute chooses a message's connectors.
func BenchmarkRoute(b *testing.B) {
	d := benchDelivery(b)
	s := routeStage{routes{channel: messages.SMS, connectors: map[string]*connector{"sms": {name: "sms"}}}}
	b.ReportAllocs()
	for b.Loop() {
		if _, decided := s.handle(b.Context(), d); decided || len(d.chain) != 1 {
			b.Fatal("no way")
		}
	}
}

// BenchmarkProviderID makes a message's name at the provider.
func BenchmarkProviderID(b *testing.B) {
	d := benchDelivery(b)
	b.ReportAllocs()
	for b.Loop() {
		if providerID(d.id, d.msg, d.place) == "" {
			b.Fatal("none")
		}
	}
}

// BenchmarkOutcome makes the outcome of a message that was sent.
func BenchmarkOutcome(b *testing.B) {
	d := benchDelivery(b)
	d.history = []messages.Attempt{{Connector: "sms", At: time.Now(), DurationMS: 3, Class: "ok", RequestID: "R-1"}}
	v := verdict{action: actSent, connector: "sms"}
	v.receipt.ProviderID, v.receipt.RequestID = "B-1", "R-1"
	t := &reporter{channel: messages.SMS, now: time.Now}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(t.outcome(d, v, messages.StatusSent)); err != nil {
			b.Fatal(err)
		}
	}
}
