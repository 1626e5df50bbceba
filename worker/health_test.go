package worker

import (
	"reflect"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// TestWorkerBlocked: a channel is blocked while no connector of it has a closed breaker.
func TestWorkerBlocked(t *testing.T) {
	t.Parallel()
	serves, first, second := connect("a", nil), connect("b", nil), connect("c", nil)
	pools := []*pool{
		{channel: messages.Email, routed: []*connector{serves, first}, inFlight: newInFlight()},
		{channel: messages.SMS, routed: []*connector{first, second}, inFlight: newInFlight()},
	}
	w := new(Worker)
	blocked := func(when string, want ...BlockedChannel) {
		t.Helper()
		got, known := w.Blocked()
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got the blocked channels %v, want %v", when, got, want)
		}
		check.Equal(t, when+": known", known, w.pools.Load() != nil)
	}
	blocked("before it has started")
	w.pools.Store(&pools)
	blocked("at first")
	requests(t, first.breaker, 1, errNoMoney)
	blocked("with one connector left")
	requests(t, second.breaker, 1, errNoMoney)
	blocked("with none left", BlockedChannel{messages.SMS, []string{"b", "c"}})
}

// TestWorkerNotClosed: the circuit breakers that are not closed, of connectors and templates.
func TestWorkerNotClosed(t *testing.T) {
	t.Parallel()
	serves, broke, wrong := connect("a", nil), connect("b", nil), connect("c", nil)
	w := &Worker{connectors: map[string]*connector{"a": serves, "b": broke, "c": wrong}}
	if got := w.NotClosed(); len(got) > 0 {
		t.Errorf("at first %v are not closed", got)
	}
	requests(t, broke.breaker, 1, errNoMoney)
	for _, template := range []string{"Register", "Generic"} {
		done, _ := wrong.breaker.admit(t.Context(), request{template: template})
		done(errWrongTemplate)
	}
	if got, want := w.NotClosed(), map[string][]string{"b": {""}, "c": {"Generic", "Register"}}; !reflect.DeepEqual(got, want) {
		t.Errorf("%v are not closed, want %v", got, want)
	}
}

func TestWorkerInFlight(t *testing.T) {
	t.Parallel()
	w := new(Worker)
	check.Equal(t, "before it has started", w.InFlight(), 0)
	pools := []*pool{{inFlight: newInFlight()}, {inFlight: newInFlight()}}
	w.pools.Store(&pools)
	for i := range 20 {
		pools[i%2].inFlight.add(&jetpull.Message{Sequence: uint64(i)})
	}
	check.Equal(t, "of two pools", w.InFlight(), 20)
}
