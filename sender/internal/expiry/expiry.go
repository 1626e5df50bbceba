// Package expiry ends all waiting before a message is handed over, at the message's
// NotAfter. NotAfter does not bound the wait for the provider's answer.
package expiry

import (
	"context"
	"errors"
	"time"
)

// ErrExpired means that a message was not handed over because its NotAfter came first.
var ErrExpired = errors.New("the code has expired")

// Over reports whether notAfter has come. Zero never comes.
func Over(notAfter, now time.Time) bool { return !notAfter.IsZero() && !now.Before(notAfter) }

// Bound returns a context that ends at notAfter with the cause ErrExpired. Zero means no
// bound.
func Bound(ctx context.Context, notAfter time.Time) (context.Context, context.CancelFunc) {
	if notAfter.IsZero() {
		return ctx, func() {}
	}
	// The deadline of a time-out has a monotonic reading, so it agrees with its timer even
	// if someone sets the clock.
	return context.WithTimeoutCause(ctx, time.Until(notAfter), ErrExpired)
}

// Ended reports whether notAfter ended a context of Bound, or one derived from it.
func Ended(ctx context.Context) bool {
	if end, ok := ctx.Deadline(); ok && !time.Now().Before(end) {
		<-ctx.Done() // its timer is due; a caller that watches only the deadline can be ahead of it
	}
	return errors.Is(context.Cause(ctx), ErrExpired)
}
