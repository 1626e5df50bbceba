package worker

import (
	"context"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// limit waits until the connector's pace has room. A message whose turn would
// come only after its code has expired does not wait: it makes room instead.
func (l *lane) limit(ctx context.Context, d *delivery, c *connector) (err *sender.Error, ok bool) {
	if c.pace.free() {
		return nil, true
	}
	now := l.opts.Now()
	turn := c.pace.limiter.ReserveN(now, 1)
	wait := turn.DelayFrom(now)
	if !now.Add(wait).Before(d.expiresAt) {
		turn.CancelAt(now)
		return l.failed(d, c, now, 0, &sender.Error{
			Class: sender.Throttled, Code: "RateLimit",
			Detail: fmt.Sprintf("the connector's rate has no room for %s, and the code is not good for so long", wait.Round(time.Millisecond)),
		}), false
	}
	if wait > 0 {
		sleep(ctx, wait)
	}
	if ctx.Err() != nil {
		turn.Cancel()
		return nil, false //nolint:nilerr // the worker stops: nothing has happened to the message
	}
	return nil, true
}
