package jetpull

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestRunOut: how long End waits for the messages that are asked for, and what it
// returns.
func TestRunOut(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		before func(b *bench)
		// after is called when the request expires.
		after func(b *bench)
		took  time.Duration
		rest  int
	}{
		"nothing is asked for":            {func(b *bench) { b.asked = 0 }, nil, 0, 0},
		"all comes":                       {nil, func(b *bench) { b.message(16) }, requestExpires, 16},
		"some comes, the request expires": {nil, func(b *bench) { b.message(3); b.word(1, "408", "Request Timeout", "13") }, requestExpires, 3},
		"the server says nothing":         {nil, nil, endTimeout, 0},
		"the leader changes":              {nil, func(b *bench) { b.word(1, "409", "Leadership Change") }, requestExpires, 0},
		"the consumer is deleted":         {nil, func(b *bench) { b.message(2); b.word(1, "409", "Consumer Deleted") }, requestExpires, 2},
		"the connection is lost":          {func(b *bench) { b.conn.away = true }, nil, 0, 0},
		"the connection comes back":       {nil, func(b *bench) { b.statuses <- nats.CONNECTED }, endTimeout, 0},
		"it came back earlier":            {func(b *bench) { b.statuses <- nats.CONNECTED; _, _ = b.pull(time.Second, 16) }, func(b *bench) { b.message(16) }, requestExpires, 16},
		"the connection is closed":        {func(b *bench) { b.statuses <- nats.CLOSED; _, _ = b.pull(time.Second, 16) }, nil, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(b *bench) {
				b.idle(time.Millisecond, 16)
				if tt.before != nil {
					tt.before(b)
				}
				began := time.Now()
				done := make(chan struct{})
				if tt.after != nil {
					time.AfterFunc(requestExpires, func() { defer close(done); tt.after(b) })
				}
				rest, _ := b.runOut()
				if took := time.Since(began); took != tt.took {
					b.Errorf("it took %v, want %v", took, tt.took)
				}
				if len(rest) != tt.rest {
					b.Errorf("it returned %d messages, want %d", len(rest), tt.rest)
				}
				if tt.after != nil {
					<-done
				}
				if got := b.requested(); len(got) > 1 {
					b.Errorf("asked %v at the end", got[1:])
				}
			})
		})
	}
}

// TestEndAfterAStall: messages that came before the stall are not returned either.
func TestEndAfterAStall(t *testing.T) {
	t.Parallel()
	inBubble(t, func(b *bench) {
		b.statuses = nil
		b.idle(time.Millisecond, 16)
		b.message(1)
		<-time.After(stallAfter(testAckWait) + time.Second)
		if rest := b.End(); len(rest) > 0 {
			b.Errorf("it returned %d messages that may be another worker's", len(rest))
		}
	})
}
