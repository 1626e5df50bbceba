package bench_test

import (
	"testing"

	"github.com/codeferry/codeferry/internal/bench"
	"github.com/codeferry/codeferry/messages"
)

// BenchmarkDrain drains a backlog, with publisher, server, worker and provider in one
// process, so that a profile shows all of them.
func BenchmarkDrain(b *testing.B) {
	for _, c := range messages.Channels() {
		b.Run(string(c), func(b *testing.B) {
			r, err := bench.Run(b.Context(), bench.Options{Messages: b.N, Channel: c, Concurrency: 128, Claims: "off"})
			if err != nil {
				b.Fatal(err)
			}
			b.ReportMetric(r.PerSecond, "msg/s")
			b.ReportMetric(r.CPUMicros, "cpu-µs/msg")
			b.ReportMetric(r.Allocs, "allocs/msg")
		})
	}
}
