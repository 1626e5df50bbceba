package main

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages"
)

// TestADoubtIsNotHidden: whatever ended the wait for the acknowledgement, the user learns that
// the code may be sent. If NATS refused the code itself, it is not.
func TestADoubtIsNotHidden(t *testing.T) {
	t.Parallel()
	doubt := fmt.Errorf("publish x: %w", messages.ErrInDoubt)
	refused := func(text string) error {
		return &deniedError{cause: fmt.Errorf("%w: Permissions Violation for %s", nats.ErrPermissionViolation, text)}
	}
	for name, tt := range map[string]struct {
		cause error
		doubt bool
	}{
		"Ctrl-C":                     {context.Canceled, true},
		"a refused subscription":     {refused(`Subscription to "_INBOX.x"`), true},
		"another refused publish":    {refused(`Publish to "$JS.API.INFO"`), true},
		"the publish of the code":    {refused(`Publish to "codeferry.send.other.sms.SignIn.u"`), false},
		"the context has not ended ": {nil, true},
	} {
		ctx, cancel := context.WithCancelCause(t.Context())
		if tt.cause != nil {
			cancel(tt.cause)
		}
		if err := explain(ctx, doubt); errors.Is(err, messages.ErrInDoubt) != tt.doubt {
			t.Errorf("%s: error is %v, want a doubt: %v", name, err, tt.doubt)
		}
		cancel(nil)
	}
}
