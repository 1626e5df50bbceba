package wire

import (
	"context"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages/internal/inbox"
)

// CheckInbox finds out whether the server permits the connection's inboxes, to which all
// answers come. The error wraps nats.ErrPermissionViolation if the server refuses them; any
// other error says that it did not answer. CheckInbox blocks until the server answers or ctx
// ends; ctx needs a deadline.
func CheckInbox(ctx context.Context, nc *nats.Conn) error { return inbox.Check(ctx, nc) }
