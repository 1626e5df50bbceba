package deploy

import (
	"os"
	"regexp"
	"testing"
)

// TestPrometheusConfigurations: promtool takes the configuration of docker-compose.yml and
// the one in docs/alerts.md.
func TestPrometheusConfigurations(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(root + "/docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^```yml\n(.*?)^```").FindSubmatch(page)
	if m == nil {
		t.Fatal("docs/alerts.md has no configuration of Prometheus")
	}
	ours := t.TempDir() + "/prometheus.yml"
	put(t, ours, string(m[1]))
	for _, path := range []string{prometheus + "/prometheus.yml", ours} {
		if out, err := promtool(t, "check", "config", "--syntax-only", path); err != nil {
			t.Errorf("promtool check config %s: %v\n%s", path, err, out)
		}
	}
}

// TestScalingQueries: KEDA's queries name what a worker serves, and Prometheus can read them.
func TestScalingQueries(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/deploy/kubernetes/overlays/example/scaledobject.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var all []rule
	scraped := samples(live(t))
	for _, m := range regexp.MustCompile(`(?m)^ +query: (.*)$`).FindAllStringSubmatch(string(text), -1) {
		all = append(all, rule{Record: "query", Expr: m[1]})
		for _, wrong := range wrongIn(m[1], scraped, nil) {
			t.Errorf("%s: %s", wrong, m[1])
		}
	}
	if len(all) != 2 {
		t.Errorf("found %d queries, want one for each channel", len(all))
	}
	path := t.TempDir() + "/rules.yml"
	write(t, path, ruleFile{Groups: []ruleGroup{{Name: "scaling", Rules: all[:1]}, {Name: "scaling2", Rules: all[1:]}}})
	if out, err := promtool(t, "check", "rules", path); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
