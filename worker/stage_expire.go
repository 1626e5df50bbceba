package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// expireStage dead-letters a code that has expired: it is never sent.
type expireStage struct {
	now func() time.Time
}

func (s expireStage) handle(_ context.Context, d *delivery) (verdict, bool) {
	now := s.now()
	if !d.expired(now) {
		return pass()
	}
	return decided(tooLate(d, now))
}

// tooLate is the verdict about a code that has expired. Its detail has the last attempt's
// error, which is why the message waited.
func tooLate(d *delivery, now time.Time) verdict {
	detail := fmt.Sprintf("the code expired at %s, %s before its turn",
		d.expiresAt.UTC().Format(time.RFC3339), now.Sub(d.expiresAt).Round(time.Millisecond))
	if last := d.lastAttempt(); last != nil {
		detail += "; the last attempt: " + providerText(&sender.Error{Code: last.Code, Detail: last.Detail})
	}
	return dead(d, messages.ReasonExpired, detail)
}
