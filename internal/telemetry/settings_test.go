package telemetry_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/syncbuf"
)

// TestMistakes: with a variable that can't be read, traces are off, and the log names the
// variable without its value, which may hold a secret.
func TestMistakes(t *testing.T) {
	const (
		endpoint  = "OTEL_EXPORTER_OTLP_ENDPOINT"
		traces    = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
		headers   = "OTEL_EXPORTER_OTLP_HEADERS"
		ofTraces  = "OTEL_EXPORTER_OTLP_TRACES_HEADERS"
		queue     = "OTEL_BSP_MAX_QUEUE_SIZE"
		batch     = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE"
		delay     = "OTEL_BSP_SCHEDULE_DELAY"
		isNotAURL = " is not a URL"
		isNoList  = " is not a list"
		isOff     = " is not a number from 1 to "
	)
	for name, c := range map[string]struct{ variable, value, want string }{
		"a header with a colon":          {headers, "Authorization: Bearer s3cr3t", isNoList},
		"a comma in a header":            {ofTraces, "authorization=Basic user,s3cr3t", isNoList},
		"a percent sign in a header":     {headers, "authorization=Bearer s3cr3t%", isNoList},
		"a header that begins elsewhere": {headers, "Authorization: Bearer s3cr3t=", isNoList},
		"a percent sign in a password":   {endpoint, "http://user:s3cr3t%@127.0.0.1:1", isNotAURL},
		"a slash in a password":          {traces, "http://user:s3cr3t/@127.0.0.1:1", isNotAURL},
		"a key in a query":               {endpoint, "http://127.0.0.1:1/%?key=s3cr3t", isNotAURL},
		"an endpoint without a scheme":   {endpoint, "127.0.0.1:4317", isNotAURL},
		"a name without a scheme":        {endpoint, "collector:4317", isNotAURL},
		"a negative queue":               {queue, "-1", isOff},
		"a queue of nothing":             {queue, "0", isOff},
		"a queue without end":            {queue, "999999999999", isOff},
		"a queue that is no number":      {queue, "many", isOff},
		"a negative batch":               {batch, "-1", isOff},
		"no delay":                       {delay, "0", isOff},

		"two headers, and a comma too many": {headers, "authorization=Bearer%20s3cr3t, x-scope = a%2Cb,", ""},
		"a URL with spaces around it":       {endpoint, " http://127.0.0.1:1 ", ""},
		"a URL with all parts":              {endpoint, "https://user:s3cr3t@127.0.0.1:1/path?key=s3cr3t", ""},
		"a queue of one":                    {queue, "1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv("OTEL_TRACES_EXPORTER", "otlp")
			t.Setenv(c.variable, c.value)
			var log syncbuf.Buffer
			traces := started(t, &log, nil)
			check.Equal(t, "on", traces.Tracer() != nil, c.want == "")
			if c.want != "" {
				check.True(t, "the log names the variable", strings.Contains(log.String(), c.variable+c.want), log.String())
				check.Equal(t, "lines in the log", strings.Count(log.String(), "\n"), 1)
			}
			check.True(t, "the log shows no secret", !strings.Contains(log.String(), "s3cr3t"), log.String())
		})
	}
}

// TestACollectorThatRepeatsTheToken: the log has the answer, without the token.
func TestACollectorThatRepeatsTheToken(t *testing.T) {
	for name, header := range map[string]string{
		"a scheme and a token": "authorization=Bearer%20s3cr3t-t0ken",
		"with spaces":          "x-token = s3cr3t-t0ken ",
	} {
		t.Run(name, func(t *testing.T) {
			collector := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, _ *http.Request) {
				rw.WriteHeader(http.StatusUnauthorized)
				_, _ = io.WriteString(rw, "nobody has the token s3cr3t-t0ken")
			}))
			t.Cleanup(collector.Close)
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.URL)
			t.Setenv("OTEL_EXPORTER_OTLP_HEADERS", header)
			var log syncbuf.Buffer
			traces := started(t, &log, nil)
			deliver(traces.Tracer(), 1)
			traces.Stop()
			check.True(t, "the log has the answer", strings.Contains(log.String(), "nobody has the token"), log.String())
			check.True(t, "the log shows no secret", !strings.Contains(log.String(), "s3cr3t"), log.String())
		})
	}
}
