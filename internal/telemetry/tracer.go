package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker"
)

// tracer makes the spans of deliveries:
//
//	the publisher's span
//	└─ wait       from the stream until a slot took the message for the first time
//	   ├─ process the first delivery
//	   │  └─ send a request to a provider
//	   └─ process the second delivery; it links to the first
type tracer struct{ tracer trace.Tracer }

// Begin implements worker.Tracer.
func (t tracer) Begin(m worker.Taken) worker.Span {
	publisher := parse(m.TraceParent)
	ctx := context.Background()
	if publisher.IsValid() {
		ctx = trace.ContextWithRemoteSpanContext(ctx, publisher)
	}
	_, wait := t.tracer.Start(withIDs(ctx, idsOf(m)), waitSpan, trace.WithTimestamp(m.StoredAt), waitAttributes)
	if !wait.SpanContext().IsSampled() {
		return nil
	}
	// A later delivery only needs the ids: its first one has exported the span, which ends
	// there and not here.
	if m.Delivery == 1 {
		wait.End(trace.WithTimestamp(latest(m.StoredAt, m.At)))
	}
	s := &span{tracer: t.tracer}
	s.ctx, s.process = t.tracer.Start(trace.ContextWithSpan(ctx, wait), processSpan,
		trace.WithSpanKind(trace.SpanKindConsumer), trace.WithTimestamp(m.At), processAttributes)
	s.attributes = append(s.attributes, keyDelivery.Int64(int64(m.Delivery))) //nolint:gosec // a small number
	from := linkPublished
	if m.Epoch > 0 {
		s.attributes, from = append(s.attributes, keyReplay.Int(m.Epoch)), linkReplayed
	}
	s.link(publisher, from)
	return s
}

// latest returns the later of two times: the clocks of the stream and of the worker may
// differ, and a span must not end before it begins.
func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// span is a delivery.
type span struct {
	tracer     trace.Tracer
	ctx        context.Context //nolint:containedctx // it is the span, as OpenTelemetry passes it to its children
	process    trace.Span
	attributes []attribute.KeyValue
	// outcome has the attributes of the last outcome.
	outcome []attribute.KeyValue
	// failed is why the message was not sent; empty if it was, or if it waits.
	failed string
}

// TraceID implements worker.Span.
func (s *span) TraceID() string { return s.process.SpanContext().TraceID().String() }

// TraceParent implements worker.Span.
func (s *span) TraceParent() string {
	carrier := make(propagation.MapCarrier, 1)
	propagation.TraceContext{}.Inject(s.ctx, carrier)
	return carrier.Get("traceparent")
}

// parse reads a traceparent. The result is not valid if there is none.
func parse(traceParent string) trace.SpanContext {
	if traceParent == "" {
		return trace.SpanContext{}
	}
	ctx := propagation.TraceContext{}.Extract(context.Background(), propagation.MapCarrier{"traceparent": traceParent})
	return trace.SpanContextFromContext(ctx)
}

// link links the delivery to another span, if that is known.
func (s *span) link(to trace.SpanContext, what string) {
	if to.IsValid() {
		s.process.AddLink(trace.Link{SpanContext: to, Attributes: []attribute.KeyValue{keyLink.String(what)}})
	}
}

// Request implements worker.Span.
func (s *span) Request(r worker.Request) {
	operation := sendSpan
	if r.Asked {
		operation = askSpan
	}
	all := texts(make([]attribute.KeyValue, 0, 7), text{keyChannel, string(r.Channel)}, text{keyConnector, r.Connector}, text{keyClass, r.Class},
		text{keyCode, r.Code}, text{keyDetail, r.Detail}, text{keyRequestID, r.RequestID})
	fails := failed(r.Class)
	if fails {
		all = append(all, semconv.ErrorTypeKey.String(r.Class))
	}
	_, request := s.tracer.Start(s.ctx, operation+" "+string(r.Channel)+" "+r.Connector,
		trace.WithSpanKind(trace.SpanKindClient), trace.WithTimestamp(r.At), trace.WithAttributes(all...))
	if fails {
		request.SetStatus(codes.Error, r.Code)
	}
	request.End(trace.WithTimestamp(r.At.Add(r.Took)))
}

// failed reports whether a class is that of an error.
func failed(class string) bool {
	for _, c := range sender.Classes() {
		if c.String() == class {
			return true
		}
	}
	return false
}

// Outcome implements worker.Span.
func (s *span) Outcome(o messages.Outcome) {
	s.outcome = texts(s.outcome[:0], text{keyOutcome, string(o.Status)}, text{keyReason, string(o.Reason)}, text{keyDetail, o.Detail},
		text{keyConnector, o.Connector}, text{keyClass, o.Class}, text{keyCode, o.Code}, text{keyProviderID, o.ProviderID}, text{keyRequestID, o.RequestID})
	s.outcome = append(s.outcome, keyAttempt.Int(o.Attempt))
	s.failed = ""
	if o.Status == messages.StatusDead {
		s.failed = string(o.Reason)
	}
}

// End implements worker.Span.
func (s *span) End(e worker.Settled) {
	s.attributes = texts(s.attributes, text{semconv.MessagingMessageIDKey, e.ID}, text{semconv.MessagingConsumerGroupNameKey, string(e.Channel)},
		text{keyApp, e.App}, text{keyChannel, string(e.Channel)}, text{keyType, string(e.Type)}, text{keyDecision, e.Decision}, text{keyDetail, e.Detail})
	s.attributes = append(s.attributes, keyInDoubt.Bool(e.InDoubt))
	if e.Delay > 0 {
		s.attributes = append(s.attributes, keyDelay.Int64(e.Delay.Milliseconds()))
	}
	if s.failed != "" {
		s.attributes = append(s.attributes, semconv.ErrorTypeKey.String(s.failed))
		s.process.SetStatus(codes.Error, s.failed)
	}
	s.process.SetAttributes(append(s.attributes, s.outcome...)...)
	s.link(parse(e.Former), linkFormer)
	s.process.End(trace.WithTimestamp(e.At))
}

// text is an attribute that is left out if it is empty.
type text struct {
	key   attribute.Key
	value string
}

// texts adds the texts that are not empty.
func texts(to []attribute.KeyValue, all ...text) []attribute.KeyValue {
	for _, t := range all {
		if t.value != "" {
			to = append(to, t.key.String(t.value))
		}
	}
	return to
}
