package service

import (
	"maps"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker"
)

// TestChannelBlocked: the metric of each channel follows what the worker says. There is none
// before the worker has begun, and while it is not connected.
func TestChannelBlocked(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	w := &web{conditions: NewConditions(nil)}
	registry.MustRegister(newChannelBlocked(w.blocked))
	serviceReady(registry, w.ready)
	var blocked []worker.BlockedChannel
	begun := true
	state := workerState{func() error { return nil }, func() ([]worker.BlockedChannel, bool) { return blocked, begun }, func() string { return "" }}
	served := func(want map[messages.Channel]float64, ready float64) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		got := make(map[messages.Channel]float64)
		for _, f := range families {
			for _, m := range f.GetMetric() {
				switch f.GetName() {
				case "codeferry_ready":
					if v := m.GetGauge().GetValue(); v != ready {
						t.Errorf("codeferry_ready is %g, want %g", v, ready)
					}
				default:
					got[messages.Channel(m.GetLabel()[0].GetValue())] = m.GetGauge().GetValue()
				}
			}
		}
		if !maps.Equal(got, want) {
			t.Errorf("codeferry_channel_blocked is %v, want %v", got, want)
		}
	}
	served(nil, 0) // there is no worker
	w.setWorker(state)
	for _, now := range [][]worker.BlockedChannel{nil, {{Channel: messages.SMS}}, {{Channel: messages.Email}, {Channel: messages.SMS}}, nil} {
		blocked = now
		want := make(map[messages.Channel]float64)
		for _, c := range messages.Channels() {
			want[c] = 0
		}
		for _, b := range now {
			want[b.Channel] = 1
		}
		served(want, 1)
	}
	w.conditions.Block(conditionNATS, "not connected")
	served(nil, 0)
	w.conditions.Clear(conditionNATS)
	begun = false
	served(nil, 1)
}

// TestMetricNames: names, units and help texts follow Prometheus' conventions.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	Build{Version: "v1.2.3", Revision: "0123456789ab"}.register(registry)
	natsConnected(registry)
	registry.MustRegister(newChannelBlocked(func() ([]worker.BlockedChannel, bool) { return nil, true }))
	serviceReady(registry, func() bool { return true })
	certificateExpiry(registry, func() time.Time { return time.Unix(1, 0) })
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
