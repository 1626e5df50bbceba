package faults

import (
	"maps"
	"time"
)

// Short returns a plan of some seconds.
func Short(b Broker, seed uint64) Plan {
	p := Plan{
		Seed: seed, Broker: b, Messages: 600, Rate: 150, Apps: []string{defaultApp, secondApp, slowApp}, SharedIDs: 0.1,
		Workers: 2, Times: Times{
			WorkerKill: 4, NATSKill: 1, WorkerStop: 1, WorkerCut: 1, ConsumerDelete: 2, StreamDelete: 2, SlowApp: 1,
			Forgotten: 1, DeadDelete: 1, OutcomesDelete: 1, Rotation: 1,
		},
		ProviderFaults: 0.05, Latency: 1500 * time.Millisecond, Skew: 2 * time.Second,
		Slots: 8, Settle: time.Minute,
	}
	if b == R1 { // isolation is the same with every broker
		p.Times[SlowApp], p.Lead = 0, 2*p.Latency
		p.Messages += int(p.Lead.Seconds() * float64(p.Rate))
	}
	return p.fit()
}

// Long returns a plan of some minutes.
func Long(b Broker, seed uint64) Plan {
	p := Plan{
		Seed: seed, Broker: b, Messages: 22_000, Rate: 200, Apps: []string{defaultApp, secondApp, slowApp}, SharedIDs: 0.1,
		Workers: 3, Times: Times{
			WorkerKill: 32, NATSKill: 6, WorkerStop: 10, WorkerCut: 10, ConsumerDelete: 20, StreamDelete: 6, SlowApp: 4,
			Forgotten: 8, ConsumerLimit: 8, DeadDelete: 4, OutcomesDelete: 4, Rotation: 6, FullStore: 1,
		},
		ProviderFaults: 0.05, Latency: 5 * time.Second, Lead: 15 * time.Second, Skew: time.Minute,
		Slots: 16, Settle: 3 * time.Minute,
	}
	return p.fit()
}

// neighborTroubles are the faults that should affect nobody else, n of each kind.
func neighborTroubles(n int) Times {
	return Times{BadRecipients: n, Greylisting: n, WrongTemplate: n, EmptyAccount: n, SlowApp: n}
}

// ShortNeighbors returns a plan of some seconds: first, only recipients, domains, a template,
// an account and an app are in trouble; then come faults of the network, an operator and a
// crash, which affect everybody.
func ShortNeighbors(b Broker, seed uint64) Plan {
	p := Plan{
		Seed: seed, Broker: b, Rate: 150, Apps: []string{defaultApp, secondApp, slowApp, postApp}, SharedIDs: 0.1,
		Workers: 2, Times: neighborTroubles(1), Latency: 2 * time.Second, Pause: 3 * time.Second,
		Quiet: 1500 * time.Millisecond, Near: 4 * time.Second, Slots: 16, Settle: time.Minute,
	}
	maps.Copy(p.Times, Times{
		WorkerKill: 1, Forgotten: 1, LedgerDelete: 1, DeadDelete: 1, OutcomesDelete: 1, ConsumerLimit: 1, Rotation: 1,
	})
	return p.lasting(p.Quiet + p.Near + 2*time.Second).fit()
}

// LongNeighbors returns a plan of some minutes, of the same kind.
func LongNeighbors(b Broker, seed uint64) Plan {
	p := ShortNeighbors(b, seed)
	p.Rate, p.Workers, p.Times = 120, 3, neighborTroubles(3)
	p.Latency, p.Quiet, p.Near, p.Settle = 4*time.Second, 15*time.Second, 45*time.Second, 3*time.Minute
	maps.Copy(p.Times, Times{
		WorkerKill: 4, NodeStop: 1, Forgotten: 4, LedgerDelete: 3, DeadDelete: 3, OutcomesDelete: 3, ConsumerLimit: 4, Rotation: 3,
	})
	return p.lasting(p.Quiet + p.Near + 80*time.Second).fit()
}
