package messages_test

import (
	"context"
	"fmt"

	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/codeferry/codeferry/messages"
)

// A service that traces with OpenTelemetry lets its messages carry the span that publishes
// them. The worker's spans are then in the same trace.
func ExamplePublisherOptions_traceParent() {
	options := messages.PublisherOptions{
		TraceParent: func(ctx context.Context) string {
			carrier := make(propagation.MapCarrier)
			propagation.TraceContext{}.Inject(ctx, carrier)
			return carrier.Get("traceparent")
		},
	}

	// What Publish does with the context of a request:
	span := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled})
	fmt.Println(options.TraceParent(trace.ContextWithSpanContext(context.Background(), span)))
	// Output: 00-01000000000000000000000000000000-0200000000000000-01
}
