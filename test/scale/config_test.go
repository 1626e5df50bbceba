package scale

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/natstest"
	"github.com/codeferry/codeferry/worker"
)

// TestConfigurations measures how long configurations of many apps take to read. A reload reads
// all of it again.
func TestConfigurations(t *testing.T) {
	needsLong(t)
	mail, sms := "", ""
	for _, usage := range []string{"SignIn", "Register", "ForgotPassword", "Generic"} {
		mail += fmt.Sprintf("{usageType: %s, subject: Code, content: '{{code}}'}, ", usage)
		sms += fmt.Sprintf("{usageType: %s, templateCode: SMS_123456789}, ", usage)
	}
	for _, c := range []struct{ apps, connectors int }{
		{1000, 10}, {2000, 10}, {2500, 10}, {3000, 10}, {100, 100}, {250, 250}, {500, 500}, {1000, 1000},
	} {
		var b strings.Builder
		b.WriteString("connectors:\n")
		for i := range c.connectors {
			fmt.Fprintf(&b, "  sms-%d: {type: aliyun-sms, accessKeyId: key, accessKeySecret: secret, signName: Example, templates: [%s]}\n", i, sms)
			fmt.Fprintf(&b, "  mail-%d: {type: aliyun-dm, accessKeyId: key, accessKeySecret: secret, accountName: a@mail.example.com, templates: [%s]}\n", i, mail)
		}
		b.WriteString("apps:\n")
		for i := range c.apps {
			first, second := i%c.connectors, (i+1)%c.connectors
			fmt.Fprintf(&b, "  app-%d: {email: [mail-%d, mail-%d], sms: [sms-%d, sms-%d]}\n", i, first, second, first, second)
		}
		began := time.Now()
		_, err := config.Parse("codeferry.yaml", []byte(b.String()), config.Env{})
		t.Logf("%d apps, %d connectors for mail and as many for SMS: %d bytes, read in %v: %v", c.apps, c.connectors, b.Len(), time.Since(began).Round(time.Millisecond), err)
	}
}

// TestSeries counts the time series that one worker exports. An app is no label.
func TestSeries(t *testing.T) {
	needsLong(t)
	nc := natstest.Start(t).Connect(t)
	for _, c := range []struct{ apps, connectors int }{{10, 10}, {1000, 10}, {1000, 1000}} {
		s := settings{apps: c.apps, accounts: c.connectors}
		p := &provider{}
		for range c.connectors {
			p.accounts = append(p.accounts, &account{url: "http://127.0.0.1:1"})
		}
		cfg, err := config.Parse("codeferry.yaml", []byte(s.text(p)), config.Env{})
		if err != nil {
			t.Fatal(err)
		}
		registry := prometheus.NewRegistry()
		if _, err := worker.New(worker.Options{Conn: nc, Config: cfg, Metrics: worker.NewMetrics(registry)}); err != nil {
			t.Fatal(err)
		}
		recorder := httptest.NewRecorder()
		began := time.Now()
		promhttp.HandlerFor(registry, promhttp.HandlerOpts{}).ServeHTTP(recorder, httptest.NewRequest(http.MethodGet, "/metrics", http.NoBody))
		lines := 0
		for line := range strings.Lines(recorder.Body.String()) {
			if !strings.HasPrefix(line, "#") {
				lines++
			}
		}
		t.Logf("%d apps, %d connectors: %d series, %v for a scrape", c.apps, c.connectors, lines, time.Since(began).Round(time.Millisecond))
	}
}
