package worker

import (
	"strings"

	"github.com/codeferry/codeferry/messages"
)

// InFlight returns how many messages belong to this worker: in a slot, waiting for one, or
// settled but not yet confirmed by the server. It does not block.
func (w *Worker) InFlight() int {
	n := 0
	if pools := w.pools.Load(); pools != nil {
		for _, p := range *pools {
			n += p.inFlight.count()
		}
	}
	return n
}

// BlockedChannel is a channel on which no connector has a closed circuit breaker.
type BlockedChannel struct {
	Channel messages.Channel
	// Connectors are the names of its connectors.
	Connectors []string
}

// Blocked returns the channels on which no connector has a closed circuit breaker: their
// codes wait until a provider works again. known is false before the worker has begun to pull.
// It does not block.
func (w *Worker) Blocked() (blocked []BlockedChannel, known bool) {
	if pools := w.pools.Load(); pools != nil {
		for _, p := range *pools {
			if !p.halfOpen() {
				continue
			}
			b := BlockedChannel{Channel: p.channel}
			for _, c := range p.routed {
				b.Connectors = append(b.Connectors, c.name)
			}
			blocked = append(blocked, b)
		}
		known = true
	}
	return blocked, known
}

// OutcomesLost returns why outcomes could not be stored, and "" if they can. No code waits
// because of it. A loss is reported until outcomes are stored again, for 15 minutes at most. It
// does not block.
func (w *Worker) OutcomesLost() string {
	if k := w.keeper.Load(); k != nil {
		return k.outcomesLost()
	}
	return ""
}

// OutcomeDenied tells the worker that the server does not permit the subject of an outcome: it
// counts the outcome as lost. The server answers such an outcome with an error of the connection
// alone, which the owner of the connection gets. It does not block.
func (w *Worker) OutcomeDenied(subject string) {
	doubt := strings.HasSuffix(subject, "."+string(messages.StatusUnknown)) // whoever waits for it counts it
	if p := w.outcomes.Load(); p != nil && (doubt || p.denied(subject)) {
		w.keeper.Load().outcomesDenied(subject)
	}
}

// NotClosed returns, for each connector with a circuit breaker that is open or half-open, what
// has it: "" is the connector itself, anything else a template. It does not block.
func (w *Worker) NotClosed() map[string][]string {
	all := make(map[string][]string)
	for name, c := range w.connectors {
		if !c.breaker.closed() {
			all[name] = append(all[name], "")
		}
		if templates := c.breaker.templates.names(); len(templates) > 0 {
			all[name] = append(all[name], templates...)
		}
	}
	return all
}
