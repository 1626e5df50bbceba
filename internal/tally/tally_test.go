package tally_test

import (
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/tally"
)

func span(name string, attributes ...string) otlptest.Span {
	s := otlptest.Span{Name: name, Attributes: make(map[string]string)}
	for i := 0; i < len(attributes); i += 2 {
		s.Attributes["codeferry."+attributes[i]] = attributes[i+1]
	}
	return s
}

// TestBothSides counts the same in metrics and in spans.
func TestBothSides(t *testing.T) {
	registry := prometheus.NewRegistry()
	counter := func(name string, labels ...string) *prometheus.CounterVec {
		c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name}, labels)
		registry.MustRegister(c)
		return c
	}
	histogram := func(name, label string) *prometheus.HistogramVec {
		h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: name}, []string{label})
		registry.MustRegister(h)
		return h
	}
	attempts := counter("codeferry_attempts_total", "connector", "class")
	attempts.WithLabelValues("a", "ok").Add(2)
	attempts.WithLabelValues("a", "unknown")
	outcomes := counter("codeferry_messages_total", "channel", "outcome", "reason", "connector")
	outcomes.WithLabelValues("sms", "sent", "", "a").Inc()
	outcomes.WithLabelValues("sms", "dead", "expired", "").Inc()
	counter("codeferry_doubts_total", "channel").WithLabelValues("sms").Inc()
	provider := histogram("codeferry_provider_seconds", "connector").WithLabelValues("a")
	provider.Observe(1)
	provider.Observe(1)
	histogram("codeferry_delivery_seconds", "channel").WithLabelValues("sms").Observe(1)
	histogram("codeferry_queue_seconds", "channel").WithLabelValues("sms").Observe(1)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	metrics, traces := tally.OfMetrics(families), make(tally.Tally)
	for _, s := range []otlptest.Span{
		span("wait x"), span("send sms a", "connector", "a", "class", "ok"), span("ask sms a", "connector", "a", "class", "found"),
		span("process x", "channel", "sms", "outcome", "sent", "connector", "a"),
		span("process x", "channel", "sms", "outcome", "dead", "reason", "expired"),
		span("process x", "channel", "sms"),
	} {
		traces.AddSpan(s)
	}
	check.Equal(t, "metrics", fmt.Sprint(metrics),
		"map[attempt a ok:2 delivery time sms:1 outcome sms dead expired:1 outcome sms sent a:1 provider time a:2 wait:1]")
	check.Equal(t, "differences", fmt.Sprintf("%q", tally.Differences(metrics, traces)),
		`["attempt a ok: 2 in the metrics, 1 in the traces" "provider time a: 2 in the metrics, 1 in the traces"]`)
	traces.AddSpan(span("send sms a", "connector", "a", "class", "ok"))
	check.Equal(t, "differences after the missing span", len(tally.Differences(metrics, traces)), 0)
	check.Equal(t, "outcomes of both kinds", metrics.Sum("outcome", "sms"), 2)
	check.Equal(t, "outcomes of one kind", metrics.Sum("outcome", "sms", "sent"), 1)
	metrics.Add(traces)
	check.Equal(t, "outcomes of both", metrics.Sum("outcome"), 4)
}
