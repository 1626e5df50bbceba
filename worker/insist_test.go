package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
)

// TestInsist: a question that nobody answers is asked again each second, and the last one has
// the whole time.
func TestInsist(t *testing.T) {
	errOther := errors.New("the consumer is gone")
	// silent asks until its time is over, as a client does.
	silent := func(ctx context.Context) error {
		<-ctx.Done()
		return fmt.Errorf("look: %w", ctx.Err())
	}
	for name, c := range map[string]struct {
		// answers are what each question gets; the last one repeats.
		answers []func(context.Context) error
		ends    time.Duration // when the caller gives up; 0 for 20 s
		asked   int
		took    time.Duration
		want    error
	}{
		"at once":                     {answers: []func(context.Context) error{func(context.Context) error { return nil }}, asked: 1},
		"another error":               {answers: []func(context.Context) error{func(context.Context) error { return errOther }}, asked: 1, want: errOther},
		"an election, then an answer": {answers: []func(context.Context) error{silent, silent, func(context.Context) error { return nil }}, asked: 3, took: 2 * insistEvery},
		"an election, then an error":  {answers: []func(context.Context) error{silent, func(context.Context) error { return errOther }}, asked: 2, took: insistEvery, want: errOther},
		"the client's own time-out":   {answers: []func(context.Context) error{func(context.Context) error { return nats.ErrTimeout }}, asked: insistTries + 1, want: nats.ErrTimeout},
		"a slow server": {answers: []func(context.Context) error{silent, silent, silent, silent, func(ctx context.Context) error {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-time.After(3 * time.Second):
				return nil
			}
		}}, asked: insistTries + 1, took: insistTries*insistEvery + 3*time.Second},
		"nobody ever":         {answers: []func(context.Context) error{silent}, asked: insistTries + 1, took: 20 * time.Second, want: context.DeadlineExceeded},
		"the caller gives up": {answers: []func(context.Context) error{silent}, ends: 1500 * time.Millisecond, asked: 2, took: 1500 * time.Millisecond, want: context.DeadlineExceeded},
	} {
		synctest.Test(t, func(t *testing.T) {
			ends := c.ends
			if ends == 0 {
				ends = 20 * time.Second
			}
			ctx, cancel := context.WithTimeout(t.Context(), ends)
			defer cancel()
			asked, began := 0, time.Now()
			got, err := insist(ctx, func(ctx context.Context) (int, error) {
				answer := c.answers[min(asked, len(c.answers)-1)]
				asked++
				return asked, answer(ctx)
			})
			check.True(t, name+": the error is "+fmt.Sprint(c.want), errors.Is(err, c.want), err)
			check.Equal(t, name+": questions", asked, c.asked)
			check.Equal(t, name+": the answer is that of question", got, asked)
			check.Equal(t, name+": it took", time.Since(began), c.took)
		})
	}
}
