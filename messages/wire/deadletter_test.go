package wire_test

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestDeadMsgID: a dead letter's Nats-Msg-Id depends on the stored message, and not on its id
// or the time zone.
func TestDeadMsgID(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 100_000_007, time.UTC)
	letter := messages.DeadLetter{ID: "01JD", Epoch: 2, Sequence: 17, StoredAt: at}
	const same = "dead.17.1795262400100000007"
	for _, c := range []struct {
		name string
		edit func(*messages.DeadLetter)
		same bool
	}{
		{"as it is", func(*messages.DeadLetter) {}, true},
		{"in another zone", func(d *messages.DeadLetter) { d.StoredAt = at.In(time.FixedZone("CST", 8*3600)) }, true},
		{"with another id", func(d *messages.DeadLetter) { d.ID, d.Epoch = "u1", 0 }, true},
		{"at another place", func(d *messages.DeadLetter) { d.Sequence = 18 }, false},
		{"stored a nanosecond later", func(d *messages.DeadLetter) { d.StoredAt = at.Add(1) }, false},
	} {
		d := letter
		c.edit(&d)
		if got := wire.DeadMsgID(&d); (got == same) != c.same {
			t.Errorf("%s: DeadMsgID() = %q; equal to %q: want %t", c.name, got, same, c.same)
		}
	}
}
