package worker

import (
	"context"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// repeatedStage drops a message whose earlier, equal publish was sent, if the stream may
// have forgotten that publish. Otherwise the stream itself drops the repeated one.
type repeatedStage struct {
	sentBefore func(ctx context.Context, m *jetpull.Message) bool
}

func (s repeatedStage) handle(ctx context.Context, d *delivery) (verdict, bool) {
	if s.sentBefore(ctx, d.msg) {
		return decided(verdict{action: actDone, detail: "it was sent before"})
	}
	return pass()
}
