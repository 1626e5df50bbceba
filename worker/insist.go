package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// A question to JetStream during an election is lost: nobody answers it, also not later. So a
// question that a message waits for is asked again, while the earlier ones stay open for a
// server that is only slow.
const (
	insistTries = 5
	insistEvery = time.Second
)

// insist asks once a second, and returns the first answer, or the first error other than that
// nobody answered. It gives up when the last question has waited as long as ask allows itself.
func insist[T any](ctx context.Context, ask func(context.Context) (T, error)) (v T, err error) {
	type answer struct {
		value T
		err   error
	}
	asking, cancel := context.WithCancel(ctx)
	var questions sync.WaitGroup
	defer questions.Wait()
	defer cancel()
	answers := make(chan answer, insistTries)
	begin := func() {
		questions.Go(func() {
			value, err := ask(asking)
			answers <- answer{value, err}
		})
	}
	again := time.NewTicker(insistEvery)
	defer again.Stop()
	begin()
	for begun, open := 1, 1; ; {
		select {
		case <-ctx.Done():
			return v, ctx.Err()
		case a := <-answers:
			open--
			if !unanswered(a.err) || open == 0 && begun == insistTries {
				return a.value, a.err
			}
		case <-again.C:
			if begun < insistTries {
				begun, open = begun+1, open+1
				begin()
			}
		}
	}
}

func unanswered(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout)
}
