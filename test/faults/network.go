package faults

import (
	"context"
	"sync"
	"time"

	"github.com/codeferry/codeferry/internal/fakes/relay"
)

// The faults of the network.
const (
	// WorkerCut cuts a worker off from NATS for longer than AckWait: its connections are
	// closed, or silently pass nothing.
	WorkerCut Kind = "worker cuts"
	// Forgotten makes the network forget a worker's connections to the providers, as a NAT
	// does when it fails over: they silently pass nothing any more, and new ones work.
	Forgotten Kind = "forgotten connections"
	// NodeCut cuts a NATS node off from the other two: its clients stay connected, but
	// JetStream does not answer there.
	NodeCut Kind = "NATS node cuts"
)

// forgottenRecovery is the longest time until a code is sent whose connection was forgotten: a
// request's time-out, the question and the next attempt, each on a new connection, and the wait
// for a slot.
const forgottenRecovery = 15 * time.Second

// nodeCut is how long a NATS node is cut off: longer than a worker stays with a node whose
// JetStream does not answer.
const nodeCut = 45 * time.Second

var networkFaults = []fault{
	{
		kind: NodeCut, doubts: everyWorker, recovers: nodeRecovery,
		moments: func(p Plan) []moment { return p.longFaults(NodeCut, nodeCut) },
		fits:    func(p Plan) bool { return p.Broker == R3 }, // the other two have a quorum
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			which := m.which % len(r.nats.servers)
			over := r.diary.begin(time.Now(), NodeCut, "NATS node %d cut off from the others", which)
			r.nats.setRoutes(which, relay.Held)
			ctx, back := context.WithCancel(ctx)
			var avoiding sync.WaitGroup
			avoiding.Go(func() { r.avoid(ctx, r.nats.addrs[which]) })
			return func() error {
				back()
				avoiding.Wait()
				r.nats.setRoutes(which, relay.Open)
				over()
				return nil
			}, nil
		},
	},
	{
		kind: WorkerCut, moments: forAckWait(WorkerCut), doubts: 1,
		fits: func(p Plan) bool { return p.Broker != Embedded }, // its server is in its process
		begin: func(_ context.Context, r *run, i int, m moment) (func() error, error) {
			which, state, how := m.which%len(r.ways), relay.Shut, "cut off"
			if (i+int(r.plan.Seed))%2 == 0 {
				state, how = relay.Held, "cut off without a word"
			}
			over := r.diary.begin(time.Now(), WorkerCut, "worker %d %s", which, how)
			r.ways[which].set(state)
			return func() error { r.ways[which].set(relay.Open); over(); return nil }, nil
		},
	},
	{
		kind: Forgotten, moments: withAftermath(Forgotten), doubts: 1, recovers: forgottenRecovery,
		begin: func(_ context.Context, r *run, _ int, m moment) (func() error, error) {
			which := m.which % len(r.workers)
			over := r.diary.begin(time.Now(), Forgotten, "worker %d's connections to the providers forgotten", which)
			r.provider.forget(which)
			return func() error { over(); return nil }, nil
		},
	},
}

// avoid keeps the plan's own connection away from a server until ctx ends: at one that is cut off
// no other fault could be made.
func (r *run) avoid(ctx context.Context, server string) {
	for pause(ctx, 100*time.Millisecond) {
		if r.nc.ConnectedAddr() == server {
			_ = r.nc.ForceReconnect() // it fails only if the connection is closed
		}
	}
}

// way holds a worker's relays: one to each server.
type way []*relay.Relay

// newWay opens relays to servers.
func newWay(servers []string) (way, error) {
	var w way
	for _, s := range servers {
		r, err := relay.New(s)
		if err != nil {
			w.end()
			return nil, err
		}
		w = append(w, r)
	}
	return w, nil
}

func (w way) set(s relay.State) {
	for _, r := range w {
		r.Set(s)
	}
}

func (w way) end() {
	for _, r := range w {
		r.Close()
	}
}
