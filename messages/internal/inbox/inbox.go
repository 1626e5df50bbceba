// Package inbox finds out whether a server permits a user to receive answers.
package inbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go"
)

// Check subscribes to one of the connection's inboxes for a moment. A server without that
// permission stores a published message all the same, and its acknowledgement never arrives.
// The error wraps nats.ErrPermissionViolation if the server refuses the subscription. Any
// other error says that the server did not answer. Check blocks until the server answers or
// ctx ends; ctx needs a deadline.
func Check(ctx context.Context, nc *nats.Conn) error {
	subject := nc.NewInbox()
	sub, err := nc.SubscribeSync(subject)
	if err != nil {
		return fmt.Errorf("subscribe to an inbox: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // the connection is closed, or the server forgets it
	if err := nc.FlushWithContext(ctx); err != nil {
		return fmt.Errorf("subscribe to an inbox: %w", err)
	}
	// The server answers in order, so a refusal has arrived.
	if err := nc.LastError(); errors.Is(err, nats.ErrPermissionViolation) && strings.Contains(err.Error(), `"`+subject+`"`) {
		return fmt.Errorf("subscribe to an inbox: %w", err)
	}
	return nil
}
