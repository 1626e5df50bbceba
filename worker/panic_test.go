package worker_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// fragile is a connector that panics for one recipient.
type fragile struct {
	sender.Config
	to string
	// in is the method that panics.
	in string
	// left is how many more times it panics.
	left *atomic.Int64
}

func (f fragile) New() (sender.Sender, error) {
	s, err := f.Config.New()
	return fragileSender{s, f}, err
}

type fragileSender struct {
	sender.Sender
	fragile fragile
}

func (f fragileSender) panics(in, to, secret string) {
	if in == f.fragile.in && to == f.fragile.to && f.fragile.left.Add(-1) >= 0 {
		panic(fmt.Errorf("an unexpected answer, to %s: %s", to, secret))
	}
}

func (f fragileSender) Render(m *messages.SendCode) (*sender.Message, error) {
	f.panics("Render", m.To, m.Payload.Text("code"))
	return f.Sender.Render(m)
}

func (f fragileSender) Send(ctx context.Context, m *sender.Message) (sender.Receipt, error) {
	f.panics("Send", m.To, m.HTML+m.TemplateParam)
	return f.Sender.Send(ctx, m)
}

func (f fragileSender) Ask(ctx context.Context, m *sender.Message, since time.Time) (sender.Receipt, bool, error) {
	f.panics("Ask", m.To, m.TemplateParam)
	asker, ok := f.Sender.(sender.Asker)
	if !ok {
		panic("it can't be asked")
	}
	return asker.Ask(ctx, m, since)
}

// TestAPanicCostsTheMessageAnAttempt: the third panic makes the message poison, in any
// stage, so no message is retried for ever. Other messages are sent meanwhile, and nothing
// shows the code or the address.
func TestAPanicCostsTheMessageAnAttempt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		in, to string
		times  int64
		want   messages.Status
	}{
		{"Render", "+8613000000007", 2, messages.StatusSent},
		{"Render", "+8613000000007", 1000, messages.StatusDead},
		{"Send", "13000000007", 2, messages.StatusSent},
		{"Send", "13000000007", 1000, messages.StatusDead},
		{"Ask", "13000000007", 1000, messages.StatusDead},
	} {
		t.Run(fmt.Sprintf("%s, %d times", c.in, c.times), func(t *testing.T) {
			t.Parallel()
			withClaims(t, func(t *testing.T, claims func(*config.Config)) {
				left := new(atomic.Int64)
				left.Store(c.times)
				r := newRig(t, "", claims, func(cfg *config.Config) {
					conn := cfg.Connectors["aliyun-sms"]
					conn.Settings = fragile{conn.Settings, c.to, c.in, left}
					cfg.Connectors["aliyun-sms"] = conn
				})
				if c.in == "Ask" {
					r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropBefore, Count: 1})
				}
				r.start()
				id := r.sms(7, "")
				story := r.story(id)
				last := story[len(story)-1]
				if last.Status != c.want {
					t.Errorf("the last outcome is %s (%s), want %s", last.Status, last.Detail, c.want)
				}
				if last.Status == messages.StatusDead && last.Reason != messages.ReasonPoison {
					t.Errorf("the reason is %s, want poison: %s", last.Reason, last.Detail)
				}
				if tried := c.times - left.Load(); c.want == messages.StatusDead && tried != 3 {
					t.Errorf("it panicked %d times, want 3", tried)
				}
				if o := r.story(r.sms(8, "")); o[len(o)-1].Status != messages.StatusSent {
					t.Errorf("another message's last outcome is %s, want sent", o[len(o)-1].Status)
				}
				r.empty()
				lookFor(t, "the log", r.log.String(), "123456", "13000000007")
				for _, o := range story {
					b, err := json.Marshal(o)
					if err != nil {
						t.Fatal(err)
					}
					lookFor(t, "an outcome", string(b), "123456", "13000000007")
				}
			})
		})
	}
}
