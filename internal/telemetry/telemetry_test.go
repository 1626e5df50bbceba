package telemetry_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/otlptest"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/telemetry"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker"
)

// TestSwitch: which variables switch traces on.
func TestSwitch(t *testing.T) {
	const endpoint = "http://127.0.0.1:1"
	for name, c := range map[string]struct {
		env     map[string]string
		on      bool
		warning string
	}{
		"nothing is set":       {},
		"the endpoint":         {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}, on: true},
		"the traces' endpoint": {env: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint}, on: true},
		"the exporter":         {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp"}, on: true},
		"gRPC":                 {env: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, on: true},
		"no exporter":          {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_TRACES_EXPORTER": "none"}},
		"disabled":             {env: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": endpoint, "OTEL_SDK_DISABLED": "true"}},
		"another exporter":     {env: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, warning: `OTEL_TRACES_EXPORTER is \"zipkin\"`},
		"another protocol": {
			env:     map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"},
			warning: `OTEL_EXPORTER_OTLP_TRACES_PROTOCOL is \"http/json\"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			for name, value := range c.env {
				t.Setenv(name, value)
			}
			for limit := time.Now().Add(time.Minute); openTelemetry() != "" && time.Now().Before(limit); {
				runtime.Gosched() // an export of the test before is about to end
			}
			var log syncbuf.Buffer
			traces := started(t, &log, nil)
			check.Equal(t, "on", traces.Tracer() != nil, c.on)
			check.Equal(t, "the log is empty", log.String() == "", c.warning == "")
			check.True(t, "the log has the warning", strings.Contains(log.String(), c.warning), log.String())
			if !c.on {
				check.Equal(t, "the goroutines of OpenTelemetry", openTelemetry(), "")
			}
		})
	}
}

// openTelemetry returns the stacks of all goroutines if OpenTelemetry has one.
func openTelemetry() string {
	stacks := make([]byte, 1<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	if !strings.Contains(string(stacks), "go.opentelemetry.io") {
		return ""
	}
	return string(stacks)
}

// taken is the nth message. Its code is a minute old.
func taken(n int) worker.Taken {
	at := time.Now()
	return worker.Taken{Sequence: uint64(n), StoredAt: at.Add(-time.Minute), Delivery: 1, At: at}
}

// TestSampling: the sampler is that of the variables, and goes by the publisher.
func TestSampling(t *testing.T) {
	unsampled := strings.TrimSuffix(publisherParent, "01") + "00"
	for name, c := range map[string]struct {
		sampler, share string
		parent         string
		want           bool
	}{
		"by default":                         {"", "", "", true},
		"by default, the publisher is not":   {"", "", unsampled, false},
		"none":                               {"parentbased_traceidratio", "0", "", false},
		"none, but the publisher is":         {"parentbased_traceidratio", "0", publisherParent, true},
		"all, but the publisher is not":      {"parentbased_traceidratio", "1", unsampled, false},
		"always off, although the publisher": {"always_off", "", publisherParent, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlptest.HTTP(t).URL)
			t.Setenv("OTEL_TRACES_SAMPLER", c.sampler)
			t.Setenv("OTEL_TRACES_SAMPLER_ARG", c.share)
			var log syncbuf.Buffer
			m := taken(1)
			m.TraceParent = c.parent
			span := started(t, &log, nil).Tracer().Begin(m)
			check.Equal(t, "sampled", span != nil, c.want)
			if span != nil {
				span.End(worker.Settled{At: time.Now()})
			}
		})
	}
}

// TestShare: a share of the messages is sampled, and all deliveries of one message alike, by
// whichever worker.
func TestShare(t *testing.T) {
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", otlptest.HTTP(t).URL)
	t.Setenv("OTEL_TRACES_SAMPLER", "parentbased_traceidratio")
	t.Setenv("OTEL_TRACES_SAMPLER_ARG", "0.25")
	var log syncbuf.Buffer
	one, other := started(t, &log, nil).Tracer(), started(t, &log, nil).Tracer()
	const all = 2000
	sampled := 0
	for n := range all {
		m := taken(n)
		first := one.Begin(m)
		m.Delivery, m.At = 2, m.At.Add(time.Second)
		second := other.Begin(m)
		if (first == nil) != (second == nil) {
			t.Fatalf("message %d: one of two deliveries is sampled", n)
		}
		if first != nil {
			sampled++
			check.Equal(t, "trace of the second delivery", second.TraceID(), first.TraceID())
		}
	}
	check.True(t, "about a quarter is sampled", sampled > all/5 && sampled < all/3, sampled)
}

// TestClocks: the stream's clock can be ahead of the worker's. No span ends before it begins.
func TestClocks(t *testing.T) {
	c := otlptest.HTTP(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	var log syncbuf.Buffer
	traces := started(t, &log, nil)
	m := taken(1)
	m.StoredAt = m.At.Add(time.Hour)
	span := traces.Tracer().Begin(m)
	span.End(worker.Settled{At: m.At})
	traces.Stop()
	check.Equal(t, "spans", len(c.Spans()), 2)
	for _, s := range c.Spans() {
		check.True(t, s.Name+" does not end before it begins", !s.End.Before(s.Start), s)
	}
}

// deliver traces a delivery with a request.
func deliver(tracer worker.Tracer, n int) {
	m := taken(n)
	span := tracer.Begin(m)
	span.Request(worker.Request{Channel: messages.SMS, Attempt: messages.Attempt{Connector: "sms", At: m.At, Class: "ok"}})
	span.Outcome(messages.Outcome{Status: messages.StatusSent})
	span.End(worker.Settled{At: m.At})
}

// spansOfOne is how many spans deliver makes.
const spansOfOne = 3

// TestStopExportsTheRest: what waits for its batch is exported at the end.
func TestStopExportsTheRest(t *testing.T) {
	c := otlptest.HTTP(t)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20some-secret")
	var log syncbuf.Buffer
	registry := prometheus.NewRegistry()
	traces := started(t, &log, telemetry.NewMetrics(registry))
	for n := range 10 {
		deliver(traces.Tracer(), n)
	}
	traces.Stop()
	check.Equal(t, "spans", len(c.Spans()), 10*spansOfOne)
	check.Equal(t, "a header of the variables", c.Headers()[0].Get("Authorization"), "Bearer some-secret")
	check.Equal(t, "spans that are counted", counted(t, registry), "exported 30, dropped 0, failed 0")
	check.Equal(t, "the log", log.String(), "")
}

// counted returns the counts of spans.
func counted(t *testing.T, registry *prometheus.Registry) string {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]float64)
	for _, m := range families[0].GetMetric() {
		counts[m.GetLabel()[0].GetValue()] = m.GetCounter().GetValue()
	}
	return fmt.Sprintf("exported %v, dropped %v, failed %v", counts["exported"], counts["dropped"], counts["failed"])
}

// TestCollectorInTrouble: codes are sent while the collector is away, answers errors, or does
// not answer at all. Every span is counted, the log has a line and no secret, and the end
// takes no longer than it may.
func TestCollectorInTrouble(t *testing.T) {
	hang := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // without this the server does not notice that the client is gone
		select {
		case <-hang:
		case <-r.Context().Done():
		}
	}))
	t.Cleanup(slow.Close)
	t.Cleanup(func() { close(hang) })
	wrong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "no: "+r.Header.Get("Authorization"), http.StatusUnauthorized)
	}))
	t.Cleanup(wrong.Close)
	away := httptest.NewServer(nil)
	away.Close()
	for name, c := range map[string]struct{ protocol, url string }{
		"away": {"http/protobuf", away.URL}, "away, gRPC": {"grpc", away.URL},
		"wrong": {"http/protobuf", wrong.URL}, "slow": {"http/protobuf", slow.URL}, "slow, gRPC": {"grpc", slow.URL},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.url)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", c.protocol)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20some-secret")
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3600000") // milliseconds: only Stop can end an export
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "3600000")
			t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "6")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
			var log syncbuf.Buffer
			registry := prometheus.NewRegistry()
			traces, err := telemetry.Start(t.Context(), telemetry.Options{
				Metrics: telemetry.NewMetrics(registry), Log: zerolog.New(&log), StopTimeout: 50 * time.Millisecond,
			})
			if err != nil {
				t.Fatal(err)
			}
			for n := range 100 {
				deliver(traces.Tracer(), n) // it never waits
			}
			stopped := make(chan struct{})
			go func() {
				defer close(stopped)
				traces.Stop()
			}()
			select {
			case <-stopped:
			case <-testrig.Context(t).Done():
				t.Fatal("Stop does not end while the collector hangs")
			}
			var exported, dropped, failed int
			if _, err := fmt.Sscanf(counted(t, registry), "exported %d, dropped %d, failed %d", &exported, &dropped, &failed); err != nil {
				t.Fatal(err)
			}
			check.Equal(t, "exported", exported, 0)
			check.Equal(t, "spans that are dropped or have failed", dropped+failed, 100*spansOfOne)
			check.True(t, "some have failed", failed > 0, failed)
			check.Equal(t, "lines in the log", strings.Count(log.String(), "\n"), 1)
			check.True(t, "the log says what to check", strings.Contains(log.String(), "OTEL_"), log.String())
			check.True(t, "the log does not show the header", !strings.Contains(log.String(), "some-secret"), log.String())
		})
	}
}

// TestSendingWithoutCollector: codes go through the whole pipeline while the collector hangs
// and the queue is full.
func TestSendingWithoutCollector(t *testing.T) {
	asked := make(chan struct{}, 1000)
	slow := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked <- struct{}{}
		_, _ = io.Copy(io.Discard, r.Body) // without this the server does not notice that the client is gone
		<-r.Context().Done()
	}))
	t.Cleanup(slow.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", slow.URL)
	t.Setenv("OTEL_BSP_MAX_QUEUE_SIZE", "3")
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "3")
	var log syncbuf.Buffer
	metrics := prometheus.NewRegistry()
	traces, err := telemetry.Start(t.Context(), telemetry.Options{Metrics: telemetry.NewMetrics(metrics), Log: zerolog.New(&log), StopTimeout: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(traces.Stop)
	p := newPipeline(t, traces.Tracer())
	p.send("first", "")
	select {
	case <-asked: // from here on no span leaves
	case <-testrig.Context(t).Done():
		t.Fatal("the collector was not asked")
	}
	for n := range 20 {
		id := fmt.Sprint("more-", n)
		check.Equal(t, id, p.send(id, "").Status, messages.StatusSent)
	}
	check.True(t, "spans are dropped", !strings.Contains(counted(t, metrics), "dropped 0"), counted(t, metrics))
}
