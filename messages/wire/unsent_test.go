package wire_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages/wire"
)

func TestUnsent(t *testing.T) {
	t.Parallel()
	err := wire.Unsent(fmt.Errorf("open the ledger: %w", nats.ErrReconnectBufExceeded))
	if got, want := err.Error(), "open the ledger: there is no connection to NATS"; got != want || !errors.Is(err, nats.ErrReconnectBufExceeded) {
		t.Errorf("got %q, want %q", got, want)
	}
	for _, other := range []error{nil, nats.ErrTimeout} {
		if got := wire.Unsent(other); !errors.Is(got, other) || wire.IsUnsent(got) {
			t.Errorf("%v became %v", other, got)
		}
	}
}
