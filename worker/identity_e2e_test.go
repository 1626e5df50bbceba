package worker_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// accepted returns the codes that the provider has accepted for a number, in their order.
func (r *rig) accepted(number string) map[string]int {
	codes := make(map[string]int)
	for _, m := range r.box.Inbox(number) {
		codes[m.TemplateParam+m.HTMLBody]++
	}
	return codes
}

// TestAnIDUsedAgainIsAnotherMessage: a publisher that gives each code of a session the
// session's id. The second code's request is lost: the provider's answer about the first
// code must not count for the second.
func TestAnIDUsedAgainIsAnotherMessage(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		for name, codes := range map[string][2]string{"another code": {"111111", "222222"}, "the same code": {"111111", "111111"}} {
			t.Run(name, func(t *testing.T) {
				r := newRig(t, "", claims)
				r.start()
				for i, code := range codes {
					if i == 1 {
						r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropBefore, Count: 1})
					}
					r.publish("codeferry.send.default.sms.SignIn.u1", `{"id":"session-1","to":"+8613000000001","type":"SignIn","payload":{"code":"`+code+`"}}`)
					story := r.story("session-1")
					if last := story[len(story)-1]; last.Status != messages.StatusSent {
						t.Errorf("code %d: its last outcome is %s (%s), not sent", i+1, last.Status, last.Detail)
					}
					r.empty()
				}
				want := map[string]int{}
				for _, code := range codes {
					want[`{"code":"`+code+`"}`]++
				}
				if got := r.accepted("13000000001"); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("the provider accepted %v, want %v", got, want)
				}
			})
		}
	})
}

// TestOneIDForTwoMessagesInFlight: a login's code by SMS and by mail, and two apps' codes,
// under one id. The first is in doubt when the second comes; neither uses the other's
// entry in the ledger.
func TestOneIDForTwoMessagesInFlight(t *testing.T) {
	t.Parallel()
	for name, second := range map[string]struct{ subject, to string }{
		"another channel": {"codeferry.send.default.email.SignIn.u1", "u1@example.com"},
		"another app":     {"codeferry.send.other.sms.SignIn.u1", "+8613000000002"},
		"another user":    {"codeferry.send.default.sms.SignIn.u2", "+8613000000002"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClaims(t, func(t *testing.T, claims func(*config.Config)) {
				r := newRig(t, "", claims, inApp("other", "direct-mail"), grace("aliyun-sms", config.Connector{AskGrace: 8 * time.Second}))
				r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 1})
				r.start()
				r.publish("codeferry.send.default.sms.SignIn.u1", `{"id":"login-1","to":"+8613000000001","type":"SignIn","payload":{"code":"111111"}}`)
				if o := r.next("login-1"); o.Status != messages.StatusUnknown {
					t.Fatalf("the first outcome is %s, want unknown", o.Status)
				}
				r.publish(second.subject, fmt.Sprintf(`{"id":"login-1","to":%q,"type":"SignIn","payload":{"code":"111111"}}`, second.to))
				r.empty()
				if n := len(r.box.Inbox("13000000001")); n != 1 {
					t.Errorf("the first message was accepted %d times, want once", n)
				}
				check.Equal(t, "accepted messages, of two publishes", len(r.box.Inbox("")), 2)
			})
		})
	}
}

// TestAStreamMadeAgain: sequences begin at 1 again, and so do the ids of messages that
// have none. No dead letter and no code is mistaken for one of the earlier stream.
func TestAStreamMadeAgain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		to   string
		left func(r *rig) int
	}{
		"dead letters": {"", func(r *rig) int { return len(r.dead()) }},
		"codes":        {"+8613000000001", func(r *rig) int { return len(r.box.Inbox("")) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			withClaims(t, func(t *testing.T, claims func(*config.Config)) {
				r := newRig(t, "", claims)
				for i := range 2 {
					stop := r.start()
					ack := r.publish("codeferry.send.default.sms.SignIn.u1", fmt.Sprintf(`{"to":%q,"type":"SignIn","payload":{"code":"00000%d"}}`, c.to, i))
					r.story(fmt.Sprintf("CODEFERRY-%d", ack.Sequence))
					r.empty()
					stop()
					if i > 0 {
						break
					}
					if err := r.js.DeleteStream(r.ctx(), wire.StreamName); err != nil {
						t.Fatal(err)
					}
					if err := broker.Provision(r.ctx(), r.js, wire.StreamOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				check.Equal(t, "messages left, of two", c.left(r), 2)
			})
		})
	}
}

// TestStatusFindsAnIDThatLooksLikeATime.
func TestStatusFindsAnIDThatLooksLikeATime(t *testing.T) {
	t.Parallel()
	r := newRig(t, "")
	r.start()
	const id = "20261125063310000000000001"
	r.publish("codeferry.send.default.sms.SignIn.u1", `{"id":"`+id+`","to":"+8613912345678","type":"SignIn","payload":{"code":"111111"}}`)
	r.story(id)
	// A listener can receive an outcome before the stream has stored it.
	r.eventually("its outcome can be found", func() bool {
		found := 0
		if err := archive.Outcomes(r.ctx(), r.js, archive.OutcomeFilter{ID: id}, func(messages.Outcome) error { found++; return nil }); err != nil {
			t.Fatal(err)
		}
		return found > 0
	})
}
