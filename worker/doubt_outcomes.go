package worker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nuid"

	"github.com/codeferry/codeferry/messages/wire"
)

// doubtOutcomes stores the outcomes of doubts, and waits for each: the outcomes must show a
// code that may arrive twice, even if this worker dies next.
type doubtOutcomes struct {
	// publish publishes a message once, and returns when the stream has confirmed it.
	publish func(ctx context.Context, msg *nats.Msg) error
}

const (
	// doubtTimeout is how long store tries: longer than a cluster takes to elect a leader.
	doubtTimeout = 10 * time.Second
	// doubtTry is how long the first try waits for its confirmation; each later try waits
	// twice as long. An outcome or its confirmation is lost if the connection is, or if the
	// stream is deleted or elects a leader meanwhile: then nobody answers.
	doubtTry = time.Second
	// doubtPause is the wait after a try that failed at once.
	doubtPause = 300 * time.Millisecond
)

// store stores an outcome. It publishes again until the stream has confirmed the outcome or
// refuses it, or doubtTimeout is over. Once ctx has ended, no try begins but the first.
func (o doubtOutcomes) store(ctx context.Context, subject string, body []byte) error {
	msg := nats.NewMsg(subject)
	msg.Data = body
	msg.Header.Set(jetstream.MsgIDHeader, nuid.Next()) // the stream keeps only one of the tries
	trying, cancel := context.WithTimeout(context.WithoutCancel(ctx), doubtTimeout)
	defer cancel()
	repeating, stop := context.WithTimeout(ctx, doubtTimeout)
	defer stop()
	patience := doubtTry
	for {
		err := o.try(trying, msg, patience)
		if err == nil || isRefusal(err) {
			return err
		}
		if errors.Is(err, context.DeadlineExceeded) {
			err = fmt.Errorf("%s has not confirmed it: %w", wire.OutcomesName, err)
			patience *= 2
		} else {
			sleep(repeating, doubtPause)
		}
		if repeating.Err() != nil || trying.Err() != nil {
			return err
		}
	}
}

// isRefusal reports whether the stream has refused an outcome, and will refuse it again.
func isRefusal(err error) bool {
	api, ok := errors.AsType[*jetstream.APIError](err)
	return ok && api.ErrorCode != wire.CodeClusterNotAvailable && api.ErrorCode != wire.CodeInProcess
}

// try publishes once, and waits for the confirmation.
func (o doubtOutcomes) try(ctx context.Context, msg *nats.Msg, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return o.publish(ctx, msg)
}
