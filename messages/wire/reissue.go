package wire

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/internal/protocol"
)

// The errors of [RequestReissue].
var (
	// ErrNobodyListens: no auth service has subscribed to the app's reissues, or none
	// answered in time.
	ErrNobodyListens = errors.New("no auth service took the request for a new code")
	// ErrReissueRefused: the auth service makes no new code. A [ReissueRefusedError] wraps it.
	ErrReissueRefused = errors.New("the auth service makes no new code")
)

// ReissueRefusedError is the error of a request that the auth service refused. It wraps
// [ErrReissueRefused].
type ReissueRefusedError struct {
	// Reason is the service's answer, as it came.
	Reason string
}

func (e *ReissueRefusedError) Error() string { return ErrReissueRefused.Error() + ": " + e.Reason }

// Unwrap returns ErrReissueRefused.
func (e *ReissueRefusedError) Unwrap() error { return ErrReissueRefused }

// RequestReissue asks an app's auth service for a new code, and waits for its answer. The
// error wraps [ErrNobodyListens] if no answer comes before ctx's deadline, and
// a [ReissueRefusedError] if the service answers that it makes no code.
func RequestReissue(ctx context.Context, nc *nats.Conn, r messages.Reissue) error {
	body, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("ask for a new code: %w", err)
	}
	m, err := nc.RequestWithContext(ctx, reissueSubject(r), body)
	switch {
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, context.DeadlineExceeded):
		return fmt.Errorf("ask for a new code: %w", ErrNobodyListens)
	case err != nil:
		return fmt.Errorf("ask for a new code: %w", err)
	case string(m.Data) != protocol.ReissueDone:
		return fmt.Errorf("ask for a new code: %w", &ReissueRefusedError{string(m.Data)})
	}
	return nil
}

// reissueSubject returns codeferry.reissue.<app>.<channel>.<type>.<key>.
func reissueSubject(r messages.Reissue) string {
	return protocol.ReissuePrefix + r.App + "." + string(r.Channel) + "." + string(r.Type) + "." + r.Key
}
