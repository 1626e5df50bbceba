// Package faults tests the promises under faults: with real worker processes, real nats-server
// processes, the sandbox as the provider, and a plan of faults that depends on a seed. It
// compares what the provider accepted with what the stream acknowledged.
//
// plan.go defines a plan, plans.go has the plans, and schedule.go the times of their faults.
// kinds.go lists the kinds of faults; each is in the file of its family: processes.go,
// network.go, streams.go, store.go, passwords.go, neighbors.go. publish.go makes and publishes
// the messages. oracle.go judges what happened to them, lateness.go how long they took, and
// report.go reports both.
package faults

import (
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Broker is the kind of NATS under the workers.
type Broker string

// The brokers.
const (
	// R1 is one nats-server with the default sync: in a crash it forgets delivery counts,
	// so the workers claim.
	R1 Broker = "r1"
	// Embedded is codeferry's own server, in the worker's process.
	Embedded Broker = "embedded"
	// R3 is a cluster of three.
	R3 Broker = "r3"
)

// The apps of the plans, each with its own connectors. App default has the template that is
// wrong at times.
const (
	defaultApp = "default"
	// secondApp's account is empty at times.
	secondApp = "second"
	// slowApp's provider is slow at times.
	slowApp = "slow"
	// postApp's mails go by SMTP.
	postApp = "post"
)

// Plan says what is published, and which faults happen meanwhile. The same plan makes the same
// decisions, but the timing depends on the machine.
//
// The faults of one kind come one after the other, and the kinds run in parallel:
// a worker can be killed while it is cut off, or stopped while the stream is deleted.
//
// A plan requires this of the workers:
//
//   - Never twice and never late hold under all faults, with one exception. Two places
//     record who has had a message: the consumer, which counts deliveries, and the ledger.
//     If both are lost at once, the promise does not hold. So no plan deletes the ledger
//     together with the consumers, the stream or NATS's own memory.
//   - If an operator's max_deliver makes the server give up a message, it is not sent. It
//     becomes a dead letter once its code has expired; no plan waits for that.
//   - Never lost holds for acknowledged messages of the stream that exists at the end. A
//     deleted stream loses its waiting messages. Messages that were accepted
//     before stay accepted, and are not sent again. A publish that is in progress during
//     the delete is given up, not repeated: the stream's duplicate window is lost too, so
//     two copies could not be recognized.
//   - Late depends on clocks. The publishers, the servers and the provider have the right
//     time, and a worker uses its own clock, which may be off by Skew. A worker whose clock
//     is behind considers a code valid for up to Skew too long, so it may send a code that
//     expired less than Skew ago: the skew excuses exactly this. A worker whose clock is
//     ahead makes a dead letter of a code that is valid for less than Skew, and must never
//     send one late. So a request is late if the code has expired by the right clock and by
//     the clock of the worker that sends it.
//   - A code never waits because of somebody else's trouble: of another recipient, domain,
//     template, account or app. This is judged only while no fault goes on that can make
//     everybody wait; lateness.go says how.
type Plan struct {
	Seed   uint64
	Broker Broker
	// Messages is the number of published messages, about half SMS and half mail.
	Messages int
	// Rate is the number of publishes a second.
	Rate int
	// Apps are the apps of the messages, each with its own connectors. Default: only the
	// app default.
	Apps []string
	// SharedIDs is the share of messages that have the id of an earlier message: of
	// another app or channel, or of the same user.
	SharedIDs float64
	// Workers is the number of worker processes; always 1 for Embedded.
	Workers int
	// Times is how often each kind of fault comes. Default of a kind: never.
	Times Times
	// ProviderFaults is the share of all requests that fail.
	ProviderFaults float64
	// Latency is how long the provider of app slow takes while it is slow. If a code of
	// another app waits that long, it has waited because of app slow.
	Latency time.Duration
	// Quiet is the time without faults at the beginning. Later times of codes are compared
	// with those of this time.
	Quiet time.Duration
	// Lead is the time after that, in which the only fault is that app slow is slow.
	Lead time.Duration
	// Near is the time after that, with only faults that should affect nobody else; the
	// others come afterwards. Default: both come until the end.
	Near time.Duration
	// Skew is how far a worker's clock is off: ahead or behind, as the seed decides. Of
	// three workers, one is ahead, one behind and one right. A single worker is right.
	Skew time.Duration
	// Pause is how long a connector's circuit breaker stays open. Default: 500ms.
	Pause time.Duration
	// Slots is each worker's concurrency.
	Slots int
	// Settle limits the wait for the last messages.
	Settle time.Duration
}

// Times is how often each kind of fault comes.
type Times map[Kind]int

// lasting returns the plan with enough messages to publish for d.
func (p Plan) lasting(d time.Duration) Plan {
	p.Messages = int(d.Seconds() * float64(p.Rate))
	return p
}

// WithoutLead returns the plan without its lead.
func (p Plan) WithoutLead() Plan {
	p.Messages -= int(p.Lead.Seconds() * float64(p.Rate))
	p.Lead = 0
	return p
}

// Without returns the plan without some kinds of faults.
func (p Plan) Without(kinds ...Kind) Plan {
	p.Times = maps.Clone(p.Times)
	for _, k := range kinds {
		delete(p.Times, k)
	}
	return p
}

// Only returns the plan with only some kinds of faults, each as often as in the plan, or once
// if the plan has none. They go on until the end.
func (p Plan) Only(kinds ...Kind) Plan {
	times := make(Times)
	for _, k := range kinds {
		times[k] = max(1, p.Times[k])
	}
	p.Times = times
	if !slices.Contains(kinds, ProviderFault) {
		p.ProviderFaults = 0
	}
	if !slices.Contains(kinds, SlowApp) {
		p = p.WithoutLead()
	}
	p.Near = 0
	return p.fit()
}

// fit removes the faults that do not fit the plan's broker and apps.
func (p Plan) fit() Plan {
	if p.Broker == Embedded {
		p.Workers = 1
	}
	if p.Workers < 2 {
		p.Skew = 0
	}
	if len(p.Apps) == 0 {
		p.Apps = []string{defaultApp}
	}
	if p.Pause == 0 {
		p.Pause = 500 * time.Millisecond
	}
	times := make(Times)
	for _, f := range faults {
		if n := p.Times[f.kind]; n > 0 && (f.fits == nil || f.fits(p)) {
			times[f.kind] = n
		}
	}
	p.Times = times
	return p
}

// String says how to repeat the plan.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d: %s, %d messages at %d/s for %d apps, %.0f%% with another's id, %d workers, %.0f%% provider faults",
		p.Seed, p.Broker, p.Messages, p.Rate, len(p.Apps), 100*p.SharedIDs, p.Workers, 100*p.ProviderFaults)
	for _, f := range faults {
		if n := p.Times[f.kind]; n > 0 {
			fmt.Fprintf(&b, ", %d %s", n, f.kind)
		}
	}
	if p.Lead > 0 {
		fmt.Fprintf(&b, ", app %s slow by %v in a lead of %v", slowApp, p.Latency, p.Lead)
	}
	if p.Skew > 0 {
		fmt.Fprintf(&b, ", clocks off by %v", p.skews())
	}
	return b.String()
}

// random returns the source of the decisions about something. Each thing has its own source,
// so that one more decision about it does not change those about others.
func (p Plan) random(about string) *rand.Rand {
	h := fnv.New64a()
	_, _ = h.Write([]byte(about))                   // it never fails
	return rand.New(rand.NewPCG(p.Seed, h.Sum64())) //nolint:gosec // it has to be repeatable
}

// skews returns how far each worker's clock is ahead; a negative skew is behind.
func (p Plan) skews() []time.Duration {
	skews := make([]time.Duration, p.Workers)
	if p.Skew == 0 || p.Workers < 2 {
		return skews
	}
	skew := p.Skew
	if p.random("skews").IntN(2) == 1 {
		skew = -skew
	}
	skews[1] = skew
	if p.Workers > 2 {
		skews[2] = -skew
	}
	return skews
}
