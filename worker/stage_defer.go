package worker

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// deferStage lets newer messages go first under overload. First in, first out would send
// every code just before its user gives up, and soon only codes of users who have given
// up. So a message that is older than the patience is deferred while newer ones wait: the
// newest are sent at once, the older ones with the remaining slots.
//
// If no newer message waits, none is deferred: a backlog of old messages is sent in its
// order.
type deferStage struct {
	now      func() time.Time
	patience time.Duration
	slots    int
	backlog  *backlog
	spread   spread
}

// Bounds of a deferral.
const (
	deferLeast = 5 * time.Second
	deferMost  = 30 * time.Second
)

func (s deferStage) handle(_ context.Context, d *delivery) (verdict, bool) {
	now := s.now()
	age := now.Sub(d.msg.StoredAt)
	switch {
	case age <= s.patience,
		d.msg.Pending <= uint64(s.slots), //nolint:gosec // slots are more than 0
		now.Sub(s.backlog.newestStored()) > s.patience,
		s.backlog.halfFull():
		return pass()
	}
	return decided(verdict{action: actDefer, delay: s.spread.of(min(max(age/2, deferLeast), deferMost)), detail: "newer codes go first", why: ledger.WhyNewerFirst})
}
