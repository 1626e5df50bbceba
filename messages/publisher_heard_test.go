package messages

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages/internal/leave"
)

// twoServers is a connection to one of two servers. It counts how often it has left one.
type twoServers struct{ left int }

func (c *twoServers) IsConnected() bool      { return true }
func (c *twoServers) ConnectedAddr() string  { return "a" }
func (c *twoServers) Servers() []string      { return []string{"a", "b"} }
func (c *twoServers) Stats() nats.Statistics { return nats.Statistics{Reconnects: uint64(c.left)} }
func (c *twoServers) ForceReconnect() error  { c.left++; return nil }

// TestHeard: which tries make the Publisher leave its server. A caller can give up sooner than a
// try does: what it has waited without an answer counts all the same.
func TestHeard(t *testing.T) {
	nobody := fmt.Errorf("publish: %w", nats.ErrNoResponders)
	for name, c := range map[string]struct {
		ackWait, waited time.Duration
		err             error
		left            int
	}{
		"each try times out":                        {2 * time.Second, 2 * time.Second, context.DeadlineExceeded, 1},
		"nobody answers for the stream":             {2 * time.Second, time.Millisecond, nobody, 1},
		"each caller gives up after half a second":  {2 * time.Second, 500 * time.Millisecond, context.DeadlineExceeded, 1},
		"each caller cancels after half a second":   {2 * time.Second, 500 * time.Millisecond, context.Canceled, 1},
		"each caller gives up at once":              {2 * time.Second, time.Millisecond, context.DeadlineExceeded, 0},
		"each try is short, as the options ask for": {100 * time.Millisecond, 100 * time.Millisecond, context.DeadlineExceeded, 1},
		"the stream refuses each":                   {2 * time.Second, 2 * time.Second, errors.New("refused"), 0},
		"each is acknowledged":                      {2 * time.Second, 2 * time.Second, nil, 0},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				conn := &twoServers{}
				p := &Publisher{opts: PublisherOptions{AckWait: c.ackWait}, leaver: leave.New(conn, time.Now, nil)}
				for end := time.Now().Add(10 * time.Second); time.Now().Before(end); <-time.After(100 * time.Millisecond) {
					begun := time.Now()
					<-time.After(c.waited)
					p.heard(begun, c.err)
				}
				check.Equal(t, "servers that were left", conn.left, c.left)
			})
		})
	}
}
