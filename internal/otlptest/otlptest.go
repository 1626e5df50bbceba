// Package otlptest is an OpenTelemetry collector for tests: it takes traces over OTLP, by HTTP
// or gRPC, and keeps them.
package otlptest

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/proto"
)

// patience limits every wait.
const patience = 60 * time.Second

// Span is a span that was exported.
type Span struct {
	Trace, ID, Parent, Name, Kind string
	Start, End                    time.Time
	// Attributes and Resource have values as text.
	Attributes, Resource map[string]string
	Links                []Link
	// Failed is true if its status is an error, and Status is its description.
	Failed bool
	Status string
}

// Link is a link of a span.
type Link struct {
	Trace, ID string
	// Why is its codeferry.link.
	Why string
}

// Collector keeps spans.
type Collector struct {
	// URL is the endpoint for OTEL_EXPORTER_OTLP_ENDPOINT.
	URL string

	// hand gets each span of a collector that keeps none; otherwise it is nil.
	hand func(Span)

	mu      sync.Mutex
	spans   []Span
	raw     []byte
	headers []http.Header
	changed chan struct{}
}

// HTTP starts a collector over HTTP. It ends with the test.
func HTTP(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{changed: make(chan struct{})}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	c.URL = server.URL
	return c
}

// Hand starts a collector over HTTP that keeps nothing, for tests with very many spans: it calls
// f with each span, one at a time. It ends with the test.
func Hand(t testing.TB, f func(Span)) (url string) {
	t.Helper()
	server := httptest.NewServer(&Collector{hand: f, changed: make(chan struct{})})
	t.Cleanup(server.Close)
	return server.URL
}

// GRPC starts a collector over gRPC. It ends with the test.
func GRPC(t testing.TB) *Collector {
	t.Helper()
	c := &Collector{changed: make(chan struct{})}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server, ended := grpc.NewServer(), make(chan struct{})
	collector.RegisterTraceServiceServer(server, service{c: c})
	go func() {
		defer close(ended)
		_ = server.Serve(l) // it ends with Stop
	}()
	t.Cleanup(func() {
		server.Stop()
		<-ended
	})
	c.URL = "http://" + l.Addr().String()
	return c
}

// service takes spans over gRPC.
type service struct {
	collector.UnimplementedTraceServiceServer
	c *Collector
}

// Export implements collector.TraceServiceServer.
func (s service) Export(_ context.Context, r *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	raw, err := proto.Marshal(r)
	if err != nil {
		return nil, err
	}
	s.c.keep(r, raw, nil)
	return new(collector.ExportTraceServiceResponse), nil
}

// ServeHTTP takes spans over HTTP.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	raw, err := io.ReadAll(r.Body)
	var request collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(raw, &request)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, fmt.Sprint(r.URL.Path, ": ", err), http.StatusBadRequest)
		return
	}
	c.keep(&request, raw, r.Header)
	w.Header().Set("Content-Type", "application/x-protobuf")
}

func (c *Collector) keep(r *collector.ExportTraceServiceRequest, raw []byte, h http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.hand == nil {
		c.raw = append(c.raw, raw...)
		c.headers = append(c.headers, h)
	}
	for _, of := range r.ResourceSpans {
		resource := values(of.Resource.Attributes)
		for _, scope := range of.ScopeSpans {
			for _, s := range scope.Spans {
				span := Span{
					Trace: hex.EncodeToString(s.TraceId), ID: hex.EncodeToString(s.SpanId), Parent: hex.EncodeToString(s.ParentSpanId),
					Name: s.Name, Kind: s.Kind.String(), Start: nanos(s.StartTimeUnixNano), End: nanos(s.EndTimeUnixNano),
					Attributes: values(s.Attributes), Resource: resource,
					Failed: s.Status.GetCode() == 2, Status: s.Status.GetMessage(),
				}
				for _, l := range s.Links {
					span.Links = append(span.Links, Link{hex.EncodeToString(l.TraceId), hex.EncodeToString(l.SpanId), values(l.Attributes)["codeferry.link"]})
				}
				if c.hand != nil {
					c.hand(span)
					continue
				}
				c.spans = append(c.spans, span)
			}
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
}

func nanos(n uint64) time.Time { return time.Unix(0, int64(n)) } //nolint:gosec // a time of today

func values(all []*common.KeyValue) map[string]string {
	m := make(map[string]string)
	for _, kv := range all {
		switch v := kv.Value.Value.(type) {
		case *common.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.Key] = strconv.FormatInt(v.IntValue, 10)
		case *common.AnyValue_BoolValue:
			m[kv.Key] = strconv.FormatBool(v.BoolValue)
		default:
			m[kv.Key] = kv.Value.String()
		}
	}
	return m
}

// Spans returns the spans, in the order in which they began.
func (c *Collector) Spans() []Span {
	c.mu.Lock()
	defer c.mu.Unlock()
	all := slices.Clone(c.spans)
	slices.SortStableFunc(all, func(a, b Span) int { return a.Start.Compare(b.Start) })
	return all
}

// Raw returns the bytes of all requests, to look for what they must not hold.
func (c *Collector) Raw() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.raw)
}

// Headers returns the headers of the requests over HTTP.
func (c *Collector) Headers() []http.Header {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.headers)
}

// Await waits until the spans are as wanted, and returns them.
func (c *Collector) Await(t testing.TB, what string, wanted func([]Span) bool) []Span {
	t.Helper()
	limit := time.After(patience)
	for {
		c.mu.Lock()
		changed := c.changed
		c.mu.Unlock()
		spans := c.Spans()
		if wanted(spans) {
			return spans
		}
		select {
		case <-changed:
		case <-limit:
			t.Fatalf("%s did not come within %v; these spans came: %+v", what, patience, spans)
		}
	}
}
