package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// supersededStage drops a message if a newer one was stored for its subject: the stream
// has dropped it already. It checks only redeliveries: a first delivery is the newest
// message, since the server has just handed it out.
type supersededStage struct {
	newest newest
}

func (s supersededStage) handle(ctx context.Context, d *delivery) (verdict, bool) {
	if d.msg.Delivered <= 1 {
		return pass()
	}
	return s.newest.check(ctx, d)
}

// newest asks the stream whether a message is still the newest one of its subject.
//
// The stream's leader answers. In a cluster another server may lead the consumer, and hand
// out a message that the stream's leader has not stored yet. So an answer that there is no
// such message counts only once the leader has stored that sequence.
type newest struct {
	// last returns the sequence of a subject's newest message; with an error, 0.
	last func(ctx context.Context, subject string) (uint64, error)
	// reached returns the sequence of the last message that the stream's leader has stored.
	reached func(ctx context.Context) (uint64, error)
	timeout time.Duration
}

// leaderPause is the pause before the stream's leader is asked again, so that it can catch
// up.
const leaderPause = 5 * time.Millisecond

// check drops a message that was superseded. If the stream does not answer, or does not
// have the message in time, the message is deferred: it is not known whether it may be
// sent.
func (n newest) check(ctx context.Context, d *delivery) (verdict, bool) {
	ctx, cancel := context.WithTimeout(ctx, n.timeout)
	defer cancel()
	for reached := false; ; {
		sequence, err := n.last(ctx, d.msg.Subject) // 0 if there is none
		switch {
		case err != nil && !errors.Is(err, jetstream.ErrMsgNotFound):
			return notSaid(err)
		case sequence == d.place.Sequence:
			return pass()
		case sequence > d.place.Sequence:
			return decided(verdict{action: actSuperseded, detail: fmt.Sprintf("message %d superseded it", sequence)})
		case reached: // somebody may also have deleted it
			return decided(verdict{action: actDone, detail: "the stream does not have it any more"})
		}
		stored, err := n.reached(ctx)
		if err != nil {
			return notSaid(err)
		}
		if reached = stored >= d.place.Sequence; !reached {
			sleep(ctx, leaderPause)
			if err := ctx.Err(); err != nil {
				return notSaid(err)
			}
		}
	}
}

func notSaid(err error) (verdict, bool) {
	return decided(verdict{action: actDefer, delay: putBackDelay, detail: "the stream did not say whether a newer code was stored: " + wire.Unsent(err).Error(), why: ledger.WhyStream})
}
