package service

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker"
)

// Build is what was built, for codeferry_build_info.
type Build struct {
	// Version is the release, or devel. Revision is that of the sources, if it is known.
	Version, Revision string
}

func (b Build) register(r prometheus.Registerer) {
	promauto.With(r).NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_build_info",
		Help: "Always 1. The labels are the version, the revision of the sources, and the version of Go.",
	}, []string{"version", "revision", "goversion"}).WithLabelValues(b.Version, b.Revision, runtime.Version()).Set(1)
}

func natsConnected(r prometheus.Registerer) prometheus.Gauge {
	return promauto.With(r).NewGauge(prometheus.GaugeOpts{
		Name: "codeferry_nats_connected",
		Help: "1 while the worker is connected to NATS and NATS answers.",
	})
}

func serviceReady(r prometheus.Registerer, ready func() bool) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "codeferry_ready",
		Help: "1 while /readyz answers 200.",
	}, func() float64 { return oneIf(ready()) })
}

func oneIf(so bool) float64 {
	if so {
		return 1
	}
	return 0
}

// channelBlocked serves for each channel what blocked says at the time of the scrape, and
// nothing if known is false: an alert takes the least value of all workers.
type channelBlocked struct {
	desc    *prometheus.Desc
	blocked func() (all []worker.BlockedChannel, known bool)
}

func newChannelBlocked(blocked func() (all []worker.BlockedChannel, known bool)) channelBlocked {
	return channelBlocked{prometheus.NewDesc("codeferry_channel_blocked",
		"1 while the circuit breaker of every connector of the channel is open or half-open: its codes wait, and more workers do not help. A worker that is not connected to NATS does not serve it.",
		[]string{"channel"}, nil), blocked}
}

// Describe implements [prometheus.Collector].
func (c channelBlocked) Describe(descs chan<- *prometheus.Desc) { descs <- c.desc }

// Collect implements [prometheus.Collector].
func (c channelBlocked) Collect(samples chan<- prometheus.Metric) {
	all, known := c.blocked()
	if !known {
		return
	}
	for _, name := range messages.Channels() {
		is := slices.ContainsFunc(all, func(b worker.BlockedChannel) bool { return b.Channel == name })
		samples <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, oneIf(is), string(name))
	}
}

func certificateExpiry(r prometheus.Registerer, expiry func() time.Time) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "codeferry_certificate_expiry_timestamp_seconds",
		Help: "When the certificate of listen expires, in seconds since 1970. Only with http.tls.",
	}, func() float64 { return float64(expiry().Unix()) })
}
