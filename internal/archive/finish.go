package archive

import (
	"context"
	"errors"
)

// Finish returns a context for work that has begun. It does not end when a user interrupts
// ctx, so that the work is finished. It ends with ctx for any other cause, such as a server
// that refuses the requests: no answer would come.
func Finish(ctx context.Context) (context.Context, context.CancelFunc) {
	work, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		if cause := context.Cause(ctx); !errors.Is(cause, context.Canceled) && !errors.Is(cause, context.DeadlineExceeded) {
			cancel(cause)
		}
	})
	return work, func() {
		stop()
		cancel(nil)
	}
}
