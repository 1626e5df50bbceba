package telemetry

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// Metrics counts spans by what became of them.
type Metrics struct{ exported, dropped, failed prometheus.Counter }

// NewMetrics makes the metrics and registers them. With a nil registry they are not
// registered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	spans := promauto.With(r).NewCounterVec(prometheus.CounterOpts{
		Name: "codeferry_trace_spans_total",
		Help: "Spans by what became of them: exported, dropped because the queue was full, or failed because the collector did not take them.",
	}, []string{"result"})
	return &Metrics{exported: spans.WithLabelValues("exported"), dropped: spans.WithLabelValues("dropped"), failed: spans.WithLabelValues("failed")}
}
