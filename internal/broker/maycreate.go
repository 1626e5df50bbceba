package broker

import (
	"context"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
)

// AskToCreate finds out whether the server permits this user to create streams, and creates
// none: the request has no configuration, so a server that permits it answers that it is
// wrong. AskToCreate returns nil then. A server that does not permit it does not answer:
// [Target.Denied] hears of it, and can end ctx.
func AskToCreate(ctx context.Context, js jetstream.JetStream) error {
	if _, err := js.Conn().RequestWithContext(ctx, apiSubjects(js.Options().APIPrefix, js.Options().Domain)+"STREAM.CREATE."+wire.StreamName, []byte("no configuration")); err != nil {
		return fmt.Errorf("ask to create %s: %w", wire.StreamName, err)
	}
	return nil
}
