package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go"
)

// A question to JetStream during an election is lost: nobody answers it, also not later. So a
// question that a message waits for is asked again.
const (
	insistTries = 4
	insistEvery = time.Second
)

// insist asks a few times with a short limit each, and then once with the limit that ask has
// itself, for a server that is slow. It returns the first answer, or the first error other than
// that nobody answered.
func insist[T any](ctx context.Context, ask func(context.Context) (T, error)) (T, error) {
	for range insistTries {
		try, cancel := context.WithTimeout(ctx, insistEvery)
		v, err := ask(try)
		cancel()
		if ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, nats.ErrTimeout) {
			return v, err
		}
	}
	return ask(ctx)
}
