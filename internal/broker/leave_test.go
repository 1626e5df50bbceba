package broker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages/wire"
)

// noted is what a listener was told last.
type noted string

func (n *noted) Answered() { *n = "answered" }

func (n *noted) Silent(begun time.Time) {
	*n = "silent"
	if time.Since(begun) > time.Hour {
		*n = "silent since long ago"
	}
}

// TestWhichErrorsAreSilence: also if Ensure wraps them. A refusal is an answer.
func TestWhichErrorsAreSilence(t *testing.T) {
	for want, errs := range map[noted][]error{
		"answered": {
			nil,
			&UnfitError{[]problem{{text: "stream CODEFERRY is missing", err: context.DeadlineExceeded}}},
			&jetstream.APIError{Code: 503, ErrorCode: 10077, Description: "maximum bytes exceeded"},
			jetstream.ErrStreamNotFound,
			errors.New("nats-server is too old"),
		},
		"silent": {
			context.DeadlineExceeded, nats.ErrTimeout,
			&jetstream.APIError{Code: 503, ErrorCode: wire.CodeClusterNotAvailable, Description: "JetStream system temporarily unavailable"},
			Explain(nats.ErrNoResponders), Explain(jetstream.ErrJetStreamNotEnabled),
		},
		"": { // there is no connection, so there is no answer either
			nats.ErrReconnectBufExceeded, nats.ErrConnectionClosed, nats.ErrDisconnected, nats.ErrConnectionReconnecting,
		},
	} {
		for _, err := range errs {
			if err != nil {
				err = fmt.Errorf("look at stream CODEFERRY: %w", err)
			}
			var l noted
			if got := noting(&l, func(context.Context) error { return err })(t.Context()); !errors.Is(got, err) {
				t.Errorf("%v became %v", err, got)
			}
			check.Equal(t, fmt.Sprint(err), l, want)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	var l noted
	_ = noting(&l, func(context.Context) error { cancel(); return context.DeadlineExceeded })(ctx)
	check.Equal(t, "after the caller has given up", l, "")
}
