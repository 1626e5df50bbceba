package wire

import (
	"errors"
	"strings"

	"github.com/nats-io/nats.go"
)

// Unsent returns an error of a request that was not sent, because there was no connection to
// NATS, in words that say so: the client calls it "outbound buffer limit exceeded". It returns
// any other error unchanged, and nil for nil.
func Unsent(err error) error {
	if !IsUnsent(err) {
		return err
	}
	return unsentError{err}
}

// IsUnsent reports whether an error says that there was no connection to NATS.
func IsUnsent(err error) bool { return errors.Is(err, nats.ErrReconnectBufExceeded) }

type unsentError struct{ cause error }

func (e unsentError) Error() string {
	return strings.ReplaceAll(e.cause.Error(), nats.ErrReconnectBufExceeded.Error(), "there is no connection to NATS")
}

func (e unsentError) Unwrap() error { return e.cause }
