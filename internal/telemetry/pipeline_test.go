package telemetry_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/testmain"

	"github.com/nats-io/nats.go"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/replay"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/telemetry"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

func TestMain(m *testing.M) { testmain.NoLeaks(m) }

const (
	publisherTrace  = "0af7651916cd43dd8448eb211c80319c"
	publisherSpan   = "b7ad6b7169203331"
	publisherParent = "00-" + publisherTrace + "-" + publisherSpan + "-01"
)

// started starts the export as the OTEL_ variables say.
func started(t *testing.T, log *syncbuf.Buffer, m *telemetry.Metrics) *telemetry.Traces {
	t.Helper()
	traces, err := telemetry.Start(t.Context(), telemetry.Options{Version: "v9", Metrics: m, Log: zerolog.New(log)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traces.Stop)
	return traces
}

// pipeline is a worker between NATS and a fake Aliyun.
type pipeline struct {
	*testrig.Rig
	t        *testing.T
	box      *fakealiyun.Server
	outcomes chan messages.Outcome
}

func newPipeline(t *testing.T, tracer worker.Tracer) *pipeline {
	t.Helper()
	p := &pipeline{Rig: testrig.New(t), t: t, box: fakealiyun.New(fakealiyun.Options{}), outcomes: make(chan messages.Outcome, 1000)}
	web := httptest.NewServer(p.box)
	t.Cleanup(web.Close)
	t.Cleanup(p.box.Close)
	key, err := wire.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := config.Parse("test.yaml", []byte(strings.ReplaceAll(`
apps:
  default: {sms: [mainland, backup]}
connectors:
  mainland: &sms
    type: aliyun-sms
    endpoint: SANDBOX
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: Example
    askGrace: 80ms
    templates:
      - {usageType: Register, templateCode: SMS_1}
      - {usageType: SignIn, templateCode: SMS_2}
      - {usageType: ForgotPassword, templateCode: SMS_3}
      - {usageType: Generic, templateCode: SMS_4}
  backup: {<<: *sms, signName: Other}
worker: {concurrency: 4, grace: 5s, accountPause: 100ms, healthPause: 100ms, retry: {initialInterval: 20ms, maxInterval: 1s, maxAttempts: 8}}
`, "SANDBOX", web.URL)), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Sealing.Keys = []wire.PrivateKey{key}
	p.Outcomes(func(o messages.Outcome) { p.outcomes <- o })
	p.Work(worker.Options{
		Conn: testrig.Connect(t, p.Server.URL()), Config: cfg, Tracer: tracer,
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, p.JS, wire.StreamOptions{}) },
	})
	return p
}

// send publishes a code, and waits for its last outcome.
func (p *pipeline) send(id, traceParent string) messages.Outcome {
	p.t.Helper()
	m := nats.NewMsg("codeferry.send.default.sms.SignIn.user-" + id)
	m.Data = fmt.Appendf(nil, `{"id":%q,"to":"+8613055512345","type":"SignIn","payload":{"code":"739205"}}`, id)
	if traceParent != "" {
		m.Header.Set("traceparent", traceParent)
	}
	if _, err := p.JS.PublishMsg(testrig.Context(p.t), m); err != nil {
		p.t.Fatal(err)
	}
	return p.final(id)
}

func (p *pipeline) final(id string) messages.Outcome {
	p.t.Helper()
	limit := testrig.Context(p.t)
	for {
		select {
		case o := <-p.outcomes:
			if o.ID == id && o.Status.Final() {
				return o
			}
		case <-limit.Done():
			p.t.Fatalf("%s has no last outcome: %s", id, p.Log.String())
		}
	}
}

// fail makes requests to the provider fail.
func (p *pipeline) fail(f fakealiyun.Fault) {
	p.t.Helper()
	if err := p.box.SetFaults([]fakealiyun.Fault{f}); err != nil {
		p.t.Fatal(err)
	}
}

// of returns the spans of a trace whose names begin with a word.
func of(spans []otlptest.Span, trace, word string) (all []otlptest.Span) {
	for _, s := range spans {
		if s.Trace == trace && strings.HasPrefix(s.Name, word+" ") {
			all = append(all, s)
		}
	}
	return all
}

// traceOf returns the trace of a message.
func traceOf(spans []otlptest.Span, id string) string {
	for _, s := range spans {
		if s.Attributes["messaging.message.id"] == id {
			return s.Trace
		}
	}
	return ""
}

// outcomeOf reports whether the delivery with this outcome was exported.
func outcomeOf(id, outcome string) func([]otlptest.Span) bool {
	return func(spans []otlptest.Span) bool {
		for _, s := range spans {
			if s.Attributes["messaging.message.id"] == id && s.Attributes["codeferry.outcome"] == outcome {
				return true
			}
		}
		return false
	}
}

func attributes(t *testing.T, what string, s otlptest.Span, want map[string]string) {
	t.Helper()
	for name, value := range want {
		check.Equal(t, what+": "+name, s.Attributes[name], value)
	}
}

const template = "codeferry.send.{app}.{channel}.{type}.{key}"

// TestSpans follows codes through the whole pipeline to a collector.
func TestSpans(t *testing.T) {
	for name, collector := range map[string]func(testing.TB) *otlptest.Collector{"http/protobuf": otlptest.HTTP, "grpc": otlptest.GRPC} {
		t.Run(name, func(t *testing.T) {
			c := collector(t)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", name)
			t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "20")
			t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=test")
			var log syncbuf.Buffer
			p := newPipeline(t, started(t, &log, nil).Tracer())
			t.Run("sent", func(t *testing.T) { testSent(t, p, c) })
			t.Run("retried", func(t *testing.T) { testRetried(t, p, c) })
			t.Run("dead and replayed", func(t *testing.T) { testReplayed(t, p, c) })
			t.Run("in doubt", func(t *testing.T) { testDoubt(t, p, c) })
			check.Equal(t, "the log of the export", log.String(), "")
			for _, secret := range []string{"739205", "13055512345", "user-sent", "testsecret"} {
				check.True(t, "no span shows "+secret, !strings.Contains(string(c.Raw()), secret), "")
			}
		})
	}
}

// testSent: publisher -> wait -> process -> send.
func testSent(t *testing.T, p *pipeline, c *otlptest.Collector) {
	p.t = t
	p.send("sent", publisherParent)
	spans := c.Await(t, "the span of sent", outcomeOf("sent", "sent"))
	wait, process, send := one(t, of(spans, publisherTrace, "wait")), one(t, of(spans, publisherTrace, "process")), one(t, of(spans, publisherTrace, "send"))
	check.Equal(t, "wait: name", wait.Name, "wait "+template)
	check.Equal(t, "wait: kind", wait.Kind, "SPAN_KIND_INTERNAL")
	check.Equal(t, "wait: parent", wait.Parent, publisherSpan)
	check.True(t, "the wait ends when the delivery begins", wait.End.Equal(process.Start), []time.Time{wait.End, process.Start})
	check.Equal(t, "process: name", process.Name, "process "+template)
	check.Equal(t, "process: kind", process.Kind, "SPAN_KIND_CONSUMER")
	check.Equal(t, "process: parent", process.Parent, wait.ID)
	check.Equal(t, "process: links", fmt.Sprint(process.Links), fmt.Sprint([]otlptest.Link{{Trace: publisherTrace, ID: publisherSpan, Why: "published"}}))
	attributes(t, "process", process, map[string]string{
		"messaging.system": "nats", "messaging.destination.template": template, "messaging.operation.name": "process", "messaging.operation.type": "process",
		"messaging.consumer.group.name": "sms", "messaging.destination.name": "",
		"codeferry.app": "default", "codeferry.channel": "sms", "codeferry.type": "SignIn", "codeferry.delivery": "1", "codeferry.replay": "",
		"codeferry.decision": "sent", "codeferry.outcome": "sent", "codeferry.connector": "mainland", "codeferry.attempt": "1", "codeferry.in_doubt": "false", "error.type": "",
	})
	check.True(t, "process has the provider's id", process.Attributes["codeferry.provider_id"] != "", process.Attributes)
	check.Equal(t, "send: name", send.Name, "send sms mainland")
	check.Equal(t, "send: kind", send.Kind, "SPAN_KIND_CLIENT")
	check.Equal(t, "send: parent", send.Parent, process.ID)
	attributes(t, "send", send, map[string]string{"codeferry.channel": "sms", "codeferry.connector": "mainland", "codeferry.class": "ok", "error.type": ""})
	check.True(t, "send has the request's id", send.Attributes["codeferry.request_id"] != "", send.Attributes)
	for name, want := range map[string]string{"service.name": "codeferry", "service.version": "v9", "deployment.environment.name": "test", "telemetry.sdk.language": "go"} {
		check.Equal(t, "resource: "+name, process.Resource[name], want)
	}
	check.True(t, "the log has the trace", strings.Contains(p.Log.String(), `"trace":"`+publisherTrace+`"`), p.Log.String())
	families, err := p.Metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"codeferry_queue_seconds", "codeferry_delivery_seconds", "codeferry_provider_seconds"} {
		found := false
		for _, f := range families {
			found = found || f.GetName() == name && strings.Contains(f.String(), publisherTrace)
		}
		check.True(t, name+" has the trace as an exemplar", found, "")
	}
}

// testRetried: without a publisher's trace all deliveries are in one trace, below the first
// span, and each links to the one before.
func testRetried(t *testing.T, p *pipeline, c *otlptest.Collector) {
	p.t = t
	p.fail(fakealiyun.Fault{Action: "SendSms", Code: "SignatureNonceUsed", Count: 2})
	p.send("retried", "")
	spans := c.Await(t, "the span of retried", outcomeOf("retried", "sent"))
	trace := traceOf(spans, "retried")
	wait, process := one(t, of(spans, trace, "wait")), of(spans, trace, "process")
	check.Equal(t, "the first span has no parent", wait.Parent, "")
	check.True(t, "there are two deliveries or more", len(process) >= 2, process)
	check.Equal(t, "links of the first delivery", len(process[0].Links), 0)
	for i, s := range process {
		check.Equal(t, fmt.Sprint("parent of delivery ", i+1), s.Parent, wait.ID)
		attributes(t, fmt.Sprint("delivery ", i+1), s, map[string]string{"codeferry.delivery": fmt.Sprint(i + 1)})
		if i > 0 {
			check.Equal(t, fmt.Sprint("links of delivery ", i+1), fmt.Sprint(s.Links), fmt.Sprint([]otlptest.Link{{Trace: trace, ID: process[i-1].ID, Why: "former-delivery"}}))
		}
	}
	attributes(t, "the first delivery", process[0], map[string]string{"codeferry.decision": "retry", "codeferry.outcome": "retrying", "codeferry.code": "SignatureNonceUsed"})
	check.True(t, "the first delivery says how long the message waits", process[0].Attributes["codeferry.delay_ms"] != "", process[0].Attributes)
	failed := of(spans, trace, "send")[0]
	check.True(t, "the first request has failed", failed.Failed, failed)
	attributes(t, "the first request", failed, map[string]string{"codeferry.code": "SignatureNonceUsed", "error.type": failed.Attributes["codeferry.class"]})
}

// testReplayed: a replay continues the trace of its dead letter.
func testReplayed(t *testing.T, p *pipeline, c *otlptest.Collector) {
	p.t = t
	p.fail(fakealiyun.Fault{Action: "SendSms", Code: "isv.MOBILE_NUMBER_ILLEGAL", Count: 1})
	check.Equal(t, "outcome", p.send("replayed", "").Status, messages.StatusDead)
	if _, err := replay.Run(testrig.Context(t), p.NC, p.JS, replay.Options{}); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "outcome of the replay", p.final("replayed").Status, messages.StatusSent)
	spans := c.Await(t, "the span of the replay", outcomeOf("replayed", "sent"))
	trace := traceOf(spans, "replayed")
	process, waits := of(spans, trace, "process"), of(spans, trace, "wait")
	check.Equal(t, "deliveries in the trace", len(process), 2)
	check.Equal(t, "waits in the trace", len(waits), 2)
	dead, again := process[0], process[1]
	attributes(t, "dead", dead, map[string]string{"codeferry.decision": "dead", "codeferry.outcome": "dead", "codeferry.reason": "rejected", "error.type": "rejected"})
	check.True(t, "the delivery has failed", dead.Failed, dead)
	attributes(t, "replay", again, map[string]string{"codeferry.replay": "1", "codeferry.outcome": "sent"})
	check.Equal(t, "links of the replay", fmt.Sprint(again.Links), fmt.Sprint([]otlptest.Link{{Trace: trace, ID: dead.ID, Why: "replayed"}}))
	check.Equal(t, "parent of the replay's wait", waits[1].Parent, dead.ID)
}

// testDoubt: the answer is lost, and the provider is asked.
func testDoubt(t *testing.T, p *pipeline, c *otlptest.Collector) {
	p.t = t
	p.fail(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 1})
	p.send("doubt", "")
	spans := c.Await(t, "the span of doubt", outcomeOf("doubt", "sent"))
	trace := traceOf(spans, "doubt")
	process, asks := of(spans, trace, "process"), of(spans, trace, "ask")
	attributes(t, "the first delivery", process[0], map[string]string{"codeferry.decision": "doubt", "codeferry.outcome": "unknown", "codeferry.in_doubt": "true"})
	check.True(t, "the provider was asked", len(asks) > 0, spans)
	last := asks[len(asks)-1]
	check.Equal(t, "ask: name", last.Name, "ask sms mainland")
	attributes(t, "ask", last, map[string]string{"codeferry.class": "found"})
}

func one(t *testing.T, spans []otlptest.Span) otlptest.Span {
	t.Helper()
	if len(spans) != 1 {
		t.Fatalf("there are %d spans, want 1: %+v", len(spans), spans)
	}
	return spans[0]
}
