package worker

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// releaser decides what the ledger keeps of a message that no slot has begun with, at the
// shutdown. What the ledger already has must survive one more delivery.
type releaser struct {
	ledger interface {
		Read(ctx context.Context, r *ledger.Record) (*ledger.Entry, error)
	}
	claims   bool
	suspects suspects
}

func (r releaser) verdict(ctx context.Context, d *delivery) verdict {
	d.identify()
	v := verdict{action: actRelease, why: ledger.WhyNotBegun}
	suspect, _ := r.suspects.suspect(d.place)
	fresh := d.msg.Delivered <= 1 && !suspect
	if fresh && !r.claims {
		v.state = ledger.Released
		return v
	}
	prior, err := r.ledger.Read(ctx, &d.record)
	switch {
	case err != nil:
		return v
	case prior == nil:
		if fresh {
			v.state = ledger.Released
		}
		return v
	case prior.Place != d.place, !r.claims && !prior.OfLastDelivery(&d.record):
		return v // the next delivery decides
	}
	switch prior.State {
	case ledger.Retrying, ledger.Released, ledger.InDoubt, ledger.Panicked:
		d.recall(prior)
		v.state = prior.State
	case ledger.Claimed, ledger.LostWorker, ledger.Sent:
	}
	return v
}

// sleep waits for d or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
