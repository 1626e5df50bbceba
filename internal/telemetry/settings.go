package telemetry

import (
	"context"
	"fmt"
	"net/url"
	"strings"

	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
)

// The variables that decide whether traces are exported, and how. The exporters and the SDK
// read the other ones themselves.
const (
	varDisabled = "OTEL_SDK_DISABLED"
	varExporter = "OTEL_TRACES_EXPORTER"
	varEndpoint = "OTEL_EXPORTER_OTLP_ENDPOINT"
	varTraces   = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
)

// The protocols of OTLP.
const (
	protocolHTTP = "http/protobuf"
	protocolGRPC = "grpc"
)

// protocol returns the protocol with which to export; empty if traces are off. The warning
// says which variable has a value that codeferry does not take: traces are off then, as
// OpenTelemetry asks for, because codes are sent without them too.
func protocol(getenv func(string) string) (name, warning string) {
	if strings.EqualFold(getenv(varDisabled), "true") {
		return "", ""
	}
	switch exporter := getenv(varExporter); exporter {
	case "otlp":
	case "none":
		return "", ""
	case "":
		if getenv(varEndpoint) == "" && getenv(varTraces) == "" {
			return "", ""
		}
	default:
		return "", fmt.Sprintf("%s is %q, and codeferry takes otlp or none; no traces are exported", varExporter, exporter)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		switch value := getenv(name); value {
		case "":
		case protocolHTTP, protocolGRPC:
			return value, ""
		default:
			return "", fmt.Sprintf("%s is %q, and codeferry takes %s or %s; no traces are exported", name, value, protocolHTTP, protocolGRPC)
		}
	}
	return protocolHTTP, ""
}

// newExporter makes the exporter. It does not connect.
func newExporter(ctx context.Context, protocol string) (sdktrace.SpanExporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// secrets returns what the variables hold that no log may show: the values of the headers,
// and a password in an endpoint.
func secrets(getenv func(string) string) (all []string) {
	for _, name := range []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"} {
		for header := range strings.SplitSeq(getenv(name), ",") {
			_, value, _ := strings.Cut(header, "=")
			all = append(all, value)
			if decoded, err := url.PathUnescape(value); err == nil {
				all = append(all, decoded)
			}
		}
	}
	for _, name := range []string{varEndpoint, varTraces} {
		if u, err := url.Parse(getenv(name)); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return all
}
