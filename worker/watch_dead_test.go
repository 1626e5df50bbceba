package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeferry/codeferry/messages"
)

// TestDeadWatcher: the dead letters of all apps are counted by reason. An error changes
// nothing, and a reason that is gone counts as 0.
func TestDeadWatcher(t *testing.T) {
	t.Parallel()
	var (
		counts map[string]uint64
		fails  error
		asked  string
	)
	registry := prometheus.NewRegistry()
	w := deadWatcher{channel: messages.SMS, gauges: NewMetrics(registry).dead(messages.SMS), counts: func(_ context.Context, filter string) (map[string]uint64, error) {
		asked = filter
		return counts, fails
	}}
	value := func(reason string) float64 {
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				if f.GetName() == "codeferry_dead_letters" && m.GetLabel()[0].GetValue() == "sms" && m.GetLabel()[1].GetValue() == reason {
					return m.GetGauge().GetValue()
				}
			}
		}
		t.Fatalf("there is no codeferry_dead_letters of %s", reason)
		return 0
	}
	want := func(when string, rejected, expired float64) {
		t.Helper()
		w.look(t.Context())
		check.Equal(t, when+": rejected", value("rejected"), rejected)
		check.Equal(t, when+": expired", value("expired"), expired)
	}
	want("none", 0, 0)
	check.Equal(t, "filter", asked, "codeferry.dead.*.sms.*")
	counts = map[string]uint64{"codeferry.dead.a.sms.rejected": 2, "codeferry.dead.b.sms.rejected": 3, "codeferry.dead.a.sms.expired": 1}
	want("of two apps", 5, 1)
	fails = errors.New("no answer")
	counts = nil
	want("no answer", 5, 1)
	fails = nil
	want("all erased", 0, 0)
}
