package worker

import (
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// Tracer makes the spans of deliveries. The worker knows no tracing library. What it tells
// a Tracer may be shown: it is what logs and outcomes show. Nothing here may block. A panic
// costs the span, and nothing else.
type Tracer interface {
	// Begin begins the span of a delivery. It returns nil if the delivery is not sampled.
	Begin(t Taken) Span
}

// Taken is a message that a slot has taken.
type Taken struct {
	// TraceParent is the message's W3C traceparent; empty if it has no valid one.
	TraceParent string
	// Sequence and StoredAt are its place in the stream.
	Sequence uint64
	StoredAt time.Time
	// Delivery counts its deliveries, from 1, and Epoch its replays.
	Delivery uint64
	Epoch    int
	// At is when the slot took it.
	At time.Time
}

// Span is a delivery that is sampled. One goroutine uses it.
type Span interface {
	// TraceID is the id of its trace, in hexadecimal digits.
	TraceID() string
	// TraceParent is the span as a W3C traceparent.
	TraceParent() string
	// Request tells of a request to a provider, when it has ended.
	Request(r Request)
	// Outcome tells of an outcome that was published. If there are several, the last one
	// is the delivery's.
	Outcome(o messages.Outcome)
	// End ends the span.
	End(s Settled)
}

// Request is a request to a provider, or an attempt for which none could be made.
type Request struct {
	// Asked is true if the provider was asked about the message in place of sending it.
	Asked   bool
	Channel messages.Channel
	// Attempt has the connector, the time and the result. Its class is ok, or the error's;
	// for a question it is also found or missing.
	messages.Attempt
	Took time.Duration
}

// Settled is a delivery at its end.
type Settled struct {
	ID      string
	App     string
	Channel messages.Channel
	Type    messages.Type
	// Decision is what the stages decided: one of a closed set. Detail says why, and Delay
	// is how long the message waits if it is put back.
	Decision string
	Detail   string
	Delay    time.Duration
	// InDoubt is true if a connector may have accepted the message, and nobody knows.
	InDoubt bool
	// Former is the span of the delivery before, as a traceparent; empty if it is not
	// known.
	Former string
	At     time.Time
}

// decisions are the names of the actions in spans.
var decisions = map[action]string{
	actSent: "sent", actDone: "done", actSuperseded: "superseded", actDead: "dead", actRetry: "retry", actDoubt: "doubt",
	actAskAgain: "ask-again", actDefer: "defer", actRelease: "release", actPutBack: "put-back", actDrop: "drop", actPanicked: "panicked",
}

// tracing begins the trace of each delivery.
type tracing struct {
	// tracer is nil if nothing is traced.
	tracer Tracer
	log    zerolog.Logger
}

// begin begins the trace of a delivery that a slot took at a time.
func (t *tracing) begin(m *jetpull.Message, at time.Time) (begun traced) {
	parent := traceParent(m.Header)
	begun.id = wire.TraceID(parent)
	if t.tracer == nil {
		return begun
	}
	defer t.survive()
	span := t.tracer.Begin(Taken{
		TraceParent: parent, Sequence: m.Sequence, StoredAt: m.StoredAt, Delivery: m.Delivered, Epoch: wire.Epoch(m.Header), At: at,
	})
	if span != nil {
		begun = traced{id: span.TraceID(), span: span, of: t}
	}
	return begun
}

// survive ends a panic of the tracer: the message has nothing to do with it, and may have
// been sent just now.
func (t *tracing) survive() {
	if r := recover(); r != nil {
		t.log.Error().Bytes("stack", debug.Stack()).Msg("tracing panicked; the message goes on, and its span may be lost")
	}
}

// traceParent returns the header's traceparent; empty if it is not a valid one.
func traceParent(h map[string][]string) string {
	if v := h[wire.TraceParentHeader]; len(v) > 0 && wire.TraceID(v[0]) != "" {
		return v[0]
	}
	return ""
}

// traced is the trace of a delivery. The zero value is that of a message without one.
type traced struct {
	// id is the trace's id, for logs: the publisher's, or that of the span.
	id string
	// span is nil if the delivery is not sampled.
	span Span
	of   *tracing
}

// observe observes a time, with the trace as its exemplar.
func (t traced) observe(o prometheus.Observer, d time.Duration) {
	if e, ok := o.(prometheus.ExemplarObserver); ok && t.span != nil {
		e.ObserveWithExemplar(d.Seconds(), prometheus.Labels{"trace_id": t.id})
		return
	}
	o.Observe(d.Seconds())
}

// parent returns the span as a traceparent; empty if there is none.
func (t traced) parent() string {
	if t.span == nil {
		return ""
	}
	defer t.of.survive()
	return t.span.TraceParent()
}

// request tells of a request that has ended.
func (t traced) request(c messages.Channel, a messages.Attempt, took time.Duration) {
	if t.span != nil {
		defer t.of.survive()
		t.span.Request(Request{Channel: c, Attempt: a, Took: took})
	}
}

// traceQuestion tells of a question to a provider that has ended.
func (d *delivery) traceQuestion(c *connector, began time.Time, took time.Duration, found bool, err error) {
	if d.traced.span == nil {
		return
	}
	defer d.traced.of.survive()
	a := messages.Attempt{Connector: c.name, At: began, Class: "missing"}
	switch {
	case found:
		a.Class = "found"
	case err != nil:
		e := redacted(sender.AsError(err), d.code)
		a.Class, a.Code, a.Detail, a.RequestID = e.Class.String(), e.Code, e.Detail, e.RequestID
	}
	d.traced.span.Request(Request{Asked: true, Channel: d.subject.Channel, Attempt: a, Took: took})
}

// outcome tells of an outcome.
func (t traced) outcome(o messages.Outcome) {
	if t.span != nil {
		defer t.of.survive()
		t.span.Outcome(o)
	}
}

// endTrace ends the delivery's span. v is what the stages decided.
func (d *delivery) endTrace(v verdict, at time.Time) {
	if d.traced.span == nil {
		return
	}
	defer d.traced.of.survive()
	d.traced.span.End(Settled{
		ID: d.id, App: d.subject.App, Channel: d.subject.Channel, Type: d.code.Type,
		Decision: decisions[v.action], Detail: v.detail, Delay: v.delay,
		InDoubt: d.mayHaveBeenSent(), Former: d.former, At: at,
	})
}

// MarshalZerologObject adds to a log line which delivery it is about.
func (d *delivery) MarshalZerologObject(e *zerolog.Event) {
	e.Str("id", d.id)
	if d.traced.id != "" {
		e.Str("trace", d.traced.id)
	}
}
