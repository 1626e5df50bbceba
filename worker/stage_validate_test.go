package worker

import (
	"errors"
	"fmt"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestValidate(t *testing.T) {
	for name, c := range map[string]struct {
		wrong   error
		inDoubt bool
		reason  messages.Reason
		detail  string
	}{
		"nothing is wrong": {},
		"it can't be sent": {wrong: errors.New("to is empty"), reason: messages.ReasonInvalid, detail: "to is empty"},
		"its key is not here": {
			wrong: fmt.Errorf("open: %w", wire.ErrNoKey), reason: messages.ReasonMisconfigured, detail: "; give sealing.keys its private key, and replay the dead letter",
		},
		"its key is not here, and a worker may have sent it": {
			wrong: wire.ErrNoKey, inDoubt: true, reason: messages.ReasonDoubt, detail: "an earlier worker may have sent it; since then: ",
		},
		"it can't be sent, and a worker may have sent it": {
			wrong: errors.New("to is empty"), inDoubt: true, reason: messages.ReasonDoubt, detail: "an earlier worker may have sent it; since then: to is empty",
		},
	} {
		t.Run(name, func(t *testing.T) {
			d := fresh(t)
			d.wrong, d.inDoubt = c.wrong, c.inDoubt
			v, ok := validateStage{}.handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.wrong != nil)
			if ok {
				check.Equal(t, "action", v.action, actDead)
			}
			check.Equal(t, "reason", v.reason, c.reason)
			contains(t, "detail", v.detail, c.detail)
		})
	}
}
