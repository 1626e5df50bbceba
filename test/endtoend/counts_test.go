package endtoend_test

import (
	"context"
	"fmt"
	"maps"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/tally"
	"github.com/codeferry/codeferry/internal/telemetry"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker"
)

// TestTheCountsAgree sends codes with two workers, one after the other, and counts what the
// provider, the outcomes, the metrics and the traces say. The workers stop cleanly, so every
// number is exact. test/faults TestFleet counts the same while workers are killed.
func TestTheCountsAgree(t *testing.T) {
	c := newCounted(t)
	first := c.work("first")
	c.publish("sent")
	check.Equal(t, "sent: its last outcome", c.final("sent").Status, messages.StatusSent)
	c.fail(fakealiyun.Fault{Code: "SignatureNonceUsed", Count: 1})
	c.publish("failed-over")
	check.Equal(t, "failed-over: the connector that has sent it", c.final("failed-over").Connector, "backup")
	c.fail(fakealiyun.Fault{Code: "SignatureNonceUsed", Count: 2})
	c.publish("retried")
	check.Equal(t, "retried: its last outcome", c.final("retried").Status, messages.StatusSent)
	c.fail(fakealiyun.Fault{Code: "isv.MOBILE_NUMBER_ILLEGAL", Count: 1})
	c.publish("dead")
	check.Equal(t, "dead: its last outcome", c.final("dead").Status, messages.StatusDead)
	c.fail(fakealiyun.Fault{Drop: fakealiyun.DropAfter, Count: 1})
	c.publish("in-doubt")
	check.Equal(t, "in-doubt: its last outcome", c.final("in-doubt").Status, messages.StatusSent)
	c.fail(fakealiyun.Fault{Code: "SignatureNonceUsed"})
	c.publish("taken-over")
	c.outcome("taken-over", func(o messages.Outcome) bool { return o.Status == messages.StatusRetrying })
	first.stop()
	c.fail()
	second := c.work("second")
	check.Equal(t, "taken-over: its last outcome", c.final("taken-over").Status, messages.StatusSent)
	for n := range 20 {
		c.publish(fmt.Sprintf("more-%d", n))
	}
	for n := range 20 {
		c.final(fmt.Sprintf("more-%d", n))
	}
	second.stop()

	all := make(tally.Tally)
	for _, w := range []*countedWorker{first, second} {
		metrics, traces := w.counts()
		for _, difference := range tally.Differences(metrics, traces) {
			t.Errorf("%s worker: %s", w.name, difference)
		}
		check.Equal(t, w.name+" worker: exported spans", w.exported(), len(w.spans()))
		all.Add(metrics)
	}
	c.sameRequests(all)
	c.sameOutcomes(all)
	c.takenOver()
}

// sameRequests compares the requests as the provider knows them with the metrics and traces.
func (c *counted) sameRequests(metrics tally.Tally) {
	c.t.Helper()
	requests, inbox := c.box.Requests(), c.box.Inbox("")
	ok := c.spans("send", map[string]string{"codeferry.class": "ok"})
	found := c.spans("ask", map[string]string{"codeferry.class": "found"})
	check.Equal(c.t, "attempts in the metrics", metrics.Sum("attempt"), requests["SendSms"])
	check.Equal(c.t, "spans of questions", len(c.spans("ask", nil)), requests["QuerySendDetails"])
	check.Equal(c.t, "spans of requests that were accepted or found", len(ok)+len(found), len(inbox))
	check.Equal(c.t, "outcomes sent in the metrics", metrics.Sum("outcome", "sms", "sent"), len(inbox))
	accepted := make(map[string]bool) // by the provider's id of the request
	for _, m := range inbox {
		accepted[m.RequestID] = true
	}
	for _, s := range ok {
		id := s.Attributes["codeferry.request_id"]
		check.True(c.t, "the provider has accepted the request of this span, and no other span has it", accepted[id], s)
		delete(accepted, id)
	}
	check.Equal(c.t, "accepted requests without a span that says so, because their answers were lost and the provider was asked", len(accepted), len(found))
}

// takenOver checks the trace of the message that both workers had.
func (c *counted) takenOver() {
	c.t.Helper()
	all := c.spans("process", map[string]string{"messaging.message.id": "taken-over"})
	if len(all) < 2 {
		c.t.Fatalf("taken-over has %d deliveries, want one by each worker", len(all))
	}
	last, before := all[len(all)-1], all[len(all)-2]
	check.Equal(c.t, "taken-over: the worker of the first delivery", all[0].Resource["service.instance.id"], "first")
	check.Equal(c.t, "taken-over: the worker of the last delivery", last.Resource["service.instance.id"], "second")
	check.Equal(c.t, "taken-over: the trace of the last delivery", last.Trace, all[0].Trace)
	check.Equal(c.t, "taken-over: the links of the last delivery", fmt.Sprint(last.Links),
		fmt.Sprint([]otlptest.Link{{Trace: before.Trace, ID: before.ID, Why: "former-delivery"}}))
}

// counted is a server, a fake Aliyun, a collector, and the configuration of workers.
type counted struct {
	*testrig.Rig
	t         *testing.T
	box       *fakealiyun.Server
	collector *otlptest.Collector
	config    *config.Config
	board     *board
}

func newCounted(t *testing.T) *counted {
	t.Helper()
	c := &counted{Rig: testrig.New(t), t: t, box: fakealiyun.New(fakealiyun.Options{}), collector: otlptest.HTTP(t), board: newBoard()}
	web := httptest.NewServer(c.box)
	t.Cleanup(web.Close)
	t.Cleanup(c.box.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.collector.URL)
	c.Outcomes(c.board.take)
	var err error
	c.config, err = config.Parse("test.yaml", []byte(strings.ReplaceAll(`
apps:
  default: {sms: [mainland, backup]}
connectors:
  mainland: &sms
    type: aliyun-sms
    endpoint: PROVIDER
    accessKeyId: testid
    accessKeySecret: testsecret
    signName: Example
    askGrace: 80ms
    templates: [{usageType: SignIn, templateCode: SMS_1}, {usageType: Register, templateCode: SMS_1}, {usageType: ForgotPassword, templateCode: SMS_1}, {usageType: Generic, templateCode: SMS_1}]
  backup: {<<: *sms, signName: Other}
worker: {concurrency: 4, accountPause: 100ms, healthPause: 100ms, retry: {initialInterval: 20ms, maxInterval: 200ms, maxAttempts: 10000}}
`, "PROVIDER", web.URL)), config.Env{})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// countedWorker is a worker with its own metrics and traces.
type countedWorker struct {
	name string
	c    *counted
	// metrics are the worker's, exports are those of its spans.
	metrics, exports *prometheus.Registry
	// stop stops it, and returns when its last span is exported.
	stop func()
}

func (c *counted) work(name string) *countedWorker {
	c.t.Helper()
	c.t.Setenv("OTEL_RESOURCE_ATTRIBUTES", "service.instance.id="+name)
	w := &countedWorker{name: name, c: c, exports: prometheus.NewRegistry()}
	traces, err := telemetry.Start(c.t.Context(), telemetry.Options{Metrics: telemetry.NewMetrics(w.exports), Log: zerolog.New(&c.Log), StopTimeout: patience})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(traces.Stop)
	_, stop := c.Work(worker.Options{
		Conn: testrig.Connect(c.t, c.Server.URL()), Config: c.config, Tracer: traces.Tracer(),
		Ensure: func(ctx context.Context) error { return broker.Ensure(ctx, c.JS, wire.StreamOptions{}) },
	})
	w.metrics = c.Metrics
	w.stop = func() {
		stop()
		traces.Stop()
	}
	return w
}

// counts returns what the metrics and the traces of the worker say. Call it after stop.
func (w *countedWorker) counts() (metrics, traces tally.Tally) {
	w.c.t.Helper()
	families, err := w.metrics.Gather()
	if err != nil {
		w.c.t.Fatal(err)
	}
	traces = make(tally.Tally)
	for _, s := range w.spans() {
		traces.AddSpan(s)
	}
	return tally.OfMetrics(families), traces
}

func (w *countedWorker) spans() (all []otlptest.Span) {
	for _, s := range w.c.collector.Spans() {
		if s.Resource["service.instance.id"] == w.name {
			all = append(all, s)
		}
	}
	return all
}

// exported is the number of spans that the worker calls exported. It fails the test if the
// worker calls any dropped or failed.
func (w *countedWorker) exported() (n int) {
	w.c.t.Helper()
	families, err := w.exports.Gather()
	if err != nil {
		w.c.t.Fatal(err)
	}
	for _, m := range families[0].GetMetric() {
		count := int(m.GetCounter().GetValue())
		if result := m.GetLabel()[0].GetValue(); result == "exported" {
			n = count
		} else {
			check.Equal(w.c.t, w.name+" worker: spans that are "+result, count, 0)
		}
	}
	return n
}

// spans returns the spans of both workers of a kind, whose attributes have some values.
func (c *counted) spans(kind string, attributes map[string]string) (all []otlptest.Span) {
	for _, s := range c.collector.Spans() {
		has := strings.HasPrefix(s.Name, kind+" ")
		for name, value := range attributes {
			has = has && s.Attributes[name] == value
		}
		if has {
			all = append(all, s)
		}
	}
	return all
}

func (c *counted) publish(id string) {
	c.t.Helper()
	body := fmt.Sprintf(`{"id":%q,"to":"+8613055512345","type":"SignIn","payload":{"code":"739205"}}`, id)
	if _, err := c.JS.Publish(testrig.Context(c.t), "codeferry.send.default.sms.SignIn."+id, []byte(body)); err != nil {
		c.t.Fatal(err)
	}
}

// fail makes requests that send an SMS fail.
func (c *counted) fail(all ...fakealiyun.Fault) {
	c.t.Helper()
	for i := range all {
		all[i].Action = "SendSms"
	}
	if err := c.box.SetFaults(all); err != nil {
		c.t.Fatal(err)
	}
}

// outcome waits for a message's first outcome that wanted accepts.
func (c *counted) outcome(id string, wanted func(messages.Outcome) bool) messages.Outcome {
	c.t.Helper()
	story, ok := c.board.story(testrig.Context(c.t), id, wanted)
	if !ok {
		c.t.Fatalf("%s has no such outcome; so far %+v\n%s", id, story, c.Log.String())
	}
	return story[len(story)-1]
}

func (c *counted) final(id string) messages.Outcome {
	c.t.Helper()
	return c.outcome(id, func(o messages.Outcome) bool { return o.Status.Final() })
}

// sameOutcomes compares the outcomes that were published with those in the metrics.
func (c *counted) sameOutcomes(metrics tally.Tally) {
	c.t.Helper()
	want := metrics.Sum("outcome")
	check.Eventually(c.t, fmt.Sprint("as many outcomes have come as the metrics count: ", want), func() bool { return c.published().Sum("outcome") >= want })
	counts := maps.Clone(metrics)
	maps.DeleteFunc(counts, func(k string, _ int) bool { return !strings.HasPrefix(k, "outcome ") })
	check.Equal(c.t, "published outcomes", fmt.Sprint(c.published()), fmt.Sprint(counts))
}

// published counts the outcomes that have come.
func (c *counted) published() tally.Tally {
	all := make(tally.Tally)
	c.board.each(func(o messages.Outcome) {
		all[tally.Outcome(string(o.Channel), string(o.Status), string(o.Reason), o.Connector)]++
	})
	return all
}
