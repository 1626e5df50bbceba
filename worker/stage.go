package worker

import "context"

// stage is one step of the pipeline. It decides what happens to a message, or passes it on
// to the next stage by returning decided false.
type stage interface {
	handle(ctx context.Context, d *delivery) (v verdict, decided bool)
}

// pass is the return value of a stage that does not decide.
func pass() (verdict, bool) { return verdict{}, false }

// decided is the return value of a stage that decides.
func decided(v verdict) (verdict, bool) { return v, true }
