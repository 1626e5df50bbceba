package worker

import (
	"context"
	"errors"
	"testing"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
)

// TestStreamWatcher: each stream has a size and a limit. A stream that the server says
// nothing about keeps its values.
func TestStreamWatcher(t *testing.T) {
	t.Parallel()
	sizes := make(map[string]streamSize)
	m := NewMetrics(prometheus.NewRegistry())
	w := streamWatcher{metrics: m, size: func(_ context.Context, stream string) (streamSize, error) {
		size, known := sizes[stream]
		if !known {
			return streamSize{}, errors.New("no answer")
		}
		return size, nil
	}}
	want := func(when, stream string, bytes, limit float64) {
		t.Helper()
		w.look(t.Context())
		check.Equal(t, when+": bytes of "+stream, testutil.ToFloat64(m.streamBytes.WithLabelValues(stream)), bytes)
		check.Equal(t, when+": limit of "+stream, testutil.ToFloat64(m.streamMaxBytes.WithLabelValues(stream)), limit)
	}
	for _, stream := range watchedStreams {
		want("before an answer", stream, 0, -1)
	}
	for i, stream := range watchedStreams {
		sizes[stream] = streamSize{bytes: float64(10 + i), limit: 100}
		want("answered", stream, float64(10+i), 100)
	}
	clear(sizes)
	want("no more answers", watchedStreams[0], 10, 100)
}

// TestMetricNames: names, units and help texts follow Prometheus' conventions.
func TestMetricNames(t *testing.T) {
	t.Parallel()
	registry := prometheus.NewPedanticRegistry()
	NewMetrics(registry)
	problems, err := testutil.GatherAndLint(registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}
