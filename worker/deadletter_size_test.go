package worker_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestADeadLetterThatIsTooBig, for codeferry's limit or a lower one of the stream: it is
// stored without the message and says so, the message leaves the stream, and the next one
// is sent.
func TestADeadLetterThatIsTooBig(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		size  int   // of the message's body
		limit int32 // of CODEFERRY_DEAD's messages
	}{
		"sealed, it is more than the design's limit": {size: wire.MaxBody, limit: -1},
		"sealed, it is more than the stream takes":   {size: 4 << 10, limit: 4 << 10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, "", sealWith(sealingKey(t)))
			s, err := r.js.Stream(r.ctx(), wire.DeadName)
			if err != nil {
				t.Fatal(err)
			}
			cfg := s.CachedInfo().Config
			cfg.MaxMsgSize, r.asIs = c.limit, true
			if _, err := r.js.UpdateStream(r.ctx(), cfg); err != nil {
				t.Fatal(err)
			}
			r.fault(fakealiyun.Fault{Action: "SendSms", Code: "isv.MOBILE_NUMBER_ILLEGAL", Count: 1})
			r.start()
			body := `{"id":"big","to":"+8613000000001","type":"SignIn","payload":{"code":"123456","more":"%s"}}`
			body = fmt.Sprintf(body, strings.Repeat("x", c.size-len(body)+len("%s")))
			r.publish("codeferry.send.default.sms.SignIn.big", body)
			o := r.next("big")
			check.Equal(t, "status", o.Status, messages.StatusDead)
			check.Equal(t, "reason", o.Reason, messages.ReasonRejected)
			if t.Failed() {
				t.Fatalf("the log:\n%s", r.log.String())
			}
			d := one(t, "dead letters", r.dead())
			check.Equal(t, "dropped", d.Dropped, messages.DroppedTooBig)
			check.Equal(t, "the message is kept", d.Message != nil, false)
			r.sms(2, "")
			if o := r.next("sms-2"); o.Status != messages.StatusSent {
				t.Errorf("the next message: got the outcome %+v, want sent", o)
			}
			r.empty()
		})
	}
}
