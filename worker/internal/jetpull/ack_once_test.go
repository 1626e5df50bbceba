package jetpull

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
)

// TestAckMany: with many acks at once, and confirmations and time-outs at the same time,
// each done is called exactly once.
func TestAckMany(t *testing.T) {
	t.Parallel()
	const n, each = 8, 500
	a := newAcker(nil)
	a.nc = new(discard)
	var called [n * each]atomic.Int64
	var sayers, answerers sync.WaitGroup
	said := make(chan struct{})
	for i := range n {
		sayers.Go(func() {
			for j := range each {
				a.Ack(&Message{reply: "$JS.ACK.1"}, func(error) { called[i*each+j].Add(1) })
			}
		})
		answerers.Go(func() {
			for j := range uint64(n * each) {
				a.confirmation(&nats.Msg{Subject: fmt.Sprintf("%s%d", a.prefix, j*uint64(i+1))})
			}
		})
	}
	answerers.Go(func() {
		for {
			select {
			case <-said:
				return
			default:
				a.giveUp(time.Now())
			}
		}
	})
	sayers.Wait()
	close(said)
	answerers.Wait()
	a.giveUp(time.Now().Add(time.Hour))
	for i := range called {
		if got := called[i].Load(); got != 1 {
			t.Fatalf("done of ack %d was called %d times", i, got)
		}
	}
}

// TestAckerEnd: End fails the acks that are not confirmed, and no others.
func TestAckerEnd(t *testing.T) {
	t.Parallel()
	a, got := newAcker(new(requests)), new(results)
	a.Ack(&Message{reply: "$JS.ACK.1"}, got.done("first"))
	a.Ack(&Message{reply: "$JS.ACK.2"}, got.done("second"))
	a.confirmation(&nats.Msg{Subject: a.prefix + "1"})
	var err error
	a.Ack(&Message{reply: "$JS.ACK.3"}, func(e error) { err = e })
	a.End()
	a.confirmation(&nats.Msg{Subject: a.prefix + "2"}) // too late
	if got, want := fmt.Sprint(got.list()), "[first: <nil> second: ack a message: no confirmation came: nats: timeout]"; got != want {
		t.Errorf("the first two acks: got %s, want %s", got, want)
	}
	if !errors.Is(err, nats.ErrTimeout) {
		t.Errorf("the third ack: got the error %v, want %v", err, nats.ErrTimeout)
	}
}
