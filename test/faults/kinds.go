package faults

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Kind is a kind of fault. Its text is its name in the diary, the report and -faults.only.
type Kind string

// fault describes a kind of fault: when it comes, what it does, and whom it affects.
type fault struct {
	kind Kind
	// fits reports whether a plan can have it. Default: every plan can.
	fits func(Plan) bool
	// moments returns the times of the fault in a plan, in order.
	moments func(Plan) []moment
	// begin begins the ith fault; the returned function ends it.
	begin func(ctx context.Context, r *run, i int, m moment) (end func() error, err error)
	// troubles reports whether the fault affects a message; no other message may wait
	// because of it. Default: it affects all.
	troubles func(*published) bool
	// recovers limits how long a code may wait that is published during the fault, if the
	// fault affects all. Default: no limit but the plan's end.
	recovers time.Duration
	// doubts is the number of workers whose messages in flight it may put in doubt.
	doubts int
}

// everyWorker is a value of doubts: all workers.
const everyWorker = 100

// faults are all the kinds.
var faults = slices.Concat(processFaults, networkFaults, streamFaults, storeFaults, passwordFaults, neighborFaults)

// faultOf returns the fault of a kind; nil if there is none.
func faultOf(k Kind) *fault {
	for i := range faults {
		if faults[i].kind == k {
			return &faults[i]
		}
	}
	return nil
}

// ParseKinds reads names of kinds of faults, separated by commas.
func ParseKinds(list string) ([]Kind, error) {
	var kinds []Kind
	for name := range strings.SplitSeq(list, ",") {
		k := Kind(strings.TrimSpace(name))
		if faultOf(k) == nil {
			all := make([]string, len(faults))
			for i, f := range faults {
				all[i] = string(f.kind)
			}
			return nil, fmt.Errorf("%q is not a kind of fault; the kinds are %s", k, strings.Join(all, ", "))
		}
		kinds = append(kinds, k)
	}
	return kinds, nil
}

// disturb carries out the plan's faults: those of one kind one after the other, and all kinds
// in parallel. It returns when all faults have ended, or when ctx ends.
func (r *run) disturb(ctx context.Context) error {
	errs := make([]error, len(faults))
	var wg sync.WaitGroup
	for i, f := range faults {
		wg.Go(func() {
			if err := r.carryOut(ctx, f); err != nil {
				errs[i] = fmt.Errorf("%s: %w", f.kind, err)
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}

// carryOut goes through the moments of a kind.
func (r *run) carryOut(ctx context.Context, f fault) error {
	for i, m := range f.moments(r.plan) {
		if !pause(ctx, time.Until(r.began.Add(m.at))) {
			return nil
		}
		end, err := f.begin(ctx, r, i, m)
		if err != nil {
			return err
		}
		pause(ctx, m.lasts)
		if err := end(); err != nil {
			return err
		}
	}
	return nil
}

// pause waits for d; false if ctx ends first.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// done is the end of a fault that is over at once.
func done() error { return nil }
