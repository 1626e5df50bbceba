package worker

import (
	"context"
	"errors"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// validateStage dead-letters a message that is invalid, or that this worker can't read.
type validateStage struct{}

func (validateStage) handle(_ context.Context, d *delivery) (verdict, bool) {
	switch {
	case d.wrong == nil:
		return pass()
	case errors.Is(d.wrong, wire.ErrNoKey):
		return decided(dead(d, messages.ReasonMisconfigured, d.wrong.Error()+"; give sealing.keys its private key, and replay the dead letter"))
	}
	return decided(dead(d, messages.ReasonInvalid, d.wrong.Error()))
}
