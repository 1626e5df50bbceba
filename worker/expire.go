package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// expire dead-letters a code that is no longer good: it is never sent.
func (l *lane) expire(_ context.Context, d *delivery) (verdict, bool) {
	now := l.opts.Now()
	if now.Before(d.expiresAt) {
		return verdict{}, false
	}
	return dead(messages.ReasonExpired, fmt.Sprintf("the code expired at %s, %s before its turn",
		d.expiresAt.UTC().Format(time.RFC3339), now.Sub(d.expiresAt).Round(time.Millisecond))), true
}
