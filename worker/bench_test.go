package worker

import (
	"encoding/json"
	"io"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
)

// benchLane is a lane without a server, for the stages that need none.
func benchLane(b *testing.B, keys ...messages.PrivateKey) *lane {
	b.Helper()
	cfg := config.Default()
	cfg.Apps = map[string]config.App{"default": {SMS: []config.Step{{Connector: "sms"}}, CodeTTL: config.DefaultCodeTTL}}
	cfg.Sealing.Keys = keys
	w := &Worker{
		opts:       Options{Config: cfg, Metrics: NewMetrics(nil), Log: zerolog.New(io.Discard), Now: time.Now},
		connectors: map[string]*connector{"sms": {name: "sms"}}, seals: newSeals(cfg.Sealing),
	}
	return newLane(w, messages.SMS)
}

const benchSubject = "codeferry.send.default.sms.SignIn.user-1"

func benchMessage(body []byte) (*message, nats.MsgMetadata) {
	msg := nats.NewMsg(benchSubject)
	msg.Header.Set("Nats-Msg-Id", "01JDCT0000000000000000000A")
	msg.Data = body
	return &message{Msg: msg, arrived: time.Now()}, nats.MsgMetadata{Sequence: nats.SequencePair{Stream: 7}, NumDelivered: 1, Timestamp: time.Now()}
}

func benchCode() *messages.SendCode {
	return &messages.SendCode{
		ID: "01JDCT0000000000000000000A", To: "+8613012345678", Type: messages.SignIn,
		Payload: messages.Payload{"code": "123456", "locale": "zh-CN"}, ExpiresAt: time.Now().Add(10 * time.Minute),
	}
}

// benchDelivery is a lane and a message in its hands.
func benchDelivery(b *testing.B) (*lane, *delivery) {
	b.Helper()
	l := benchLane(b)
	body, err := benchCode().Encode()
	if err != nil {
		b.Fatal(err)
	}
	return l, l.read(benchMessage(body))
}

// BenchmarkReceive decodes and validates a message; sealed, it opens it too.
func BenchmarkReceive(b *testing.B) {
	key, err := messages.GenerateKey()
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
			l := benchLane(b, key)
			msg, meta := benchMessage(body)
			b.ReportAllocs()
			for b.Loop() {
				if d := l.read(msg, meta); d.wrong != nil {
					b.Fatal(d.wrong)
				}
			}
		})
	}
}

// BenchmarkRoute chooses a message's connectors.
func BenchmarkRoute(b *testing.B) {
	l, d := benchDelivery(b)
	b.ReportAllocs()
	for b.Loop() {
		if chain, why := l.route(d); len(chain) != 1 {
			b.Fatal(why)
		}
	}
}

// BenchmarkOutcome makes what settle tells of a message that was sent.
func BenchmarkOutcome(b *testing.B) {
	l, d := benchDelivery(b)
	d.history = []messages.Attempt{{Connector: "sms", At: time.Now(), DurationMS: 3, Class: "ok", RequestID: "R-1"}}
	v := verdict{status: messages.StatusSent}
	v.receipt.ProviderID, v.receipt.RequestID = "B-1", "R-1"
	b.ReportAllocs()
	for b.Loop() {
		if _, err := json.Marshal(l.outcome(d, v)); err != nil {
			b.Fatal(err)
		}
	}
}
