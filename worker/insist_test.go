package worker

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
)

// TestInsist: a question that nobody answers is asked again each second, and a slow answer to an
// earlier one still counts.
func TestInsist(t *testing.T) {
	errOther := errors.New("the consumer is gone")
	// after answers so much later, unless the client gives up first, as it does after 5 s.
	after := func(d time.Duration, err error) func(context.Context) error {
		return func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, apiTimeout)
			defer cancel()
			select {
			case <-ctx.Done():
				return fmt.Errorf("look: %w", ctx.Err())
			case <-time.After(d):
				return err
			}
		}
	}
	lost := after(time.Hour, nil)
	for name, c := range map[string]struct {
		answers []func(context.Context) error // what each question gets; the last one repeats
		ends    time.Duration                 // when the caller gives up; 0 for never
		asked   int64
		took    time.Duration
		want    error
	}{
		"at once":                     {answers: []func(context.Context) error{after(0, nil)}, asked: 1},
		"another error":               {answers: []func(context.Context) error{after(0, errOther)}, asked: 1, want: errOther},
		"an election, then an answer": {answers: []func(context.Context) error{lost, lost, after(0, nil)}, asked: 3, took: 2 * insistEvery},
		"an election, then an error":  {answers: []func(context.Context) error{lost, after(0, errOther)}, asked: 2, took: insistEvery, want: errOther},
		"the client's own time-out":   {answers: []func(context.Context) error{after(0, nats.ErrTimeout)}, asked: insistTries, took: (insistTries - 1) * insistEvery, want: nats.ErrTimeout},
		"a slow server":               {answers: []func(context.Context) error{after(2500*time.Millisecond, nil)}, asked: 3, took: 2500 * time.Millisecond},
		"nobody ever":                 {answers: []func(context.Context) error{lost}, asked: insistTries, took: (insistTries-1)*insistEvery + apiTimeout, want: context.DeadlineExceeded},
		"the caller gives up":         {answers: []func(context.Context) error{lost}, ends: 1500 * time.Millisecond, asked: 2, took: 1500 * time.Millisecond, want: context.Canceled},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.ends > 0 {
				time.AfterFunc(c.ends, cancel)
			}
			var asked atomic.Int64
			began := time.Now()
			_, err := insist(ctx, func(ctx context.Context) (int64, error) {
				n := asked.Add(1)
				return n, c.answers[min(int(n), len(c.answers))-1](ctx)
			})
			check.True(t, name+": the error is "+fmt.Sprint(c.want), errors.Is(err, c.want), err)
			check.Equal(t, name+": questions", asked.Load(), c.asked)
			check.Equal(t, name+": it took", time.Since(began), c.took)
		})
	}
}
