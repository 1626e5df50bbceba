package deploy

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

type (
	dashboard struct {
		UID        string  `json:"uid"`
		Title      string  `json:"title"`
		Panels     []panel `json:"panels"`
		Templating struct {
			List []struct {
				Name  string `json:"name"`
				Type  string `json:"type"`
				Query any    `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	panel struct {
		ID          int    `json:"id"`
		Type        string `json:"type"`
		Title       string `json:"title"`
		Description string `json:"description"`
		GridPos     struct {
			H, W, X, Y int
		} `json:"gridPos"`
		Datasource dataSource `json:"datasource"`
		Targets    []struct {
			Expr       string     `json:"expr"`
			Legend     string     `json:"legendFormat"`
			Datasource dataSource `json:"datasource"`
		} `json:"targets"`
	}
	dataSource struct {
		Type string `json:"type"`
		UID  string `json:"uid"`
	}
)

func dashboards(t *testing.T) map[string]dashboard {
	t.Helper()
	paths, err := filepath.Glob(root + "/deploy/grafana/*.json")
	if err != nil || len(paths) == 0 {
		t.Fatalf("no dashboards: %v", err)
	}
	all := make(map[string]dashboard)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var d dashboard
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		all[filepath.Base(path)] = d
	}
	return all
}

var (
	labelValues = regexp.MustCompile(`^label_values\((.*), (\w+)\)$`)
	legendLabel = regexp.MustCompile(`\{\{(\w+)\}\}`)
	variable    = regexp.MustCompile(`\$\{?(\w+)`)
	// grafanas are the variables that Grafana itself has.
	grafanas = []string{"__rate_interval"}
)

// TestDashboards: the dashboards name metrics, labels and values that a worker serves,
// variables that they have, and no other data source than the chosen one. No panel covers
// another one, and each says what it shows. docs/alerts.md has each of them.
func TestDashboards(t *testing.T) {
	t.Parallel()
	scraped, recorded := samples(live(t)), recordedIn(rules(t))
	page, err := os.ReadFile(root + "/docs/alerts.md")
	if err != nil {
		t.Fatal(err)
	}
	uids := make(map[string]string)
	for file, d := range dashboards(t) {
		if !strings.Contains(string(page), "| `"+file+"` |") {
			t.Errorf("docs/alerts.md does not have the dashboard %s", file)
		}
		if other := uids[d.UID]; other != "" || d.UID == "" {
			t.Errorf("%s: its uid %q is empty, or that of %q", file, d.UID, other)
		}
		uids[d.UID] = file
		variables := make(map[string]bool)
		for _, name := range grafanas {
			variables[name] = true
		}
		for _, v := range d.Templating.List {
			variables[v.Name] = true
			if query, ok := v.Query.(map[string]any); ok {
				m := labelValues.FindStringSubmatch(query["query"].(string))
				if m == nil {
					t.Errorf("%s: variable %s is not label_values(…)", file, v.Name)
					continue
				}
				for _, wrong := range wrongIn("sum by ("+m[2]+") ("+m[1]+")", scraped, recorded) {
					t.Errorf("%s: variable %s: %s", file, v.Name, wrong)
				}
			}
		}
		ids := make(map[int]bool)
		taken := make(map[string]string)
		for _, p := range d.Panels {
			name := file + ": " + p.Title
			if ids[p.ID] || p.Title == "" || p.Type != "row" && p.Description == "" {
				t.Errorf("%s: its id %d is another panel's, or it has no title or description", name, p.ID)
			}
			ids[p.ID] = true
			for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
				for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
					at := fmt.Sprint(x, ",", y)
					if other := taken[at]; other != "" || x >= 24 {
						t.Errorf("%s: at %s it covers %q, or the edge", name, at, other)
					}
					taken[at] = p.Title
				}
			}
			if p.Type == "row" {
				continue
			}
			if len(p.Targets) == 0 {
				t.Errorf("%s has no query", name)
			}
			for _, q := range p.Targets {
				if want := (dataSource{"prometheus", "${datasource}"}); q.Datasource != want || p.Datasource != want {
					t.Errorf("%s: its data source is not the chosen one", name)
				}
				for _, wrong := range wrongIn(q.Expr, scraped, recorded) {
					t.Errorf("%s: %s in %s", name, wrong, q.Expr)
				}
				for _, m := range variable.FindAllStringSubmatch(q.Expr, -1) {
					if !variables[m[1]] {
						t.Errorf("%s: the dashboard has no variable %s", name, m[1])
					}
				}
				for _, m := range legendLabel.FindAllStringSubmatch(q.Legend, -1) {
					if !strings.Contains(q.Expr, m[1]) && m[1] != "instance" {
						t.Errorf("%s: its legend names %s, and its query does not keep that label: %s", name, m[1], q.Expr)
					}
				}
			}
		}
	}
}

// TestQueriesOfDashboards: Prometheus can read each query.
func TestQueriesOfDashboards(t *testing.T) {
	t.Parallel()
	values := strings.NewReplacer("$__rate_interval", "1m", "$job", "codeferry", "$channel", "sms", "$connector", "aliyun-sms")
	var all []rule
	for _, d := range dashboards(t) {
		for _, p := range d.Panels {
			for _, q := range p.Targets {
				all = append(all, rule{Record: fmt.Sprintf("query%d", len(all)), Expr: values.Replace(q.Expr)})
			}
		}
	}
	path := t.TempDir() + "/rules.yml"
	write(t, path, ruleFile{Groups: []ruleGroup{{Name: "queries", Rules: all}}})
	if out, err := promtool(t, "check", "rules", path); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}
