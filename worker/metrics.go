package worker

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// Metrics counts what a worker does. Every label has a closed set of values;
// none holds an id, a code or an address.
type Metrics struct {
	messages        *prometheus.CounterVec
	attempts        *prometheus.CounterVec
	doubts          *prometheus.CounterVec
	missingValues   *prometheus.CounterVec
	outcomesLost    prometheus.Counter
	providerSeconds *prometheus.HistogramVec
	queueSeconds    *prometheus.HistogramVec
	deliverySeconds *prometheus.HistogramVec
	inFlight        *prometheus.GaugeVec
	waiting         *prometheus.GaugeVec
	oldest          *prometheus.GaugeVec
	deadLetters     *prometheus.GaugeVec
	open            *prometheus.GaugeVec
	templatesOpen   *prometheus.GaugeVec
	streamBytes     *prometheus.GaugeVec
	streamMaxBytes  *prometheus.GaugeVec
	// deferrals and parked count the same; parked has the former name.
	deferrals, parked *prometheus.CounterVec
}

// NewMetrics makes the metrics and registers them. With a nil registry they are not
// registered.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	m := &Metrics{
		messages: f.NewCounterVec(prometheus.CounterOpts{
			Name: "codeferry_messages_total",
			Help: "Steps of messages, by outcome (sent, retrying, unknown, dead), a dead letter's reason, and the connector tried last.",
		}, []string{"channel", "outcome", "reason", "connector"}),
		attempts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "codeferry_attempts_total",
			Help: "Attempts by connector and class: ok, or the error's.",
		}, []string{"connector", "class"}),
		doubts: f.NewCounterVec(prometheus.CounterOpts{
			Name: "codeferry_doubts_total",
			Help: "Messages whose former worker was lost.",
		}, []string{"channel"}),
		missingValues: f.NewCounterVec(prometheus.CounterOpts{
			Name: "codeferry_template_missing_values_total",
			Help: "Placeholders without a value in the payload.",
		}, []string{"connector"}),
		outcomesLost: f.NewCounter(prometheus.CounterOpts{
			Name: "codeferry_outcomes_lost_total",
			Help: "Outcomes that the stream did not confirm.",
		}),
		providerSeconds: f.NewHistogramVec(seconds("codeferry_provider_seconds", "How long a provider took to answer one request."), []string{"connector"}),
		queueSeconds: f.NewHistogramVec(seconds("codeferry_queue_seconds",
			"How long a message waited in the stream and in the worker until a slot took it for the first time."), []string{"channel"}),
		deliverySeconds: f.NewHistogramVec(seconds("codeferry_delivery_seconds",
			"How long a code took from the stream to the provider's acceptance."), []string{"channel"}),
		inFlight: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "codeferry_in_flight",
			Help: "Messages that this worker is working on.",
		}, []string{"channel"}),
		waiting: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "codeferry_waiting",
			Help: "Messages in the stream that are not settled: waiting, with a worker, or waiting for their retry. -1: not known.",
		}, []string{"channel"}),
	}
	m.oldest = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_oldest_waiting_seconds",
		Help: "For how long the oldest message in the stream waits; 0 if none does. Every 5 seconds.",
	}, []string{"channel"})
	m.deadLetters = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_dead_letters",
		Help: "Dead letters in the stream, by reason. Every 15 seconds; the same number from every worker.",
	}, []string{"channel", "reason"})
	m.open = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_connector_open",
		Help: "1 while a connector's circuit breaker is open or half-open.",
	}, []string{"connector"})
	m.templatesOpen = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_connector_templates_open",
		Help: "Templates of a connector whose own circuit breaker is open or half-open.",
	}, []string{"connector"})
	m.streamBytes = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_stream_bytes",
		Help: "Bytes in a stream. Every 15 seconds; the same number from every worker.",
	}, []string{"stream"})
	m.streamMaxBytes = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_stream_max_bytes",
		Help: "The limit of a stream, in bytes; -1 if it has none. Beyond it CODEFERRY refuses a publish, and other streams delete their oldest.",
	}, []string{"stream"})
	m.deferrals = f.NewCounterVec(prometheus.CounterOpts{
		Name: "codeferry_deferred_total",
		Help: "Messages put back without an attempt: no connector could be called, or newer ones went first.",
	}, []string{"channel"})
	m.parked = f.NewCounterVec(prometheus.CounterOpts{
		Name: "codeferry_parked_total",
		Help: "The former name of codeferry_deferred_total.",
	}, []string{"channel"})
	for _, c := range messages.Channels() {
		m.deferrals.WithLabelValues(string(c))
		m.parked.WithLabelValues(string(c))
		m.inFlight.WithLabelValues(string(c))
		m.waiting.WithLabelValues(string(c)).Set(-1)
		m.doubts.WithLabelValues(string(c))
		m.oldest.WithLabelValues(string(c))
		m.queueSeconds.WithLabelValues(string(c))
		m.deliverySeconds.WithLabelValues(string(c))
		m.dead(c)
	}
	for _, stream := range watchedStreams {
		m.streamBytes.WithLabelValues(stream)
		m.streamMaxBytes.WithLabelValues(stream).Set(-1)
	}
	return m
}

// seconds are the options of a histogram of times. Beside its buckets it is a native
// histogram, whose buckets are at most a tenth apart: Prometheus scrapes these if it is
// configured to.
func seconds(name, help string) prometheus.HistogramOpts {
	return prometheus.HistogramOpts{
		Name: name, Help: help,
		Buckets:                         []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300},
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}
}

// dead returns the gauges of a channel's dead letters.
func (m *Metrics) dead(c messages.Channel) map[messages.Reason]prometheus.Gauge {
	gauges := make(map[messages.Reason]prometheus.Gauge)
	for _, reason := range messages.Reasons() {
		gauges[reason] = m.deadLetters.WithLabelValues(string(c), string(reason))
	}
	return gauges
}

// begin counts the steps of a channel's messages from 0, so that an alert sees the first one.
func (m *Metrics) begin(c messages.Channel, routed []*connector) {
	names := make([]string, 1, 1+len(routed)) // the first is empty: without an attempt
	for _, r := range routed {
		names = append(names, r.name)
		for _, s := range []messages.Status{messages.StatusSent, messages.StatusRetrying, messages.StatusUnknown} {
			m.messages.WithLabelValues(string(c), string(s), "", r.name)
		}
	}
	for _, name := range names {
		m.messages.WithLabelValues(string(c), string(messages.StatusSuperseded), "", name)
		for _, reason := range messages.Reasons() {
			m.messages.WithLabelValues(string(c), string(messages.StatusDead), string(reason), name)
		}
	}
}

// connectorMetrics are the metrics of one connector, looked up once.
type connectorMetrics struct {
	seconds  prometheus.Observer
	ok       prometheus.Counter
	missing  prometheus.Counter
	attempts map[sender.Class]prometheus.Counter
}

func (m *Metrics) of(connector string) connectorMetrics {
	c := connectorMetrics{
		seconds:  m.providerSeconds.WithLabelValues(connector),
		ok:       m.attempts.WithLabelValues(connector, "ok"),
		missing:  m.missingValues.WithLabelValues(connector),
		attempts: make(map[sender.Class]prometheus.Counter),
	}
	for _, class := range sender.Classes() {
		c.attempts[class] = m.attempts.WithLabelValues(connector, class.String())
	}
	return c
}

// Forget removes the gauges of a connector that no longer exists.
func (m *Metrics) Forget(connector string) {
	m.open.DeleteLabelValues(connector)
	m.templatesOpen.DeleteLabelValues(connector)
}

// deferred returns a counter of a channel's deferrals, under both names.
func (m *Metrics) deferred(c messages.Channel) prometheus.Counter {
	return bothCounters{m.deferrals.WithLabelValues(string(c)), m.parked.WithLabelValues(string(c))}
}

// bothCounters counts in two counters.
type bothCounters struct {
	prometheus.Counter
	other prometheus.Counter
}

// Inc adds 1 to both.
func (b bothCounters) Inc() {
	b.Counter.Inc()
	b.other.Inc()
}
