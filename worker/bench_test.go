package worker

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
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
func benchDelivery(b testing.TB) *delivery {
	b.Helper()
	body, err := benchCode().Encode()
	if err != nil {
		b.Fatal(err)
	}
	d := &delivery{msg: benchMessage(body)}
	openStage{channel: messages.SMS, apps: benchApps()}.handle(b.Context(), d)
	return d
}

// A benchStage is one step of a message's way, without a server.
type benchStage struct {
	name   string
	do     func() error
	allocs float64 // the bound that TestAllocations holds
}

// benchStages returns what a worker does for each message, but for the provider's own part.
func benchStages(b testing.TB) []benchStage {
	b.Helper()
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
	open := openStage{channel: messages.SMS, apps: benchApps(), seals: newSeals(config.Sealing{Keys: []wire.PrivateKey{key}})}
	opens := func(body []byte) func() error {
		d := &delivery{msg: benchMessage(body)}
		return func() error {
			open.handle(b.Context(), d)
			return d.wrong
		}
	}
	d := benchDelivery(b)
	d.history = []messages.Attempt{{Connector: "sms", At: time.Now(), DurationMS: 3, Class: "ok", RequestID: "R-1"}}
	route := routeStage{routes{channel: messages.SMS, connectors: map[string]*connector{"sms": {name: "sms"}}}}
	sent := verdict{action: actSent, connector: "sms"}
	sent.receipt.ProviderID, sent.receipt.RequestID = "B-1", "R-1"
	report := &reporter{channel: messages.SMS, now: time.Now}
	return []benchStage{
		{"open/plain", opens(plain), 21},
		{"open/sealed", opens(sealed), 40},
		{"route", func() error {
			if _, decided := route.handle(b.Context(), d); decided || len(d.chain) != 1 {
				return errors.New("no connector")
			}
			return nil
		}, 2},
		{"provider id", func() error {
			if providerID(d.id, d.msg, d.place) == "" {
				return errors.New("no name at the provider")
			}
			return nil
		}, 2},
		{"outcome", func() error {
			_, err := json.Marshal(report.outcome(d, sent, messages.StatusSent))
			return err
		}, 9},
	}
}

// BenchmarkStage takes a message through each stage.
func BenchmarkStage(b *testing.B) {
	for _, s := range benchStages(b) {
		b.Run(s.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.do(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestAllocations limits the allocations of each stage: a change that adds a fifth fails here.
func TestAllocations(t *testing.T) {
	for _, s := range benchStages(t) {
		check.Allocs(t, s.name, s.allocs, func() {
			if err := s.do(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
