package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// inHand is how long a message may be in hand before its attempt, waiting for its
// slot included, for it to be looked at again whether it is the newest of its
// subject. In less a newer one is hardly published, handed out and sent.
const inHand = 20 * time.Millisecond

// overtaken lets go of a message for whose subject a newer one was stored: the
// stream has dropped it already. It looks where that is possible: the message comes
// again, perhaps from a replica that lags behind.
func (l *lane) overtaken(ctx context.Context, d *delivery) (verdict, bool) {
	if d.deliveries <= 1 {
		return verdict{}, false
	}
	return l.lookForNewer(ctx, d)
}

// stillDue asks before an attempt whether the code is still good, and still the
// newest one where that was not known a moment ago.
func (l *lane) stillDue(ctx context.Context, d *delivery) (verdict, bool) {
	if v, expired := l.expire(ctx, d); expired {
		return v, true
	}
	if time.Since(d.received) < inHand {
		return verdict{}, false
	}
	return l.lookForNewer(ctx, d)
}

// lookForNewer asks the stream for the newest message of d's subject. Where the
// stream does not answer, the message is handed back: whether it may be sent is
// not known.
func (l *lane) lookForNewer(ctx context.Context, d *delivery) (verdict, bool) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	newest, err := l.stream.GetLastMsgForSubject(ctx, d.msg.Subject)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return verdict{status: statusOvertaken}, true
	case err != nil:
		return verdict{status: statusParked, delay: handBackDelay}, true
	case newest.Sequence != d.sequence:
		return verdict{status: statusOvertaken}, true
	}
	return verdict{}, false
}
