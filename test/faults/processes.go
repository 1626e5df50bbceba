package faults

import (
	"context"
	"errors"
	"time"
)

// The faults of processes.
const (
	// WorkerKill and NATSKill kill a process with -9, and start it again.
	WorkerKill Kind = "worker kills"
	NATSKill   Kind = "NATS kills"
	// WorkerStop suspends a worker (SIGSTOP) for longer than AckWait, and then lets it
	// continue with its messages in flight.
	WorkerStop Kind = "worker stops"
	// NodeStop suspends a nats-server (SIGSTOP) for longer than a client stays with a silent
	// one: its connections stay open, and nothing comes on them.
	NodeStop Kind = "NATS node stops"
)

const (
	// nodeStop is how long a NATS node is stopped.
	nodeStop = 45 * time.Second
	// nodeRecovery is the longest time until codes flow again meanwhile: a client leaves a
	// silent server within 30 seconds, and a message that was in flight has to wait for a
	// slot.
	nodeRecovery = 30 * time.Second
)

var processFaults = []fault{
	{
		kind: WorkerKill, moments: soon(WorkerKill), doubts: 1,
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			return r.oneOf(ctx, r.workers, m, WorkerKill, "killed", (*process).kill, (*process).start)
		},
	},
	{
		kind: NATSKill, moments: soon(NATSKill), doubts: 1,
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			victims := r.nats.servers
			if r.plan.Broker == Embedded { // the server runs in the worker
				victims = r.workers
			}
			return r.oneOf(ctx, victims, m, NATSKill, "killed", (*process).kill, (*process).start)
		},
	},
	{
		kind: WorkerStop, moments: forAckWait(WorkerStop), doubts: 1,
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			return r.oneOf(ctx, r.workers, m, WorkerStop, "stopped", (*process).freeze, goOn)
		},
	},
	{
		kind: NodeStop, doubts: everyWorker, recovers: nodeRecovery,
		moments: func(p Plan) []moment { return p.longFaults(NodeStop, nodeStop) },
		fits:    func(p Plan) bool { return p.Broker == R3 }, // the other two have a quorum
		begin: func(ctx context.Context, r *run, _ int, m moment) (func() error, error) {
			return r.oneOf(ctx, r.nats.servers, m, NodeStop, "stopped", (*process).freeze, goOn)
		},
	},
}

func goOn(p *process) error { p.thaw(); return nil }

// oneOf does something to one of the processes: the moment's, or the next one that allows it.
func (r *run) oneOf(ctx context.Context, victims []*process, m moment, k Kind, what string, begin func(*process) bool, end func(*process) error) (func() error, error) {
	var victim *process
	var over func()
	err := within(ctx, patience, "find a process to be "+what, func(context.Context) error {
		for i := range victims {
			which := (m.which + i) % len(victims)
			victim = victims[which]
			if from := time.Now(); begin(victim) {
				over = r.diary.begin(from, k, "%s %d %s", victim.role, which, what)
				return nil
			}
		}
		return errors.New("none runs")
	})
	return func() error { defer over(); return end(victim) }, err
}
