package telemetry_test

import (
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/telemetry"
)

// TestAllocationsWithoutASample limits what a message costs that is not sampled.
func TestAllocationsWithoutASample(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlptest.HTTP(t).URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
	var log syncbuf.Buffer
	tracer, m := started(t, &log, nil).Tracer(), taken(1)
	check.Allocs(t, "a delivery that is not sampled", 8, func() {
		if tracer.Begin(m) != nil {
			t.Fatal("it is sampled")
		}
	})
}

// BenchmarkDelivery traces a delivery with one request: what a message costs its slot. The
// export is not part of it.
func BenchmarkDelivery(b *testing.B) {
	b.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlptest.HTTP(b).URL)
	for _, c := range []struct{ name, sampler string }{{"not sampled", "parentbased_always_off"}, {"sampled", "parentbased_always_on"}} {
		b.Run(c.name, func(b *testing.B) {
			b.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			b.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "1") // nearly all are dropped
			traces, err := telemetry.Start(b.Context(), telemetry.Options{Log: zerolog.Nop()})
			if err != nil {
				b.Fatal(err)
			}
			defer traces.Stop()
			tracer, n := traces.Tracer(), 0
			b.ReportAllocs()
			for b.Loop() {
				n++
				if c.name == "sampled" {
					deliver(tracer, n)
				} else {
					tracer.Begin(taken(n))
				}
			}
		})
	}
}
