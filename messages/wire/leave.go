package wire

import (
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/messages/internal/leave"
)

// A Leaver makes a connection leave a server at which JetStream does not answer, while other
// servers may work, as in a cluster of which one node is cut off. Many goroutines can use it at
// once.
type Leaver = leave.Leaver

// NewLeaver returns a Leaver for a connection. now is the clock. left is called, if it is not nil,
// when the connection leaves a server, with how long JetStream did not answer there.
func NewLeaver(nc *nats.Conn, now func() time.Time, left func(server string, silent time.Duration)) *Leaver {
	return leave.New(nc, now, left)
}
