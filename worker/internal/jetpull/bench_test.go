package jetpull

import "testing"

// discard is a connection that takes everything.
type discard struct{ fakeConn }

func (*discard) PublishRequest(string, string, []byte) error { return nil }
func (*discard) IsConnected() bool                           { return true }

// BenchmarkAMessage asks for a message and receives it.
func BenchmarkAMessage(b *testing.B) {
	p := newPuller(Options{APIPrefix: "$JS.API.", Stream: testStream, Consumer: testConsumer, AckWait: testAckWait, Slots: 16}, new(discard), testInbox)
	defer p.beat.Stop()
	wanted := func() int { return 1 }
	msg := handedOut(1)
	b.ReportAllocs()
	for b.Loop() {
		p.incoming <- msg
		if _, err := p.Next(b.Context(), nil, wanted); err != nil {
			b.Fatal(err)
		}
	}
}
