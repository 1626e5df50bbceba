package messages

import (
	"time"

	"github.com/codeferry/codeferry/messages/internal/ulid"
)

// NewID returns a new id for a message made at t. It is a ULID of 26 characters: the first
// ten hold the time in milliseconds, and the rest are random. Ids sort by time. NewID does
// not block.
func NewID(t time.Time) string { return ulid.New(t) }
