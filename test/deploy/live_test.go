package deploy

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
)

// series is one line of a scrape: a metric and its labels.
type series struct {
	name   string
	labels map[string]string
}

const scrapeToken = "0123456789abcdef0123456789abcdef"

// live returns what a worker with the configuration of deploy/ serves at /metrics after one
// SMS was sent.
var live = func() func(t *testing.T) string {
	var once sync.Once
	var text string
	return func(t *testing.T) string {
		t.Helper()
		once.Do(func() { text = scrape(t) })
		if text == "" {
			t.Fatal("the worker's metrics could not be read: see the first test that needed them")
		}
		return text
	}
}()

func scrape(t *testing.T) string {
	t.Helper()
	box := fakealiyun.New(fakealiyun.Options{})
	provider := httptest.NewServer(box)
	defer provider.Close()
	defer box.Close()

	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan service.Addresses, 1), make(chan error, 1)
	go func() {
		ended <- service.Run(ctx, service.Options{Config: deployed(t, provider.URL), Log: zerolog.Nop(), Build: service.Build{Version: "devel"}, Started: func(a service.Addresses) { started <- a }})
	}()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the worker ended with %v", err)
		}
	}()
	a := <-started
	nc := testrig.Connect(t, a.NATS)
	publisher, err := messages.NewPublisher(nc, messages.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := publisher.Publish(t.Context(), messages.Subject{App: "default", Channel: messages.SMS, Type: messages.SignIn, Key: "user-1"}, &messages.SendCode{To: "+8613012345678", Payload: messages.Payload{"code": "123456"}}); err != nil {
		t.Fatal(err)
	}
	var text string
	check.Eventually(t, "an SMS is sent", func() bool {
		text = metrics(t, a.HTTP)
		return strings.Contains(text, "\ncodeferry_delivery_seconds_count{channel=\"sms\"} 1\n")
	})
	return text
}

// deployed is the configuration of deploy/, with an embedded server, and with the fake
// provider in place of the service sandbox.
func deployed(t *testing.T, provider string) *config.Config {
	t.Helper()
	text, err := os.ReadFile(root + "/deploy/codeferry.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("codeferry.yaml", []byte(strings.NewReplacer(
		"url: nats://nats:4222", "listen: 127.0.0.1:0", "listen: 0.0.0.0:8080", "listen: 127.0.0.1:0", "http://sandbox:9090", provider,
	).Replace(string(text))), config.Env{Lookup: func(name string) (string, bool) {
		value, known := map[string]string{
			"ALIBABA_CLOUD_ACCESS_KEY_ID": fakealiyun.DefaultKeyID, "ALIBABA_CLOUD_ACCESS_KEY_SECRET": fakealiyun.DefaultKeySecret,
			"CODEFERRY_SEALING_KEY": "codeferry-private-AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", "CODEFERRY_HTTP_TOKEN": scrapeToken,
		}[name]
		return value, known
	}})
	if err != nil {
		t.Fatal(err)
	}
	c.DataDir = t.TempDir()
	return c
}

func metrics(t *testing.T, at string) string { return metricsWith(t, at, scrapeToken) }

// metricsWith reads the metrics of a worker with its token.
func metricsWith(t *testing.T, at, token string) string {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+at+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("/metrics answers %s, error %v", response.Status, err)
	}
	return string(text)
}

var (
	sample    = regexp.MustCompile(`(?m)^(codeferry_[a-z_]+)(?:\{(.*)\})? \S+$`)
	labelPair = regexp.MustCompile(`([a-z_]+)="([^"]*)"`)
)

// samples reads a scrape.
func samples(text string) (all []series) {
	for _, m := range sample.FindAllStringSubmatch(text, -1) {
		s := series{name: m[1], labels: make(map[string]string)}
		for _, l := range labelPair.FindAllStringSubmatch(m[2], -1) {
			s.labels[l[1]] = l[2]
		}
		all = append(all, s)
	}
	return all
}

var (
	selector  = regexp.MustCompile(`\b(codeferry_[a-z_]+)(?:\{([^}]*)\})?`)
	matching  = regexp.MustCompile(`([a-z_]+)(=~|!=|!~|=)"([^"]*)"`)
	grouping  = regexp.MustCompile(`\bby \(([^)]*)\)`)
	recording = regexp.MustCompile(`\bcodeferry:[a-z_]+:rate\w+`)
)

// prometheusLabels are those that Prometheus adds.
var prometheusLabels = []string{"job", "instance"}

// wrongIn says what a PromQL expression names that a scrape does not have: metrics, labels,
// and the labels' values. A value that begins with $ is a variable of a dashboard.
func wrongIn(expr string, scraped []series, recorded []string) (wrong []string) {
	labels := slices.Clone(prometheusLabels)
	for _, m := range selector.FindAllStringSubmatch(expr, -1) {
		var of []series
		for _, s := range scraped {
			if s.name == m[1] {
				of = append(of, s)
			}
		}
		if len(of) == 0 {
			wrong = append(wrong, "no worker serves "+m[1])
			continue
		}
		for name := range of[0].labels {
			labels = append(labels, name)
		}
		for _, c := range matching.FindAllStringSubmatch(m[2], -1) {
			name, operator, value := c[1], c[2], c[3]
			if slices.Contains(prometheusLabels, name) {
				continue
			}
			if _, ok := of[0].labels[name]; !ok {
				wrong = append(wrong, m[1]+" has no label "+name)
				continue
			}
			if strings.HasPrefix(value, "$") {
				continue
			}
			values := []string{value}
			if strings.HasSuffix(operator, "~") && name != "le" {
				values = strings.Split(value, "|")
			}
			for _, v := range values {
				if name == "le" {
					v = strings.TrimSuffix(v, `(\\.0)?`)
				}
				if !slices.ContainsFunc(of, func(s series) bool { return s.labels[name] == v }) {
					wrong = append(wrong, "no "+m[1]+" has "+name+"="+v)
				}
			}
		}
	}
	for _, m := range recording.FindAllString(expr, -1) {
		labels = append(labels, "channel")
		if !slices.Contains(recorded, m) {
			wrong = append(wrong, "no rule records "+m)
		}
	}
	for _, m := range grouping.FindAllStringSubmatch(expr, -1) {
		for name := range strings.SplitSeq(m[1], ",") {
			if !slices.Contains(labels, strings.TrimSpace(name)) {
				wrong = append(wrong, "nothing has the label "+strings.TrimSpace(name))
			}
		}
	}
	return wrong
}

// TestRulesNameWhatExists: every metric, label and value in the rules is one that a worker
// serves from its start.
func TestRulesNameWhatExists(t *testing.T) {
	t.Parallel()
	scraped, all := samples(live(t)), rules(t)
	recorded := recordedIn(all)
	for _, g := range all.Groups {
		for _, r := range g.Rules {
			if strings.Contains(r.Expr, "codeferry_certificate_expiry") {
				continue // only with http.tls, which the configuration of deploy/ does not have
			}
			for _, wrong := range wrongIn(r.Expr, scraped, recorded) {
				t.Errorf("%s%s: %s", r.Record, r.Alert, wrong)
			}
		}
	}
}

func recordedIn(f ruleFile) (names []string) {
	_, recorded := alerts(f)
	for _, r := range recorded {
		names = append(names, r.Record)
	}
	return names
}

// TestWrongIn: what a scrape does not have is found.
func TestWrongIn(t *testing.T) {
	t.Parallel()
	scraped := samples("codeferry_a_total{channel=\"sms\",reason=\"\"} 0\ncodeferry_a_total{channel=\"sms\",reason=\"expired\"} 0\ncodeferry_a_bucket{le=\"30\"} 1\ncodeferry_b 1\n")
	for expr, want := range map[string]int{
		`sum by (job, channel) (rate(codeferry_a_total{channel="sms",reason=~"expired|"}[5m]))`: 0,
		`codeferry_a_bucket{le=~"30(\\.0)?"} > codeferry_b`:                                     0,
		`codeferry_a_total{channel="$channel",job="x"} / codeferry:a:rate5m`:                    0,
		`codeferry_c`:                               1,
		`codeferry_a_total{connector="x"}`:          1,
		`codeferry_a_total{reason=~"expired|gone"}`: 1,
		`codeferry_a_bucket{le=~"31(\\.0)?"}`:       1,
		`sum by (connector) (codeferry_a_total)`:    1,
		`codeferry:a:rate6m`:                        1,
	} {
		if wrong := wrongIn(expr, scraped, []string{"codeferry:a:rate5m"}); len(wrong) != want {
			t.Errorf("%s: found %q, want %d", expr, wrong, want)
		}
	}
}

// TestExampleOfAScrape: the example in docs/alerts.md has each metric of a scrape, and no
// series that a worker does not serve.
func TestExampleOfAScrape(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	_, example, ok := strings.Cut(string(text), "\n## An example of a scrape\n")
	if !ok {
		t.Fatal("docs/alerts.md has no such section")
	}
	names := func(all []series) (names []string) {
		for _, s := range all {
			if !strings.HasSuffix(s.name, "_bucket") && !strings.HasSuffix(s.name, "_build_info") && !slices.Contains(names, s.name) {
				names = append(names, s.name)
			}
		}
		slices.Sort(names)
		return names
	}
	documented, served := samples(example), samples(live(t))
	if got, want := names(documented), names(served); !slices.Equal(got, want) {
		t.Errorf("the example has the metrics\n%q\nwant\n%q", got, want)
	}
	for _, d := range documented {
		if !slices.ContainsFunc(served, func(s series) bool {
			return s.name == d.name && (d.name == "codeferry_build_info" || equal(s.labels, d.labels))
		}) {
			t.Errorf("no worker serves %s%v of the example", d.name, d.labels)
		}
	}
}

func equal(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for k, v := range a {
		if w, ok := b[k]; !ok || w != v {
			return false
		}
	}
	return true
}
