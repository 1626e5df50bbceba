package telemetry

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"strconv"
	"strings"

	"golang.org/x/net/http/httpguts"

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
	varQueue    = "OTEL_BSP_MAX_QUEUE_SIZE"
)

// headerVariables hold the headers of each export.
var headerVariables = []string{"OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"}

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

// mistake says which variable the exporters or the SDK could not read; empty if there is none.
// It does not show the value. The exporters would log it, with the secrets in it, and the SDK
// panics if a size is negative.
func mistake(getenv func(string) string) string {
	for _, name := range []string{varEndpoint, varTraces} {
		if u, err := url.Parse(strings.TrimSpace(getenv(name))); getenv(name) != "" && (err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "") {
			return name + " is not a URL such as http://127.0.0.1:4318"
		}
	}
	for _, name := range headerVariables {
		for header := range strings.SplitSeq(getenv(name), ",") {
			key, value, ok := strings.Cut(header, "=")
			if _, err := url.PathUnescape(value); strings.TrimSpace(header) != "" && (!ok || err != nil || !httpguts.ValidHeaderFieldName(strings.TrimSpace(key))) {
				return name + " is not a list such as name=value,name=value, with a comma in a value as %2C and a percent sign as %25"
			}
		}
	}
	const mostSpans = 1 << 20 // the SDK allocates the whole queue at the start
	for _, number := range []struct {
		name string
		most int
	}{{varQueue, mostSpans}, {"OTEL_BSP_MAX_EXPORT_BATCH_SIZE", mostSpans}, {"OTEL_BSP_SCHEDULE_DELAY", math.MaxInt32}} {
		if n, err := strconv.Atoi(getenv(number.name)); getenv(number.name) != "" && (err != nil || n < 1 || n > number.most) {
			return fmt.Sprintf("%s is not a number from 1 to %d", number.name, number.most)
		}
	}
	return ""
}

// newExporter makes the exporter. It does not connect.
func newExporter(ctx context.Context, protocol string) (sdktrace.SpanExporter, error) {
	if protocol == protocolGRPC {
		return otlptracegrpc.New(ctx)
	}
	return otlptracehttp.New(ctx)
}

// secrets returns what the variables hold that no log may show: the values of the headers, also
// each word, because a collector can repeat a token without its scheme; and a password in an
// endpoint.
func secrets(getenv func(string) string) (all []string) {
	for _, name := range headerVariables {
		for header := range strings.SplitSeq(getenv(name), ",") {
			_, value, _ := strings.Cut(header, "=")
			all = append(all, strings.TrimSpace(value))
			if decoded, err := url.PathUnescape(value); err == nil {
				all = append(all, strings.TrimSpace(decoded))
				all = append(all, strings.Fields(decoded)...)
			}
		}
	}
	for _, name := range []string{varEndpoint, varTraces} {
		if u, err := url.Parse(strings.TrimSpace(getenv(name))); err == nil && u.User != nil {
			password, _ := u.User.Password()
			all = append(all, password)
		}
	}
	return all
}
