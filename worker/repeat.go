package worker

import (
	"context"
	"time"
)

// repeat calls f at once, and then at each interval, until ctx ends.
func repeat(ctx context.Context, every time.Duration, f func(context.Context)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		f(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}
