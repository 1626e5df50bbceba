package jetpull_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// leader returns the name of the server that hands out the consumer's messages.
func (r *rig) leader() string {
	r.Helper()
	var name string
	natstest.Eventually(r, "the consumer has a leader", func(context.Context) error {
		if name = r.info().Cluster.Leader; name == "" {
			return errors.New("it has none")
		}
		return nil
	})
	return name
}

// stepDown makes another server lead the consumer.
func (r *rig) stepDown() {
	r.Helper()
	before := r.leader()
	answer, err := r.nc.RequestWithContext(natstest.Context(r), r.prefix+"CONSUMER.LEADER.STEPDOWN."+testStream+"."+testConsumer, nil)
	if err != nil {
		r.Fatal(err)
	}
	var result struct {
		Success bool `json:"success"`
	}
	if err := json.Unmarshal(answer.Data, &result); err != nil || !result.Success {
		r.Fatalf("the leader does not step down: %s", answer.Data)
	}
	natstest.Eventually(r, "another server leads the consumer", func(context.Context) error {
		if now := r.leader(); now == before {
			return fmt.Errorf("the leader is still %s", now)
		}
		return nil
	})
}

// TestNextLeaderChange: the requests that were open at the old leader are made again at once,
// even if another one was filled before. The new leader can distinguish them.
func TestNextLeaderChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 3)
	asked := r.requests()
	var wanted atomic.Int64
	pl := r.pull(r.puller(r.nc, 64), func() int { return int(wanted.Load()) })
	ask := func(n int64) {
		t.Helper()
		wanted.Store(n)
		pl.wake <- struct{}{}
		wait(t, "a request", asked)
	}
	for round := range 3 {
		ask(1)
		ask(17)
		wanted.Store(16)
		r.publish(1)
		wait(t, "the first message", pl.messages) // it fills the first request
		for len(asked) > 0 {
			<-asked
		}
		r.stepDown()
		again := wait(t, "the requests after the change", asked)
		if took := expires(t, again); took != jetpull.RequestExpires {
			t.Errorf("the request is kept for %v", took)
		}
		r.publish(16)
		for i := range 16 {
			select {
			case m := <-pl.messages:
				if m.Delivered != 1 {
					t.Errorf("round %d: message %d was handed out %d times", round, m.Sequence, m.Delivered)
				}
			case err := <-pl.ended:
				t.Fatalf("round %d: the pulling ended with %v after %d messages", round, err, i)
			case <-natstest.Context(t).Done():
				t.Fatalf("round %d: %d messages of 16 came", round, i)
			}
		}
		wanted.Store(0)
		natstest.Eventually(t, "no request is open", func(context.Context) error {
			if n := r.info().NumWaiting; n > 0 {
				return fmt.Errorf("%d requests are open", n)
			}
			return nil
		})
	}
}

// expires returns how long the server has to keep a request.
func expires(t *testing.T, request *nats.Msg) time.Duration {
	t.Helper()
	var body struct {
		Expires time.Duration `json:"expires"`
	}
	if err := json.Unmarshal(request.Data, &body); err != nil {
		t.Fatal(err)
	}
	return body.Expires
}

// work pulls as a worker does: after an error it makes a new Puller. It acks each message,
// and ends once it has n different ones.
func (r *rig) work(nc *nats.Conn, n int) {
	r.Helper()
	const slots = 16
	a := r.acker(nc)
	ctx := natstest.Context(r)
	got := make(map[uint64]uint64) // how often each was handed out
	take := func(m *jetpull.Message) {
		if m.Delivered <= got[m.Sequence] {
			r.Errorf("message %d came twice as delivery %d", m.Sequence, m.Delivered)
		}
		got[m.Sequence] = m.Delivered
		a.Ack(m, func(error) {})
	}
	for len(got) < n {
		p := r.puller(nc, slots)
		var err error
		for err == nil && len(got) < n {
			var m *jetpull.Message
			if m, err = p.Next(ctx, nil, func() int { return min(slots, n-len(got)) }); m != nil {
				take(m)
			}
		}
		for _, m := range p.End() {
			take(m)
		}
		if ctx.Err() != nil {
			r.Fatalf("%d messages of %d came; the last error is %v", len(got), n, err)
		}
	}
}

// shortAckWait shortens AckWait: a message that a server was about to send when it ended
// comes again after it.
func (r *rig) shortAckWait() {
	r.config.AckWait = 2 * time.Second
	r.makeConsumer()
}

// TestNextLeaderIsShutDown: messages still come from the other servers.
func TestNextLeaderIsShutDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 3)
	r.shortAckWait()
	leader := r.leader()
	r.nc = r.servers.Connect(r.servers.Other(leader))
	r.js = natstest.JetStream(t, r.nc)
	asked := r.requests()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.work(r.nc, 100)
	}()
	defer func() { <-done }()
	wait(t, "a request", asked)
	r.publish(50)
	r.servers.Server(leader).Shutdown()
	natstest.Eventually(t, "the stream takes messages again", func(ctx context.Context) error {
		_, err := r.js.Publish(ctx, "work.first", nil)
		return err
	})
	r.publish(49)
	wait(t, "all messages", done)
}

// TestNextLameDuckOfOneServer: the connection moves to another server, and messages still come.
func TestNextLameDuckOfOneServer(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 3, func(o *server.Options) {
		o.LameDuckDuration, o.LameDuckGracePeriod = 2*time.Millisecond, time.Millisecond
	})
	r.shortAckWait()
	leader := r.leader()
	other := r.servers.Other(leader)
	r.nc = r.servers.Connect(other)
	r.js = natstest.JetStream(t, r.nc)
	nc, err := nats.Connect(strings.Join([]string{r.servers.Server(leader).ClientURL(), r.servers.Server(other).ClientURL()}, ","),
		nats.DontRandomize(), nats.MaxReconnects(-1), nats.ReconnectWait(10*time.Millisecond), nats.ReconnectJitter(0, 0), nats.ReconnectBufSize(-1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	asked := r.requests()
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.work(nc, 100)
	}()
	defer func() { <-done }()
	wait(t, "a request", asked)
	r.publish(50)
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		r.servers.Server(leader).LameDuckShutdown()
	}()
	natstest.Eventually(t, "the stream takes messages again", func(ctx context.Context) error {
		_, err := r.js.Publish(ctx, "work.first", nil)
		return err
	})
	r.publish(49)
	wait(t, "all messages", done)
	wait(t, "the end of the server", gone)
}

// TestNextOnlyReplicaIsShutDown: the server reports for each request how many
// messages will not come. The Puller ends, and does not report that the consumer was
// deleted.
func TestNextOnlyReplicaIsShutDown(t *testing.T) {
	t.Parallel()
	r := newRig(t, 3, 1)
	home := r.leader()
	r.nc = r.servers.Connect(r.servers.Other(home))
	r.js = natstest.JetStream(t, r.nc)
	asked := r.requests()
	var wanted atomic.Int64
	wanted.Store(8)
	pl := r.pull(r.puller(r.nc, 64), func() int { return int(wanted.Load()) })
	wait(t, "a request", asked)
	wanted.Store(16)
	pl.wake <- struct{}{}
	wait(t, "another request", asked)
	r.servers.Server(home).Shutdown()
	if err := wait(t, "the end of the pulling", pl.ended); errors.Is(err, jetpull.ErrConsumerGone) {
		t.Errorf("the pulling ended with %v", err)
	}
}
