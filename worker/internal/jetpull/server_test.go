package jetpull_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// TestNextAndAck: the fields of a message come from the server. A message
// that is acked or terminated leaves the stream once the server has confirmed that.
func TestNextAndAck(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p, a := r.puller(r.nc, 16), r.acker(r.nc)
	defer p.End()
	r.publish(3)
	confirmed := make(chan error, 3)
	done := func(err error) { confirmed <- err }
	for i := range 3 {
		m := r.next(p, 16)
		switch {
		case m.Subject != fmt.Sprintf("work.%d", i), string(m.Data) != "body":
			t.Errorf("message %d is %s %s", i, m.Subject, m.Data)
		case m.Sequence != uint64(i+1), m.Delivered != 1, m.Pending > uint64(2-i): // the server may not have counted them all yet
			t.Errorf("message %d: sequence %d, delivered %d, pending %d", i, m.Sequence, m.Delivered, m.Pending)
		case time.Since(m.StoredAt) > time.Minute, m.Arrived.Before(m.StoredAt), !m.Consumer.Equal(r.info().Created):
			t.Errorf("message %d: stored %v, arrived %v, by the consumer of %v", i, m.StoredAt, m.Arrived, m.Consumer)
		}
		switch i {
		case 0:
			a.Ack(m, done)
		case 1:
			a.Term(m, "rejected", done)
		case 2:
			if err := m.Nak(0); err != nil {
				t.Fatal(err)
			}
			again := r.next(p, 16)
			if again.Sequence != m.Sequence || again.Delivered != 2 {
				t.Errorf("after the nak: sequence %d, delivered %d", again.Sequence, again.Delivered)
			}
			a.Ack(again, done)
		}
		if err := wait(t, "the confirmation", confirmed); err != nil {
			t.Fatal(err)
		}
	}
	s, err := r.js.Stream(natstest.Context(t), testStream)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.CachedInfo().State.Msgs; n != 0 {
		t.Errorf("%d messages are left in the stream", n)
	}
}

// TestInProgress: the server confirms it, and starts its AckWait again.
func TestInProgress(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		t.Run(fmt.Sprintf("R%d", replicas), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, replicas, replicas)
			p, a := r.puller(r.nc, 16), r.acker(r.nc)
			defer p.End()
			r.publish(1)
			m := r.next(p, 16)
			before := m.OwnedUntil()
			a.InProgress(m, testAckWait)
			natstest.Eventually(t, "the message is owned for longer", func(context.Context) error {
				if m.OwnedUntil().Sub(before) > 0 {
					return nil
				}
				return errors.New("it is not")
			})
		})
	}
}

// TestEndLosesNothing: Next or End returns each message that the server sends. A message
// that is sent to nobody comes again only after AckWait, as one in doubt.
func TestEndLosesNothing(t *testing.T) {
	t.Parallel()
	for _, replicas := range []int{1, 3} {
		for _, flow := range []string{"a backlog", "a steady flow"} {
			t.Run(fmt.Sprintf("R%d %s", replicas, flow), func(t *testing.T) {
				r := newRig(t, replicas, replicas)
				if flow == "a backlog" {
					r.publish(10_000)
				} else {
					r.flow()
				}
				const slots, rounds = 256, 12
				got := 0
				for round := range rounds {
					p := r.puller(r.nc, slots)
					for range 1 + round%7 {
						r.next(p, slots)
						got++
					}
					got += len(p.End())
					// No request is open, so the server has sent all messages.
					if granted := int(r.info().Delivered.Consumer); granted != got {
						t.Fatalf("round %d: the server has handed out %d messages, and %d came", round, granted, got)
					}
				}
			})
		}
	}
}

// flow publishes until the test ends.
func (r *rig) flow() {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if _, err := r.js.PublishAsync(fmt.Sprintf("work.%d", i), []byte("body")); err != nil {
				r.Errorf("publish: %v", err)
				return
			}
		}
	}()
	r.Cleanup(func() {
		cancel()
		<-ended
	})
}

// TestEndReturnsTheRest: also messages that Next has not returned yet.
func TestEndReturnsTheRest(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p := r.puller(r.nc, 16)
	r.publish(5)
	r.next(p, 5)
	rest := p.End()
	if len(rest) != 4 {
		t.Fatalf("End returned %d messages, want the 4 that were handed out", len(rest))
	}
	for i, m := range rest {
		if m.Sequence != uint64(i+2) {
			t.Errorf("message %d of the rest has the sequence %d", i, m.Sequence)
		}
		if err := m.Nak(0); err != nil {
			t.Error(err)
		}
	}
	if i := r.info(); i.NumWaiting != 0 {
		t.Errorf("%d requests are still at the server", i.NumWaiting)
	}
}

func TestNextConsumerDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	asked := r.requests()
	pl := r.pull(r.puller(r.nc, 16), func() int { return 16 })
	wait(t, "a request", asked)
	r.deleteConsumer()
	wantError(t, wait(t, "the end of the pulling", pl.ended), jetpull.ErrConsumerGone)
}

// TestNextStreamDeleted: its consumer is deleted with it, and a new
// consumer of the same name is not mistaken for it.
func TestNextStreamDeleted(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	asked := r.requests()
	pl := r.pull(r.puller(r.nc, 16), func() int { return 16 })
	wait(t, "a request", asked)
	if err := r.js.DeleteStream(natstest.Context(t), testStream); err != nil {
		t.Fatal(err)
	}
	err := wait(t, "the end of the pulling", pl.ended)
	if !errors.Is(err, jetpull.ErrConsumerGone) && !errors.Is(err, jetpull.ErrNoLeader) && !errors.Is(err, jetpull.ErrRenew) {
		t.Errorf("the pulling ended with %v", err)
	}
}

// TestNextConsumerMadeAgain: all slots were busy for a while. Before the
// next request the Puller asks about the consumer, and takes nothing from the new one.
func TestNextConsumerMadeAgain(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p := r.puller(r.nc, 16)
	defer p.End()
	r.publish(1)
	r.next(p, 1)
	busy, cancel := context.WithTimeout(t.Context(), 2*jetpull.Unwatched)
	defer cancel()
	if m, err := p.Next(busy, nil, func() int { return 0 }); m != nil || !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("with all slots busy Next returned %v, %v", m, err)
	}
	r.deleteConsumer()
	r.makeConsumer()
	m, err := p.Next(natstest.Context(t), nil, func() int { return 16 })
	if m != nil {
		t.Fatalf("it took message %d from another consumer", m.Sequence)
	}
	wantError(t, err, jetpull.ErrConsumerGone)
	if n := r.info().Delivered.Consumer; n != 0 {
		t.Errorf("the new consumer has handed out %d messages", n)
	}
}

// TestNextSameConsumerAfterAPause: the Puller asks about the consumer, finds that it is the
// same, and goes on.
func TestNextSameConsumerAfterAPause(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p := r.puller(r.nc, 16)
	defer p.End()
	busy, cancel := context.WithTimeout(t.Context(), 2*jetpull.Unwatched)
	defer cancel()
	if _, err := p.Next(busy, nil, func() int { return 0 }); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	r.publish(1)
	if m := r.next(p, 1); m.Sequence != 1 {
		t.Errorf("message %d", m.Sequence)
	}
}

// TestNextRequestExpires: Next does not return for it.
func TestNextRequestExpires(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	asked := r.requests()
	pl := r.pull(r.puller(r.nc, 16), func() int { return 16 })
	first, second := wait(t, "a request", asked), wait(t, "another request", asked)
	if first.Reply == second.Reply {
		t.Errorf("two requests are to be answered on %s", first.Reply)
	}
	r.publish(1)
	wait(t, "a message", pl.messages)
}

// TestNextAfterAReconnect: the server does not answer both the requests
// of the old connection and those of the new one.
func TestNextAfterAReconnect(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	nc := r.servers.Connect("n0")
	asked := r.requests()
	const slots = 16
	for range 3 {
		p := r.puller(nc, slots)
		pl := r.pull(p, func() int { return slots })
		wait(t, "a request", asked)
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		wantError(t, wait(t, "the end of the pulling", pl.ended), jetpull.ErrRenew)
		if rest := p.End(); len(rest) > 0 {
			t.Errorf("%d messages came from an empty stream", len(rest))
		}
		for len(asked) > 0 {
			<-asked
		}
	}
	p, received := r.puller(nc, slots), 0
	defer p.End()
	r.publish(3 * slots)
	for range slots {
		m, err := p.Next(natstest.Context(t), nil, func() int { return slots - received })
		if err != nil {
			t.Fatal(err)
		}
		if received++; m.Delivered != 1 {
			t.Errorf("message %d was handed out %d times", m.Sequence, m.Delivered)
		}
	}
	if i := r.info(); i.NumAckPending != slots || i.NumWaiting != 0 {
		t.Errorf("%d messages were handed out to %d slots, and %d requests are open", i.NumAckPending, slots, i.NumWaiting)
	}
}

// TestNewAPIPrefix: a Puller reaches it by its prefix.
func TestNewAPIPrefix(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1, func(o *server.Options) { o.JetStreamDomain = "hub" })
	r.prefix = "$JS.hub.API."
	r.publish(1)
	p := r.puller(r.nc, 16)
	defer p.End()
	m := r.next(p, 1)
	confirmed := make(chan error, 1)
	r.acker(r.nc).Ack(m, func(err error) { confirmed <- err })
	if err := wait(t, "the confirmation", confirmed); err != nil {
		t.Error(err)
	}
	r.prefix = "$JS.other.API."
	wrong := r.puller(r.nc, 16)
	defer wrong.End()
	if _, err := wrong.Next(natstest.Context(t), nil, func() int { return 1 }); !errors.Is(err, jetpull.ErrNoLeader) {
		t.Errorf("a prefix that nobody answers: %v", err)
	}
}

// TestNextMessageWithAStatus: a message with a Status header is not read as a
// status message.
func TestNextMessageWithAStatus(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	p := r.puller(r.nc, 16)
	defer p.End()
	for _, status := range []string{"100", "404", "408", "409", "418", "503"} {
		msg := nats.NewMsg("work.evil")
		msg.Header.Set("Status", status)
		msg.Header.Set("Description", "Consumer Deleted")
		msg.Header.Set("Nats-Pending-Messages", "16")
		ack, err := r.js.PublishMsg(natstest.Context(t), msg)
		if err != nil {
			t.Fatal(err)
		}
		if m := r.next(p, 16); m.Sequence != ack.Sequence || m.Header.Get("Status") != status {
			t.Errorf("status %s: message %d with the status %s came", status, m.Sequence, m.Header.Get("Status"))
		}
	}
}

// TestNextRefusedBySettings: the error names the setting and says how to fix it.
func TestNextRefusedBySettings(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*jetstream.ConsumerConfig){
		"a request may be of one message": func(c *jetstream.ConsumerConfig) { c.MaxRequestBatch = 1 },
		"a request may stand for 100 ms":  func(c *jetstream.ConsumerConfig) { c.MaxRequestExpires = 100 * time.Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, 1, 1)
			change(&r.config)
			r.makeConsumer()
			p := r.puller(r.nc, 16)
			defer p.End()
			_, err := p.Next(natstest.Context(t), nil, func() int { return 16 })
			if err == nil || !strings.Contains(err.Error(), "Exceeded MaxRequest") || !strings.Contains(err.Error(), "codeferry provision") {
				t.Errorf("Next: got the error %v", err)
			}
		})
	}
}

// TestNextExceededMaxWaiting: the server refuses a request while as many are open as the
// consumer allows. The request is made again, and the messages come.
func TestNextExceededMaxWaiting(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	r.deleteConsumer()
	r.config.MaxWaiting = 1
	r.makeConsumer()
	asked := r.requests()
	var free atomic.Int64
	free.Store(1)
	first := r.pull(r.puller(r.nc, 16), func() int { return int(free.Load()) })
	wait(t, "the first request", asked)
	second := r.pull(r.puller(r.nc, 16), func() int { return 16 })
	for range 4 { // refused, and made again
		wait(t, "a request", asked)
	}
	free.Store(0)
	r.publish(20)
	wait(t, "a message for the first", first.messages)
	wait(t, "a message for the second", second.messages)
}

// TestNextLameDuck: a server that is shut down ends JetStream before its clients. Next returns
// an error, and does not wait for ever.
func TestNextLameDuck(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1, func(o *server.Options) {
		o.LameDuckDuration, o.LameDuckGracePeriod = 2*time.Millisecond, time.Millisecond
	})
	asked := r.requests()
	pl := r.pull(r.puller(r.nc, 16), func() int { return 16 })
	wait(t, "a request", asked)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.servers.Server("n0").LameDuckShutdown()
	}()
	err := wait(t, "the end of the pulling", pl.ended)
	if !errors.Is(err, jetpull.ErrRenew) && !errors.Is(err, jetpull.ErrNoLeader) {
		t.Errorf("the pulling ended with %v", err)
	}
	wait(t, "the end of the server", gone)
}

// TestNewOnAClosedConnection ends the pulling.
func TestNewOnAClosedConnection(t *testing.T) {
	t.Parallel()
	r := newRig(t, 1, 1)
	nc := r.servers.Connect("n0")
	asked := r.requests()
	pl := r.pull(r.puller(nc, 16), func() int { return 16 })
	wait(t, "a request", asked)
	nc.Close()
	wantError(t, wait(t, "the end of the pulling", pl.ended), nats.ErrConnectionClosed)
	if _, err := jetpull.New(jetpull.Options{Conn: nc, AckWait: testAckWait, Slots: 1}); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("a Puller on a closed connection: %v", err)
	}
	if _, err := jetpull.NewAcker(nc, time.Second, time.Now); !errors.Is(err, nats.ErrConnectionClosed) {
		t.Errorf("an Acker on a closed connection: %v", err)
	}
}
