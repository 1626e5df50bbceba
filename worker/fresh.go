package worker

import (
	"context"
	"time"
)

// fresh lets newer messages go first under overload. First in, first out would
// then send every code just before its user gives up, and soon only codes whose
// users have. So a message that is older than the patience, while newer ones
// wait, is put aside for a while; those who came last are served at once, and
// the others with what is left.
//
// Nothing is put aside while there is nobody to go first: a backlog of which all are
// old is worked off as it is.
func (l *lane) fresh(_ context.Context, d *delivery) (verdict, bool) {
	now, patience := l.opts.Now(), l.opts.Config.Worker.Patience
	age := now.Sub(d.storedAt)
	if age <= patience || d.behind <= uint64(len(l.slots)) || now.UnixNano()-l.newest.Load() > int64(patience) || l.aside.Load() >= maxAside {
		return verdict{}, false
	}
	return verdict{status: statusParked, delay: spread(min(max(age/2, asideLeast), asideMost))}, true
}

const (
	// asideLeast and asideMost bound how long a message is put aside.
	asideLeast = 5 * time.Second
	asideMost  = 30 * time.Second
	// maxAside bounds how many messages may be with the workers, in hand or
	// waiting for their retry, for more to be put aside: the server hands out none
	// beyond its MaxAckPending (100 000).
	maxAside = 80_000
)
