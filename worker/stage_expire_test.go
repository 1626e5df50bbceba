package worker

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestExpire(t *testing.T) {
	for name, c := range map[string]struct {
		left     time.Duration
		suspects []string
		history  []messages.Attempt
		reason   messages.Reason // empty: passed on
		detail   string
	}{
		"good":                             {left: time.Nanosecond},
		"at the very time":                 {left: 0, reason: messages.ReasonExpired, detail: "the code expired at 2026-06-01T12:00:00Z, 0s before its turn"},
		"over":                             {left: -1500 * time.Millisecond, reason: messages.ReasonExpired, detail: "the code expired at 2026-06-01T11:59:58Z, 1.5s before its turn"},
		"over after an attempt":            {left: -time.Second, history: attempts(2, sender.Misconfigured), reason: messages.ReasonExpired, detail: "1s before its turn; the last attempt: E: failed"},
		"over, and it may have been sent":  {left: -time.Second, suspects: []string{"a"}, reason: messages.ReasonDoubt, detail: "connector a may have sent it; since then: the code expired"},
		"over, and any of two may have it": {left: -time.Second, suspects: []string{"a", "b"}, reason: messages.ReasonDoubt, detail: "one of the connectors [a b] may have sent it"},
	} {
		t.Run(name, func(t *testing.T) {
			d := fresh(t)
			d.expiresAt, d.suspects, d.history = noon.Add(c.left), c.suspects, c.history
			v, ok := expireStage{now: atNoon}.handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.reason != "")
			if ok {
				check.Equal(t, "action", v.action, actDead)
			}
			check.Equal(t, "reason", v.reason, c.reason)
			contains(t, "detail", v.detail, c.detail)
		})
	}
}
