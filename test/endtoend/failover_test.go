package endtoend_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
)

// TestFailover: while the first connector of a route is down, the second one delivers at once;
// when the first one is back, it delivers again.
func TestFailover(t *testing.T) {
	t.Parallel()
	s := system{routes: make(map[string][]string), sides: make(map[string]*side), worker: "healthPause: 100ms"}
	pairs := pairs(t)
	for _, pair := range pairs {
		app := pair[0] + "-" + pair[1]
		first, second := app+"-first", app+"-second"
		s.sides[first], s.sides[second] = newSide(t, pair[0]), newSide(t, pair[1]).up(t)
		s.routes[app] = []string{first, second}
	}
	r := run(t, s)
	for _, pair := range pairs {
		t.Run(pair[0]+" to "+pair[1], func(t *testing.T) {
			app := pair[0] + "-" + pair[1]
			f := failover{r: r, app: app, first: s.sides[app+"-first"], second: s.sides[app+"-second"]}
			f.test(t)
		})
	}
}

// pairs has each type of connector once as the first and once as the second, with another one
// of its channel.
func pairs(t *testing.T) (all [][2]string) {
	t.Helper()
	for _, channel := range messages.Channels() {
		var of []string
		for _, kind := range kinds {
			if newSide(t, kind).channel() == channel {
				of = append(of, kind)
			}
		}
		for i, kind := range of {
			all = append(all, [2]string{kind, of[(i+1)%len(of)]})
		}
	}
	return all
}

type failover struct {
	r             *rig
	app           string
	first, second *side
	sent          []string
}

// send publishes a message.
func (f *failover) send(t *testing.T) (id string) {
	t.Helper()
	id = fmt.Sprintf("%s-%d", f.app, len(f.sent))
	f.sent = append(f.sent, id)
	f.r.send(t, f.app, f.first.channel(), signIn(id, recipient(f.first.channel())))
	return id
}

// delivered waits for a message. Its first outcome must be its last one: there is no retry
// between the connectors.
func (f *failover) delivered(t *testing.T, id string) messages.Outcome {
	t.Helper()
	o := f.r.first(t, id)
	if o.Status != messages.StatusSent {
		t.Fatalf("the first outcome is %+v, want sent\n%s", o, f.r.log.String())
	}
	return o
}

func (f *failover) test(t *testing.T) {
	first, second := f.app+"-first", f.app+"-second"

	// One message: both connectors are tried, and the second one delivers.
	o := f.delivered(t, f.send(t))
	check.Equal(t, "the connector of the first message", o.Connector, second)
	check.Equal(t, "its attempt", o.Attempt, 2)
	t.Logf("sent %v after it was stored", o.At.Sub(o.StoredAt))

	// Many messages: the first connector's circuit breaker opens.
	for !f.r.breakerOpen(t, first) {
		var batch []string
		for range 10 {
			batch = append(batch, f.send(t))
		}
		for _, id := range batch {
			if o := f.delivered(t, id); o.Connector != second {
				t.Fatalf("the outcome is %+v, want one by %s", o, second)
			}
		}
	}

	// The first connector is back: after its pause it delivers everything.
	f.first.up(t)
	for o.Connector != first {
		o = f.delivered(t, f.send(t))
	}
	for range 5 {
		o := f.delivered(t, f.send(t))
		check.Equal(t, "the connector after it is back", o.Connector, first)
		check.Equal(t, "the attempt after it is back", o.Attempt, 1)
	}
	if f.r.breakerOpen(t, first) {
		t.Error("the first connector's circuit breaker is still open")
	}

	// Everything arrived, once. Providers without ids are checked by the count.
	var ids []string
	arrived := slices.Concat(f.first.arrivals(), f.second.arrivals())
	for _, a := range arrived {
		if a.ID != "" {
			ids = append(ids, a.ID)
		}
	}
	slices.Sort(ids)
	if n := len(slices.Compact(slices.Clone(ids))); n != len(ids) || len(arrived) != len(f.sent) {
		t.Errorf("%d sent, %d arrived: %q", len(f.sent), len(arrived), ids)
	}
}
