package worker

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
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
	deliverySeconds *prometheus.HistogramVec
	inFlight        *prometheus.GaugeVec
	waiting         *prometheus.GaugeVec
	open            *prometheus.GaugeVec
	parked          *prometheus.CounterVec
}

// NewMetrics registers the metrics; with a nil registry nobody reads them.
func NewMetrics(r prometheus.Registerer) *Metrics {
	f := promauto.With(r)
	buckets := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}
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
			Help: "Messages whose former worker was never heard of again.",
		}, []string{"channel"}),
		missingValues: f.NewCounterVec(prometheus.CounterOpts{
			Name: "codeferry_template_missing_values_total",
			Help: "Placeholders for which a payload had nothing.",
		}, []string{"connector"}),
		outcomesLost: f.NewCounter(prometheus.CounterOpts{
			Name: "codeferry_outcomes_lost_total",
			Help: "Outcomes that the stream did not confirm.",
		}),
		providerSeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "codeferry_provider_seconds", Buckets: buckets,
			Help: "How long a provider took to answer one request.",
		}, []string{"connector"}),
		deliverySeconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "codeferry_delivery_seconds", Buckets: buckets,
			Help: "How long a code took from the stream to the provider's acceptance.",
		}, []string{"channel"}),
		inFlight: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "codeferry_in_flight",
			Help: "Messages that this worker is working on.",
		}, []string{"channel"}),
		waiting: f.NewGaugeVec(prometheus.GaugeOpts{
			Name: "codeferry_waiting",
			Help: "Messages in the stream that are not settled: waiting, with a worker, or waiting for their retry. -1: not known.",
		}, []string{"channel"}),
	}
	m.open = f.NewGaugeVec(prometheus.GaugeOpts{
		Name: "codeferry_connector_open",
		Help: "1 while a connector is closed off by its breaker.",
	}, []string{"connector"})
	m.parked = f.NewCounterVec(prometheus.CounterOpts{
		Name: "codeferry_parked_total",
		Help: "Messages put aside for a while: no connector was to be had, or newer ones went first.",
	}, []string{"channel"})
	for _, c := range messages.Channels() {
		m.parked.WithLabelValues(string(c))
		m.inFlight.WithLabelValues(string(c))
		m.waiting.WithLabelValues(string(c)).Set(-1)
		m.doubts.WithLabelValues(string(c))
	}
	return m
}

// connectorMetrics are a connector's, looked up once.
type connectorMetrics struct {
	seconds  prometheus.Observer
	ok       prometheus.Counter
	attempts map[sender.Class]prometheus.Counter
}

func (m *Metrics) of(connector string) connectorMetrics {
	c := connectorMetrics{
		seconds:  m.providerSeconds.WithLabelValues(connector),
		ok:       m.attempts.WithLabelValues(connector, "ok"),
		attempts: make(map[sender.Class]prometheus.Counter),
	}
	for _, class := range sender.Classes() {
		c.attempts[class] = m.attempts.WithLabelValues(connector, class.String())
	}
	return c
}

// watchEvery is how old codeferry_waiting may be, and what the lane knows of what
// waits; where the patience is short, it is half of that.
const watchEvery = 5 * time.Second

// watch keeps codeferry_waiting and the lane's own knowledge up to date.
func (l *lane) watch(ctx context.Context) {
	tick := time.NewTicker(max(time.Millisecond, min(watchEvery, l.opts.Config.Worker.Patience/2)))
	defer tick.Stop()
	gauge := l.opts.Metrics.waiting.WithLabelValues(string(l.channel))
	for {
		if n, err := l.waiting(ctx); err == nil {
			gauge.Set(float64(n))
		} else if ctx.Err() == nil {
			gauge.Set(-1)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (l *lane) waiting(ctx context.Context) (uint64, error) {
	consumer, err := l.js.Consumer(ctx, messages.StreamName, string(l.channel))
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo() // Consumer has just asked for it
	newest, err := l.stream.GetLastMsgForSubject(ctx, info.Config.FilterSubject)
	switch {
	case err == nil:
		l.newest.Store(newest.Time.UnixNano())
	case !errors.Is(err, jetstream.ErrMsgNotFound):
		return 0, err
	}
	l.aside.Store(int64(info.NumAckPending))
	return info.NumPending + uint64(max(info.NumAckPending, 0)), nil
}

// Forget takes a connector out of the metrics that is no longer there.
func (m *Metrics) Forget(connector string) { m.open.DeleteLabelValues(connector) }
