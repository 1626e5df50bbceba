package jetpull_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/natstest"
)

// TestAckOfADeletedConsumer: the consumer was deleted meanwhile.
func TestAckOfADeletedConsumer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p, a := r.puller(r.nc, 16), r.acker(r.nc)
	defer p.End()
	r.publish(1)
	m := r.next(p, 1)
	r.deleteConsumer()
	confirmed := make(chan error, 1)
	a.Ack(m, func(err error) { confirmed <- err })
	if err := wait(t, "the answer", confirmed); !errors.Is(err, nats.ErrNoResponders) {
		t.Errorf("the ack: got the error %v, want %v", err, nats.ErrNoResponders)
	}
}

// TestNakDelay: the message comes again after the nak's delay and not after AckWait,
// even if a heartbeat follows.
func TestNakDelay(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p, a := r.puller(r.nc, 16), r.acker(r.nc)
	defer p.End()
	r.publish(1)
	m := r.next(p, 1)
	const delay = 300 * time.Millisecond
	put := time.Now()
	if err := m.Nak(delay); err != nil {
		t.Fatal(err)
	}
	a.InProgress(m, testAckWait)
	again := r.next(p, 1)
	if took := time.Since(put); took < delay || again.Delivered != 2 {
		t.Errorf("it came again after %v as delivery %d", took, again.Delivered)
	}
	if natstest.Context(t).Err() != nil {
		t.Error("it took as long as AckWait")
	}
}
