package worker

import (
	"context"
	"time"
)

// members are the connectors that any app sends the channel through.
func (l *lane) members() []*connector {
	var all []*connector
	seen := make(map[string]bool)
	for _, app := range l.opts.Config.Apps {
		for _, step := range app.Route(l.channel) {
			if name := step.Connector; !seen[name] {
				seen[name] = true
				all = append(all, l.connectors[name])
			}
		}
	}
	return all
}

// paused tells whether every connector of the channel is open: then nothing is
// pulled, and the messages wait in the stream, where a newer code can replace
// them.
func (l *lane) paused() bool {
	for _, c := range l.routed {
		if !c.open() {
			return false
		}
	}
	return len(l.routed) > 0
}

// probing tells whether the channel hangs on a connector that is being tried
// again: then one message at a time is enough.
func (l *lane) probing() bool {
	for _, c := range l.routed {
		if c.closed() {
			return false
		}
	}
	return len(l.routed) > 0
}

// waitForConnector waits until a connector may be tried again.
func (l *lane) waitForConnector(ctx context.Context) {
	wait := time.Minute
	for _, c := range l.routed {
		wait = min(wait, c.reopens())
	}
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-l.changed:
	case <-timer.C:
	}
}
