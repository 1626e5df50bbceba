package archive

import (
	"context"
	"errors"
	"testing"
)

func TestFinish(t *testing.T) {
	t.Parallel()
	t.Run("an interruption does not end it", func(t *testing.T) {
		t.Parallel()
		ctx, interrupt := context.WithCancel(t.Context())
		interrupt() // the work begins afterwards, so what Finish does about it has happened
		work, end := Finish(ctx)
		defer end()
		if err := work.Err(); err != nil {
			t.Errorf("the work has ended: %v", err)
		}
	})
	t.Run("another cause ends it", func(t *testing.T) {
		t.Parallel()
		refused := errors.New("refused")
		ctx, refuse := context.WithCancelCause(t.Context())
		work, end := Finish(ctx)
		defer end()
		refuse(refused)
		<-work.Done()
		if cause := context.Cause(work); !errors.Is(cause, refused) {
			t.Errorf("the cause is %v, want %v", cause, refused)
		}
	})
}
