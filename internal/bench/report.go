package bench

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// Report holds the results. CPU, allocations and bytes are those of the whole process,
// including the provider and the server, if it is embedded.
type Report struct {
	Channel     messages.Channel `json:"channel"`
	Concurrency int              `json:"concurrency"`
	LatencyMS   float64          `json:"latencyMs"`
	Rate        int              `json:"rate,omitempty"`
	Faults      float64          `json:"faults,omitempty"`
	Sealed      bool             `json:"sealed,omitempty"`
	Traced      bool             `json:"traced,omitempty"`
	Seed        uint64           `json:"seed"`

	// Messages is the number that the stream acknowledged. Each is settled: Sent, as the
	// provider counts, or Dead.
	Messages int `json:"messages"`
	Sent     int `json:"sent"`
	Dead     int `json:"dead"`
	// Requests is the number of send requests to the provider; Twice is how often it
	// accepted a message again.
	Requests int `json:"requests"`
	Twice    int `json:"twice"`

	Seconds   float64 `json:"seconds"`
	PerSecond float64 `json:"perSecond"`
	// CPUMicros, Allocs and Bytes are for each message.
	CPUMicros float64 `json:"cpuMicros"`
	Allocs    float64 `json:"allocs"`
	Bytes     float64 `json:"bytes"`
	// P50MS and the others are the time from the publish to the provider's first accepted
	// request, in milliseconds. For a backlog this is mostly the time in the queue.
	P50MS float64 `json:"p50Ms"`
	P90MS float64 `json:"p90Ms"`
	P99MS float64 `json:"p99Ms"`
	MaxMS float64 `json:"maxMs"`

	took []time.Duration
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// quantile returns the time within which a share of the messages came, in
// milliseconds.
func (r *Report) quantile(share float64) float64 {
	if len(r.took) == 0 {
		return 0
	}
	return milliseconds(r.took[max(0, int(math.Ceil(share*float64(len(r.took))))-1)])
}

// counted returns a number and a noun: 1 slot, 2 slots.
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// String returns the figures, and a histogram of the times.
func (r *Report) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s by %s, %s, provider %v", counted(r.Messages, "message"), r.Channel, counted(r.Concurrency, "slot"), time.Duration(r.LatencyMS*float64(time.Millisecond)))
	if r.Rate > 0 {
		fmt.Fprintf(&b, ", %d a second", r.Rate)
	}
	if r.Faults > 0 {
		fmt.Fprintf(&b, ", %.0f%% faults (seed %d)", 100*r.Faults, r.Seed)
	}
	if r.Sealed {
		b.WriteString(", sealed")
	}
	if r.Traced {
		b.WriteString(", traced")
	}
	fmt.Fprintf(&b, "\n\n  settled       %.0f/s, all in %.2f s\n  sent          %d, dead %d, requests %d, accepted twice %d\n", r.PerSecond, r.Seconds, r.Sent, r.Dead, r.Requests, r.Twice)
	fmt.Fprintf(&b, "  a message     %.0f µs CPU, %.0f allocations, %.1f KiB (the whole process)\n", r.CPUMicros, r.Allocs, r.Bytes/1024)
	fmt.Fprintf(&b, "  latency       p50 %.2f ms, p90 %.2f, p99 %.2f, max %.2f, from the publish to the accepted request\n", r.P50MS, r.P90MS, r.P99MS, r.MaxMS)
	if r.Rate == 0 {
		b.WriteString("                all messages wait at the start, so these times show how fast a backlog is sent;\n" +
			"                --rate 200 shows how long one code takes\n")
	}
	b.WriteString("\n  share of the messages that took this long:\n")
	r.histogram(&b)
	return b.String()
}

// histogram draws how many messages came within each time. Each bar's time is 1.5 times that
// of the bar before it. It marks long gaps without messages.
func (r *Report) histogram(b *strings.Builder) {
	if len(r.took) == 0 {
		return
	}
	const (
		width = 40
		step  = 1.5
	)
	type bar struct {
		to time.Duration
		n  int
	}
	var bars []bar
	at := r.took[0]
	for i := 0; i < len(r.took); at = time.Duration(float64(at)*step) + time.Microsecond {
		one := bar{to: at}
		for ; i < len(r.took) && r.took[i] <= at; i++ {
			one.n++
		}
		bars = append(bars, one)
	}
	most := 0
	for _, one := range bars {
		most = max(most, one.n)
	}
	for i, one := range bars {
		if one.n == 0 {
			if bars[i-1].n > 0 {
				b.WriteString("  …\n")
			}
			continue
		}
		fmt.Fprintf(b, "  ≤ %9.2f ms %6.2f%% %s\n", milliseconds(one.to), 100*float64(one.n)/float64(len(r.took)), strings.Repeat("█", (one.n*width+most-1)/most))
	}
}
