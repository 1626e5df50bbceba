package endtoend_test

import (
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
)

// TestAContradictionIsNoAnswer: if a provider counts messages to a number and lists none, that
// does not mean that the message was not sent. The worker keeps asking, long after the grace,
// and sends nothing again; once the provider lists the message, it counts as sent.
func TestAContradictionIsNoAnswer(t *testing.T) {
	t.Parallel()
	for kind, action := range map[string]string{"aliyun-sms": "SendSms", "aliyun-sms-mas": "SendSmsVerifyCode"} {
		t.Run(kind, func(t *testing.T) {
			t.Parallel()
			it := newSide(t, kind).up(t)
			it.beside += ", askGrace: 200ms"
			counts := `{"Code":"OK","TotalCount":2,"SmsSendDetailDTOs":{"SmsSendDetailDTO":[]},"Model":[]}`
			if err := it.box.SetFaults([]fakealiyun.Fault{
				{Action: action, Drop: fakealiyun.DropAfter, Count: 1},
				{Action: "QuerySendDetails", Body: &counts},
			}); err != nil {
				t.Fatal(err)
			}
			r := run(t, system{routes: map[string][]string{"app": {kind}}, sides: map[string]*side{kind: it}})
			r.send(t, "app", messages.SMS, signIn("told-nothing", mobile))
			if o := r.first(t, "told-nothing"); o.Status != messages.StatusUnknown {
				t.Fatalf("the first outcome is %+v, want unknown", o)
			}
			// The time between two questions doubles: five come in the grace, and two after it.
			const past = 7
			ticks := time.NewTicker(10 * time.Millisecond)
			defer ticks.Stop()
			for deadline := time.Now().Add(patience); it.box.Requests()["QuerySendDetails"] < past; <-ticks.C {
				if n := it.asked(); n > 1 {
					t.Fatalf("%s was called %d times after %d questions", action, n, it.box.Requests()["QuerySendDetails"])
				}
				if time.Now().After(deadline) {
					t.Fatalf("there were only %d questions\n%s", it.box.Requests()["QuerySendDetails"], r.log.String())
				}
			}
			if err := it.box.SetFaults([]fakealiyun.Fault{}); err != nil {
				t.Fatal(err)
			}
			story := r.story(t, "told-nothing")
			if last := story[len(story)-1]; last.Status != messages.StatusSent {
				t.Errorf("the last outcome is %+v, want sent", last)
			}
			if n := it.asked(); n != 1 {
				t.Errorf("%s was called %d times, want once", action, n)
			}
		})
	}
}
