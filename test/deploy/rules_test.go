package deploy

import (
	"flag"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"

	"github.com/codeferry/codeferry/internal/check"
)

// prometheus is the folder of the rules and their tests.
const prometheus = root + "/deploy/prometheus"

type (
	ruleFile struct {
		Groups []ruleGroup `yaml:"groups"`
	}
	ruleGroup struct {
		Name  string `yaml:"name"`
		Rules []rule `yaml:"rules"`
	}
	rule struct {
		Record      string            `yaml:"record,omitempty"`
		Alert       string            `yaml:"alert,omitempty"`
		Expr        string            `yaml:"expr"`
		For         string            `yaml:"for,omitempty"`
		Labels      map[string]string `yaml:"labels,omitempty"`
		Annotations map[string]string `yaml:"annotations,omitempty"`
	}
	// ruleTests is a file of promtool's tests. Only what selects a test has a field.
	ruleTests struct {
		RuleFiles []string   `yaml:"rule_files"`
		Interval  string     `yaml:"evaluation_interval"`
		Tests     []ruleTest `yaml:"tests"`
	}
	ruleTest struct {
		Name     string           `yaml:"name"`
		Interval string           `yaml:"interval"`
		Input    []map[string]any `yaml:"input_series"`
		Alerts   []map[string]any `yaml:"alert_rule_test"`
	}
)

// promtool runs it, and returns what it prints. The test is skipped if it is not installed,
// except in CI.
func promtool(t *testing.T, args ...string) (string, error) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		check.Lacks(t, "this test needs promtool, of Debian's package prometheus")
	}
	out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput()
	return string(out), err
}

func rules(t *testing.T) ruleFile {
	t.Helper()
	var f ruleFile
	parse(t, prometheus+"/rules.yml", &f)
	return f
}

// parse reads a YAML file, and refuses what v has no field for.
func parse(t *testing.T, path string, v any) {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.UnmarshalWithOptions(text, v, yaml.Strict()); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
}

// alerts returns the alerts by name, and the other rules.
func alerts(f ruleFile) (all map[string]rule, recorded []rule) {
	all = make(map[string]rule)
	for _, g := range f.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" {
				recorded = append(recorded, r)
			} else {
				all[r.Alert] = r
			}
		}
	}
	return all, recorded
}

// TestRules: promtool takes the rules, and its tests of them pass.
func TestRules(t *testing.T) {
	t.Parallel()
	if out, err := promtool(t, "check", "rules", prometheus+"/rules.yml"); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
	tests, err := filepath.Glob(prometheus + "/*_test.yml")
	if err != nil || len(tests) == 0 {
		t.Fatalf("no tests of rules: %v, %v", tests, err)
	}
	if out, err := promtool(t, append([]string{"test", "rules"}, tests...)...); err != nil {
		t.Errorf("promtool test rules: %v\n%s", err, out)
	}
}

// breakRules is set by make manifests: the test runs promtool some hundred times.
var breakRules = flag.Bool("breaks", false, "break each part of each alert's expression")

// TestBrokenRules: for each alert, promtool's tests notice if any part of its expression is
// broken: its comparisons, numbers, labels, conditions, and how long it has to last.
func TestBrokenRules(t *testing.T) {
	if !*breakRules {
		t.Skip("without -breaks")
	}
	t.Parallel()
	all, recorded := alerts(rules(t))
	tests := testsByAlert(t)
	for name, r := range all {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(tests[name]) == 0 {
				t.Fatal("no test of deploy/prometheus is about this alert")
			}
			noticed := func(r rule) bool {
				dir := t.TempDir()
				group := ruleGroup{Name: "one", Rules: []rule{r}}
				if strings.Contains(r.Expr, "codeferry:") {
					group.Rules = append(slices.Clone(recorded), r)
				}
				write(t, dir+"/rules.yml", ruleFile{Groups: []ruleGroup{group}})
				args := []string{"test", "rules"}
				for i, f := range tests[name] {
					path := fmt.Sprintf("%s/%d_test.yml", dir, i)
					write(t, path, f)
					args = append(args, path)
				}
				_, err := promtool(t, args...)
				return err != nil
			}
			if noticed(r) {
				t.Fatal("the tests of this alert fail without the other rules")
			}
			for what, broken := range breaks(r) {
				if !noticed(broken) {
					t.Errorf("no test notices %s: %s", what, broken.Expr)
				}
			}
		})
	}
}

// testsByAlert returns for each alert the parts of the test files that are about it.
func testsByAlert(t *testing.T) map[string][]ruleTests {
	t.Helper()
	found := make(map[string][]ruleTests)
	paths, err := filepath.Glob(prometheus + "/*_test.yml")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range paths {
		var f ruleTests
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := yaml.Unmarshal(text, &f); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		mine := make(map[string]*ruleTests)
		for _, test := range f.Tests {
			of := make(map[string][]map[string]any)
			for _, a := range test.Alerts {
				name := a["alertname"].(string)
				of[name] = append(of[name], a)
			}
			for name, alerts := range of {
				if mine[name] == nil {
					mine[name] = &ruleTests{RuleFiles: f.RuleFiles, Interval: f.Interval}
				}
				one := test
				one.Alerts = alerts
				mine[name].Tests = append(mine[name].Tests, one)
			}
		}
		for name, f := range mine {
			found[name] = append(found[name], *f)
		}
	}
	return found
}

var (
	comparison = regexp.MustCompile(` (>|==) `)
	number     = regexp.MustCompile(`(^|[ (])(\d+(?:\.\d+)?)\b`)
	condition  = regexp.MustCompile(`(?m)^and .*$`)
	matcher    = regexp.MustCompile(`[a-z]+=~?"[^"]*"`)
	extreme    = regexp.MustCompile(`\b(min|max) by`)
)

// breaks returns an alert with one thing broken each, by what it is.
func breaks(r rule) map[string]rule {
	broken := make(map[string]rule)
	with := func(what string, at []int, text string) {
		b := r
		b.Expr = r.Expr[:at[0]] + text + r.Expr[at[1]:]
		broken[what+" "+r.Expr[at[0]:at[1]]+fmt.Sprintf(" at %d", at[0])] = b
	}
	for _, at := range comparison.FindAllStringSubmatchIndex(r.Expr, -1) {
		with("the other comparison for", at[2:4], map[string]string{">": "<", "==": "!="}[r.Expr[at[2]:at[3]]])
	}
	for _, at := range number.FindAllStringSubmatchIndex(r.Expr, -1) {
		if n := r.Expr[at[4]:at[5]]; n == "0" {
			with("1000 for", at[4:6], "1000")
		} else {
			with("ten times", at[4:6], "10 * "+n)
			with("a tenth of", at[4:6], "0.1 * "+n)
		}
	}
	for _, at := range condition.FindAllStringIndex(r.Expr, -1) {
		with("the lack of", at, "")
	}
	for _, at := range matcher.FindAllStringIndex(r.Expr, -1) {
		with("the lack of", at, "")
	}
	for _, at := range extreme.FindAllStringSubmatchIndex(r.Expr, -1) {
		with("the other extreme for", at[2:4], map[string]string{"min": "max", "max": "min"}[r.Expr[at[2]:at[3]]])
	}
	if r.For != "" {
		b := r
		b.For = ""
		broken["no waiting"] = b
	}
	return broken
}

// TestRunbooks: each alert has a severity that docs/alerts.md explains, a summary, a
// description, and the address of its own section there. The page has no other sections of
// alerts.
func TestRunbooks(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(root + "/docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	sections := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^#+ (Codeferry\w+)$`).FindAllStringSubmatch(string(text), -1) {
		sections[m[1]] = true
	}
	all, _ := alerts(rules(t))
	for _, name := range slices.Sorted(maps.Keys(all)) {
		r := all[name]
		if !sections[name] {
			t.Errorf("docs/alerts.md has no section %s", name)
		}
		delete(sections, name)
		want := "https://github.com/codeferry/codeferry/blob/main/docs/alerts.md#" + strings.ToLower(name)
		if r.Annotations["runbook_url"] != want {
			t.Errorf("%s: runbook_url is %q, want %q", name, r.Annotations["runbook_url"], want)
		}
		if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
			t.Errorf("%s needs a summary and a description", name)
		}
		if severity := r.Labels["severity"]; !strings.Contains(string(text), "| `"+severity+"` |") {
			t.Errorf("%s: docs/alerts.md does not explain the severity %q", name, severity)
		}
	}
	for name := range sections {
		t.Errorf("docs/alerts.md has a section %s, and rules.yml has no such alert", name)
	}
}

// write writes a value as YAML.
func write(t *testing.T, path string, v any) {
	t.Helper()
	text, err := yaml.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
}
