package jetpull

import (
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// discard is a connection that takes everything.
type discard struct{ fakeConn }

func (*discard) PublishRequest(string, string, []byte) error { return nil }
func (*discard) IsConnected() bool                           { return true }

// aMessage returns a function that asks for a message and receives it.
func aMessage(t testing.TB) func() {
	p := newPuller(Options{APIPrefix: "$JS.API.", Stream: testStream, Consumer: testConsumer, AckWait: testAckWait, Slots: 16}, new(discard), testInbox)
	t.Cleanup(func() { p.beat.Stop() })
	wanted := func() int { return 1 }
	msg := handedOut(1)
	return func() {
		p.incoming <- msg
		if _, err := p.Next(t.Context(), nil, wanted); err != nil {
			t.Fatal(err)
		}
	}
}

func BenchmarkAMessage(b *testing.B) {
	do := aMessage(b)
	b.ReportAllocs()
	for b.Loop() {
		do()
	}
}

func TestAllocations(t *testing.T) { check.Allocs(t, "a message", 4, aMessage(t)) }
