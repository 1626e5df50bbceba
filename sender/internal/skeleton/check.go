package skeleton

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/sender"
)

// Check asks for a mail that was never sent: a wrong key is refused all the same.
func (c *connector) Check(ctx context.Context) error {
	_, _, err := c.Ask(ctx, &sender.Message{ID: "codeferry-check"}, time.Time{})
	return err
}
