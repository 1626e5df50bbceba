package telemetry

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"

	"github.com/codeferry/codeferry/sender/redact"
)

// exporter counts what becomes of the spans, and reports errors itself. So an error stays
// in this process's log, and does not go through OpenTelemetry's global handler.
type exporter struct {
	sdktrace.SpanExporter
	metrics *Metrics
	errors  *complaints
	// waiting counts the spans that were handed to the batches, and that are neither
	// exported nor lost.
	waiting atomic.Int64
	// ended ends the export in flight.
	ended context.Context //nolint:containedctx // the SDK exports what is left without a deadline
}

// ExportSpans implements sdktrace.SpanExporter. Its error is always nil.
func (e *exporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(e.ended, cancel)()
	n := int64(len(spans))
	defer e.waiting.Add(-n)
	if err := e.SpanExporter.ExportSpans(ctx, spans); err != nil {
		e.metrics.failed.Add(float64(n))
		e.errors.add(err)
		return nil
	}
	e.metrics.exported.Add(float64(n))
	return nil
}

// queue drops the spans for which there is no room, and counts them: the SDK's own queue
// drops them too, but tells nobody. A span never waits for room.
type queue struct {
	sdktrace.SpanProcessor
	exporter *exporter
	room     int64
}

// OnEnd implements sdktrace.SpanProcessor.
func (q *queue) OnEnd(s sdktrace.ReadOnlySpan) {
	if !s.SpanContext().IsSampled() {
		return
	}
	if q.exporter.waiting.Add(1) > q.room {
		q.exporter.waiting.Add(-1)
		q.exporter.metrics.dropped.Inc()
		return
	}
	q.SpanProcessor.OnEnd(s)
}

// complainEvery is the interval between two log lines about failed exports.
const complainEvery = time.Minute

// complaints logs errors of the export, one a minute at most.
type complaints struct {
	log    zerolog.Logger
	redact *redact.Redactor
	now    func() time.Time

	mu   sync.Mutex
	last time.Time
	more int
}

// add logs an error, or counts it if one was logged within the last minute.
func (c *complaints) add(err error) { c.say(err.Error()) }

// say is add for a text.
func (c *complaints) say(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); c.last.IsZero() || now.Sub(c.last) >= complainEvery {
		c.log.Warn().Str("error", c.redact.Line(text)).Int("more", c.more).Msg("traces may be missing, and codes are sent all the same; check the OTEL_ variables and the collector")
		c.last, c.more = now, 0
		return
	}
	c.more++
}
