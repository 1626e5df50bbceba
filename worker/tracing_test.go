package worker

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

const (
	someTrace  = "0af7651916cd43dd8448eb211c80319c"
	someParent = "00-" + someTrace + "-b7ad6b7169203331-01"
)

// notes is a tracer that keeps what it is told, as one line.
type notes struct {
	*trace
	// unsampled makes it decline every delivery.
	unsampled bool
}

func (n notes) Begin(t Taken) Span {
	n.add("begin %d after %v with %q", t.Delivery, t.At.Sub(t.StoredAt), t.TraceParent)
	if n.unsampled {
		return nil
	}
	return notedSpan{n.trace, t.Delivery}
}

type notedSpan struct {
	*trace
	delivery uint64
}

func (s notedSpan) TraceID() string     { return someTrace }
func (s notedSpan) TraceParent() string { return fmt.Sprintf("00-%s-%016x-01", someTrace, s.delivery) }

func (s notedSpan) Request(r Request) {
	s.add("%s %s %s %s %v", map[bool]string{false: "send", true: "ask"}[r.Asked], r.Channel, r.Connector, r.Class, r.Took)
}
func (s notedSpan) Outcome(o messages.Outcome) { s.add("outcome %s", o.Status) }
func (s notedSpan) End(e Settled) {
	s.add("end %s %s in doubt %v delay %v former %q", e.ID, e.Decision, e.InDoubt, e.Delay, e.Former)
}

// TestTracer: what the tracer is told of each delivery of a message.
func TestTracer(t *testing.T) {
	unknown := &sender.Error{Class: sender.Unknown, Code: "time-out"}
	for name, c := range map[string]struct {
		a    sender.Sender
		want string
	}{
		"sent": {new(fakeSender), `begin 1 after 3s with "", send sms a ok 0s, end id-1 sent in doubt false delay 0s former ""`},
		"retried": {
			failing(&sender.Error{Class: sender.Unavailable, Code: "down"}),
			`begin 1 after 3s with "", send sms a unavailable 0s, end id-1 retry in doubt false delay 1s former "", ` +
				`begin 2 after 33s with "", send sms a unavailable 0s, end id-1 retry in doubt false delay 2s former "00-` + someTrace + `-0000000000000001-01"`,
		},
		"asked": {
			&fakeAsker{fakeSender: *failing(unknown), ask: func(*sender.Message, time.Time) (bool, error) { return true, nil }},
			`begin 1 after 3s with "", send sms a unknown 0s, end id-1 doubt in doubt true delay 1s former "", ` +
				`begin 2 after 33s with "", ask sms a found 0s, end id-1 sent in doubt true delay 0s former "00-` + someTrace + `-0000000000000001-01"`,
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			r, told := newSettling(t), new(trace)
			p := staged(r, false, connect("a", c.a))
			p.tracing = tracing{notes{trace: told}, zerolog.Nop()}
			m := given{msgID: "msg-1", storedAt: time.Now()}
			after(3 * time.Second)
			for range strings.Count(c.want, "begin") {
				m.delivered++
				m.arrived = time.Now()
				p.handle(t.Context(), m.message(t, r.wire))
				synctest.Wait()
				after(30 * time.Second)
			}
			r.acks.confirm(nil)
			check.Equal(t, name, told.String(), c.want)
		})
	}
}

// TestATracerThatPanics: a span is lost, and no message is sent twice or becomes poison.
func TestATracerThatPanics(t *testing.T) {
	for _, at := range []string{"begin", "send", "end"} {
		synctest.Test(t, func(t *testing.T) {
			r, a := newSettling(t), new(fakeSender)
			p := staged(r, false, connect("a", a))
			var log strings.Builder
			p.tracing = tracing{notes{trace: &trace{panicAt: at}}, zerolog.New(&log)}
			n, all := deliver(t, r, p, 5)
			check.Equal(t, "at "+at+": deliveries", n, 1)
			check.Equal(t, "at "+at+": requests", a.requests(), 1)
			check.Equal(t, "at "+at+": steps", all, "1: tell sent, ack; ")
			contains(t, "at "+at+": the log", log.String(), "tracing panicked")
		})
	}
}

// TestTraceInLogs: a line about a delivery has its trace: that of its span, or the
// publisher's, also if nothing is traced. A header that is not valid is not shown.
func TestTraceInLogs(t *testing.T) {
	for name, c := range map[string]struct {
		header string
		tracer Tracer
		want   string
	}{
		"nothing":                    {"", nil, ""},
		"the publisher's":            {someParent, nil, someTrace},
		"not valid":                  {"my-secret", nil, ""},
		"sampled":                    {"", notes{trace: new(trace)}, someTrace},
		"not sampled":                {"", notes{trace: new(trace), unsampled: true}, ""},
		"the publisher's, unsampled": {someParent, notes{trace: new(trace), unsampled: true}, someTrace},
	} {
		m := given{header: nats.Header{"traceparent": {c.header}}}.message(t, nowhere())
		of := tracing{c.tracer, zerolog.Nop()}
		var log strings.Builder
		l := zerolog.New(&log)
		l.Info().EmbedObject(&delivery{msg: m, opened: opened{id: "id-1"}, traced: of.begin(m, noon)}).Send()
		want := `{"level":"info","id":"id-1"}`
		if c.want != "" {
			want = `{"level":"info","id":"id-1","trace":"` + c.want + `"}`
		}
		check.Equal(t, name, strings.TrimSpace(log.String()), want)
	}
}

// TestTraceInDeadLetters: a dead letter keeps the publisher's trace context, or else the
// delivery's, so that a replay continues the trace.
func TestTraceInDeadLetters(t *testing.T) {
	l := deadLetters{channel: messages.SMS, now: atNoon}
	for name, c := range map[string]struct {
		header string
		span   Span
		want   string
	}{
		"none":            {"", nil, ""},
		"the publisher's": {someParent, notedSpan{new(trace), 3}, someParent},
		"the delivery's":  {"", notedSpan{new(trace), 3}, "00-" + someTrace + "-0000000000000003-01"},
	} {
		d := given{header: nats.Header{"traceparent": {c.header}}}.open(t, nowhere())
		d.traced = traced{span: c.span, of: new(tracing)}
		check.Equal(t, name, l.letter(d, verdict{action: actDead, reason: messages.ReasonExpired}).TraceParent, c.want)
	}
}

// TestExemplars: a time of a delivery that is sampled has its trace as an exemplar.
func TestExemplars(t *testing.T) {
	for _, sampled := range []bool{true, false} {
		h := new(exemplars)
		d := traced{id: someTrace}
		if sampled {
			d.span = notedSpan{new(trace), 1}
		}
		d.observe(h, 1500*time.Millisecond)
		want := "1.5 map[]"
		if sampled {
			want = "1.5 map[trace_id:" + someTrace + "]"
		}
		check.Equal(t, fmt.Sprintf("sampled %v", sampled), h.got, want)
	}
}

type exemplars struct{ got string }

func (e *exemplars) Observe(v float64) { e.ObserveWithExemplar(v, nil) }

func (e *exemplars) ObserveWithExemplar(v float64, l prometheus.Labels) {
	e.got = fmt.Sprint(v, " ", map[string]string(l))
}
