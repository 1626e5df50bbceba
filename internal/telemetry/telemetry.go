// Package telemetry exports OpenTelemetry traces of deliveries over OTLP. The usual OTEL_
// variables configure it; without them nothing is traced, and nothing runs.
//
// Traces never delay a code. Spans wait in a bounded queue, one goroutine exports them, and
// those for which there is no room are counted and dropped.
package telemetry

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/go-logr/logr/funcr"
	"github.com/rs/zerolog"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"

	"github.com/codeferry/codeferry/sender/redact"
	"github.com/codeferry/codeferry/worker"
)

// Options configure Start.
type Options struct {
	// Version is codeferry's version.
	Version string
	// Metrics counts spans. Default: metrics that are not registered.
	Metrics *Metrics
	// Log gets the errors of the export, one a minute at most.
	Log zerolog.Logger
	// Now is the clock of that minute. Default: time.Now.
	Now func() time.Time
	// StopTimeout is how long Stop waits for the last spans. Default: 3s.
	StopTimeout time.Duration
}

// Traces exports traces until it is stopped. The zero value is off.
type Traces struct {
	provider *sdktrace.TracerProvider
	// end ends the exports, after timeout at the latest.
	end     context.CancelFunc
	timeout time.Duration
}

// Start starts the export, if the OTEL_ variables switch it on. It does not wait for the
// collector. A value that codeferry does not take is logged, and traces are off then. The
// caller has to call Stop.
func Start(ctx context.Context, o Options) (*Traces, error) {
	protocol, warning := protocol(os.Getenv)
	if protocol != "" {
		if what := mistake(os.Getenv); what != "" {
			protocol, warning = "", what+"; no traces are exported"
		}
	}
	if warning != "" {
		o.Log.Warn().Msg(warning)
	}
	if protocol == "" {
		return new(Traces), nil
	}
	if o.Metrics == nil {
		o.Metrics = NewMetrics(nil)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.StopTimeout <= 0 {
		o.StopTimeout = 3 * time.Second
	}
	errs := &complaints{log: o.Log, redact: redact.New(redact.Values{Secrets: secrets(os.Getenv)}), now: o.Now}
	report(errs)
	exports, err := newExporter(ctx, protocol)
	if err != nil {
		return nil, fmt.Errorf("start the export of traces: %w; fix the OTEL_EXPORTER_OTLP_ variables, or set OTEL_TRACES_EXPORTER to none", err)
	}
	ended, end := context.WithCancel(context.WithoutCancel(ctx))
	out := &exporter{SpanExporter: exports, metrics: o.Metrics, errors: errs, ended: ended}
	provider := sdktrace.NewTracerProvider(
		sdktrace.WithIDGenerator(generator{}),
		sdktrace.WithResource(describe(ctx, o.Version, errs)),
		sdktrace.WithSpanProcessor(&queue{SpanProcessor: sdktrace.NewBatchSpanProcessor(out), exporter: out, room: room(os.Getenv)}),
	)
	return &Traces{provider: provider, end: end, timeout: o.StopTimeout}, nil
}

// report makes errs the place where the SDK reports what goes wrong in itself. The SDK has
// only one such place for the whole process.
func report(errs *complaints) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(errs.add))
	const warnings = 1
	otel.SetLogger(funcr.New(func(_, text string) { errs.say(text) }, funcr.Options{Verbosity: warnings}))
}

// describe returns what all spans say about this worker: the service's name and version, and
// what OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES add or replace.
func describe(ctx context.Context, version string, errs *complaints) *resource.Resource {
	r, err := resource.New(ctx,
		resource.WithAttributes(semconv.ServiceName("codeferry"), semconv.ServiceVersion(version)),
		resource.WithHost(), resource.WithTelemetrySDK(), resource.WithFromEnv())
	if err != nil {
		errs.add(err)
	}
	return r
}

// room is the size of the SDK's queue.
func room(getenv func(string) string) int64 {
	if n, err := strconv.ParseInt(getenv(varQueue), 10, 64); err == nil && n > 0 {
		return n
	}
	return sdktrace.DefaultMaxQueueSize
}

// Tracer returns the worker's tracer; nil if traces are off.
func (t *Traces) Tracer() worker.Tracer {
	if t.provider == nil {
		return nil
	}
	return tracer{t.provider.Tracer(scope)}
}

// Stop exports what is left. It blocks until that is done, or until StopTimeout has passed.
func (t *Traces) Stop() {
	if t.provider == nil {
		return
	}
	timer := time.AfterFunc(t.timeout, t.end)
	defer timer.Stop()
	defer t.end()
	// Without a deadline of its own: after the timeout the exports end, and with them all
	// goroutines.
	_ = t.provider.Shutdown(context.Background()) // the exporter has logged its errors
}
