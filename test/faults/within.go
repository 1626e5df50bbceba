package faults

import (
	"context"
	"fmt"
	"time"
)

// tryWait limits one try.
const tryWait = 5 * time.Second

// within repeats f until it succeeds, for at most d.
func within(ctx context.Context, d time.Duration, what string, f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for {
		try, done := context.WithTimeout(ctx, tryWait)
		err := f(try)
		done()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", what, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
