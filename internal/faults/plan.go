// Package faults holds the promises against faults: real worker processes, real
// nats-server processes, the sandbox as provider, and a plan of kills and
// provider faults that a seed decides. What the provider accepted is held
// against what the stream acknowledged.
package faults

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// Broker is the kind of NATS under the workers.
type Broker string

// The brokers.
const (
	// R1 is one nats-server at its default sync: it forgets delivery counts in a
	// crash, so the workers claim.
	R1 Broker = "r1"
	// Embedded is codeferry's own server, in the worker's process.
	Embedded Broker = "embedded"
	// R3 is a cluster of three.
	R3 Broker = "r3"
)

// Plan is a run: what is published, and what goes wrong meanwhile. The same plan
// makes the same decisions; how they fall in with the machine's timing is its
// own.
type Plan struct {
	Seed   uint64
	Broker Broker
	// Messages is how many are published; half of them by SMS, half by mail.
	Messages int
	// Rate is how many a second.
	Rate int
	// Workers is how many worker processes run; always 1 for Embedded.
	Workers int
	// WorkerKills and NATSKills are how many processes are killed with -9.
	WorkerKills, NATSKills int
	// ProviderFaults is the share of requests that go wrong.
	ProviderFaults float64
	// Slots is each worker's concurrency.
	Slots int
	// Settle bounds the wait for the last messages.
	Settle time.Duration
}

// Short returns a plan of some seconds.
func Short(b Broker, seed uint64) Plan {
	return Plan{
		Seed: seed, Broker: b, Messages: 600, Rate: 150, Workers: 2, WorkerKills: 4, NATSKills: 1,
		ProviderFaults: 0.05, Slots: 8, Settle: time.Minute,
	}
}

// Long returns a plan of some minutes.
func Long(b Broker, seed uint64) Plan {
	return Plan{
		Seed: seed, Broker: b, Messages: 20_000, Rate: 200, Workers: 3, WorkerKills: 32, NATSKills: 6,
		ProviderFaults: 0.05, Slots: 16, Settle: 3 * time.Minute,
	}
}

// String says how to repeat the plan.
func (p Plan) String() string {
	return fmt.Sprintf("seed %d: %s, %d messages at %d/s, %d workers, %d worker kills, %d NATS kills, %.0f%% provider faults",
		p.Seed, p.Broker, p.Messages, p.Rate, p.Workers, p.WorkerKills, p.NATSKills, 100*p.ProviderFaults)
}

func (p Plan) random(stream uint64) *rand.Rand {
	return rand.New(rand.NewPCG(p.Seed, stream)) //nolint:gosec // it has to be repeatable
}

// kill is one process to be killed.
type kill struct {
	at   time.Duration
	nats bool
	// which chooses among the processes of the kind.
	which int
	// down is how long it stays away.
	down time.Duration
}

// kills returns what is killed when, in order, spread over the publishing.
func (p Plan) kills() []kill {
	r := p.random(1)
	length := time.Duration(p.Messages) * time.Second / time.Duration(p.Rate)
	n := p.WorkerKills + p.NATSKills
	all := make([]kill, n)
	for i := range all {
		step := length / time.Duration(n+1)
		all[i] = kill{
			at:    time.Duration(i)*step + step/2 + time.Duration(r.Int64N(int64(step))),
			which: r.IntN(1 << 16),
			down:  time.Duration(r.Int64N(int64(time.Second))),
		}
	}
	for _, i := range r.Perm(n)[:p.NATSKills] {
		all[i].nats = true
	}
	return all
}
