package worker

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// job is a message on its way to a slot.
type job struct {
	msg *jetpull.Message
	// waited is true if no slot was free when it came.
	waited bool
}

// errAllOpen means that the breaker of every connector of the channel is open. Then
// nothing is pulled, and the messages wait in the stream, where a newer code can supersede
// them.
var errAllOpen = errors.New("the circuit breaker of every connector of the channel is open")

// errHeld means that the keeper allows no pulling at the moment.
var errHeld = errors.New("nothing may be pulled")

// pull asks for messages and hands them to the slots until ctx ends or pulling can't go
// on; the error says why. It puts back the messages that no slot has begun.
func (p *pool) pull(ctx context.Context) error {
	info, err := p.consumer.open(ctx)
	if err != nil {
		return err
	}
	p.opened = time.Now()
	if p.broken {
		p.broken = false
		p.mayHaveForgotten()
	}
	puller, err := jetpull.New(jetpull.Options{
		Conn: p.conn, APIPrefix: p.apiPrefix, Stream: p.stream, Consumer: string(p.channel),
		Created: info.Created, Leader: leaderOf(info), AckWait: p.consumer.ackWait(), Slots: p.slots,
		MaxBatch: info.Config.MaxRequestBatch, MaxExpires: info.Config.MaxRequestExpires,
		Answered: func() {
			p.waitFor(nil)
			p.troubles.ended(p.log)
		},
	})
	if err != nil {
		return err
	}
	if !errors.Is(p.state(), jetpull.ErrRefused) {
		p.waitFor(nil)
	} // otherwise the first answer shows whether the server still refuses
	err = p.pullBy(ctx, puller)
	rest := puller.End()
	if errors.Is(err, jetpull.ErrStalled) {
		return err // another worker may have them by now
	}
	for _, m := range rest {
		p.release(context.WithoutCancel(ctx), m)
	}
	return err
}

// leaderOf returns the server that leads a consumer with replicas, "" without replicas.
func leaderOf(info *jetstream.ConsumerInfo) string {
	if info.Cluster == nil {
		return ""
	}
	return info.Cluster.Leader
}

func (p *pool) pullBy(ctx context.Context, puller *jetpull.Puller) error {
	for {
		if p.allOpen() {
			return errAllOpen
		}
		if p.holds() != nil {
			return errHeld
		}
		m, err := puller.Next(ctx, p.wake, p.wanted)
		if err != nil {
			return err
		}
		if m == nil {
			continue // a slot or a breaker has changed
		}
		if !p.hand(ctx, m) {
			return ctx.Err()
		}
	}
}

// hand gives a message to the next free slot. If ctx ends first, it puts the message back
// and returns false. Until the message is settled, the heartbeat keeps it in progress.
func (p *pool) hand(ctx context.Context, m *jetpull.Message) bool {
	p.inFlight.add(m)
	select {
	case p.work <- job{m, p.free.Load() <= 0}:
		p.free.Add(-1)
		return true
	case <-ctx.Done():
		p.inFlight.remove(m)
		p.release(context.WithoutCancel(ctx), m)
		return false
	}
}

// aheadTime is the time from a request to its message, on a busy machine.
const aheadTime = 2 * time.Millisecond

// wanted returns how many messages to ask for in total: one for each slot that is free or
// will soon be free. If no connector's breaker is closed, it is one at a time.
func (p *pool) wanted() int {
	free, done := int(p.free.Load()), p.done.Load()
	if p.halfOpen() {
		return p.probes(p.slots - free)
	}
	if freed := int(done - p.counted); freed > 0 {
		p.turnover.freed(freed, time.Now())
		p.counted = done
	}
	return free + p.ahead(free)
}

// probes returns how many messages are wanted to try half-open connectors: one, if a
// request may be made and no message is on its way to make it. Requests that wait for
// their answer do not count, however long they wait.
func (p *pool) probes(working int) int {
	may := false
	for _, c := range p.routed {
		_, ok := c.breaker.mayAny(false)
		may = may || ok
		working -= int(c.breaker.requests.Load())
	}
	if !may {
		return 0
	}
	return 1 - max(0, working)
}

// ahead returns how many messages to ask for beyond the free slots: as many as will come
// free until the messages arrive, but at most an eighth of all slots, and only while
// nearly no slot is free.
func (p *pool) ahead(free int) int {
	most := p.slots / 8
	if free >= most {
		return 0
	}
	return min(p.turnover.within(aheadTime, time.Now()), most)
}

// freeSlots counts the free slots, and wakes the pulling goroutine when one more is free.
type freeSlots struct {
	free atomic.Int64
	// done counts the messages that have left a slot.
	done atomic.Int64
	wake chan struct{}
}

func (f *freeSlots) freed() {
	f.free.Add(1)
	f.done.Add(1)
	f.poke()
}

// poke wakes the pulling goroutine after a change.
func (f *freeSlots) poke() {
	select {
	case f.wake <- struct{}{}:
	default: // it will wake already
	}
}

// apiPrefix returns the prefix of JetStream's API, with its final dot.
func apiPrefix(o jetstream.JetStreamOptions) string {
	switch {
	case o.Domain != "":
		return "$JS." + o.Domain + ".API."
	case o.APIPrefix != "":
		return strings.TrimSuffix(o.APIPrefix, ".") + "."
	}
	return jetstream.DefaultAPIPrefix
}
