package broker

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages/wire"
)

// sizeSetting is the setting of the configuration that gives a stream its size.
func sizeSetting(stream string) string {
	switch stream {
	case wire.OutcomesName:
		return "nats.outcomesBytes"
	case wire.DeadName:
		return "nats.deadBytes"
	case wire.LedgerStream:
		return "nats.ledgerBytes"
	}
	return "nats.maxBytes"
}

// sizeGiven is the size that o gives a stream; 0 if it gives none.
func sizeGiven(o wire.StreamOptions, stream string) int64 {
	switch stream {
	case wire.OutcomesName:
		return o.OutcomesBytes
	case wire.DeadName:
		return o.DeadBytes
	case wire.LedgerStream:
		return o.LedgerBytes
	}
	return o.MaxBytes
}

// newSize is the new size of a stream, or 0 if it keeps its size: an existing stream is
// resized only if o gives a size, and made smaller only if no message is lost by that.
func newSize(o wire.StreamOptions, info *jetstream.StreamInfo) int64 {
	given, have := sizeGiven(o, info.Config.Name), info.Config.MaxBytes
	smaller := have <= 0 || given < have
	if given <= 0 || given == have || smaller && info.State.Bytes > uint64(given) {
		return 0
	}
	return given
}

// JetStream's codes for a store that has no room.
var noRoom = []jetstream.ErrorCode{
	10005, // no suitable peers for placement
	10002, // resource limits exceeded for account
	10023, // insufficient resources
	10028, // insufficient memory resources
	10047, // insufficient storage resources available
}

// notClustered is JetStream's code for more than one replica on a server without a
// cluster.
const notClustered jetstream.ErrorCode = 10074

// NoClusterError says that a server without a cluster can't keep several replicas.
type NoClusterError struct {
	Replicas int
	// Cause is the server's error; nil if it was not asked.
	Cause error
}

// Error names the setting.
func (e *NoClusterError) Error() string {
	text := fmt.Sprintf("nats.replicas is %d, but this server is not in a cluster; set it to 1, or let nats.url name a cluster", e.Replicas)
	if e.Cause != nil {
		text += fmt.Sprintf(" (%v)", e.Cause)
	}
	return text
}

// Unwrap returns the server's error.
func (e *NoClusterError) Unwrap() error { return e.Cause }

// sized adds to an error of a store without room which size was wanted, and the setting that
// gives it. An error of a server without a cluster becomes a NoClusterError.
func sized(cfg jetstream.StreamConfig, err error) error {
	var refused *jetstream.APIError
	switch {
	case !errors.As(err, &refused):
		return err
	case refused.ErrorCode == notClustered:
		return &NoClusterError{cfg.Replicas, err}
	case !slices.Contains(noRoom, refused.ErrorCode):
		return err
	}
	each := ""
	if cfg.Replicas > 1 {
		each = fmt.Sprintf(" on each of %d servers", cfg.Replicas)
	}
	return fmt.Errorf("%w; it needs %s%s: make %s smaller, or the store larger", err, size(cfg.MaxBytes), each, sizeSetting(cfg.Name))
}

// size writes a size as the configuration takes it.
func size(n int64) string {
	for _, unit := range []struct {
		name string
		size int64
	}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}} {
		if n >= unit.size && n%unit.size == 0 {
			return fmt.Sprintf("%d%s", n/unit.size, unit.name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}
