package faults

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// root is the root of the repository.
const root = "../.."

// sources are the texts of the repository's Go files, by their path.
func sources(t *testing.T) map[string]string {
	t.Helper()
	texts := make(map[string]string)
	if err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (d.Name() == "bin" || strings.HasPrefix(d.Name(), ".") && path != root) {
			return fs.SkipDir
		}
		if !strings.HasSuffix(path, ".go") {
			return nil
		}
		text, err := os.ReadFile(path)
		texts[path] = string(text)
		return err
	}); err != nil {
		t.Fatal(err)
	}
	return texts
}

// faultTable returns the cells of each row of the table of faults in docs/operation.md.
func faultTable(t *testing.T) (rows [][]string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "operation.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n## When something breaks\n")
	if !ok {
		t.Fatal("docs/operation.md has no such section")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "|") {
			cells := strings.Split(strings.Trim(line, "|"), "|")
			for i := range cells {
				cells[i] = strings.TrimSpace(cells[i])
			}
			rows = append(rows, cells)
		}
	}
	return rows
}

// TestFaultTable: each row of the operator's table names existing tests, and quotes texts that
// codeferry writes.
func TestFaultTable(t *testing.T) {
	texts := sources(t)
	rows := faultTable(t)
	if len(rows) < 20 {
		t.Fatalf("the table has %d lines", len(rows))
	}
	shows := regexp.MustCompile("^([a-z][a-z0-9/]*) `(Test[A-Za-z0-9]+)`$")
	quoted := regexp.MustCompile("`([^`]+)`")
	const logColumn, metricColumn, readyColumn, testColumn = 4, 5, 6, 7
	for _, row := range rows[2:] {
		if len(row) != testColumn+1 {
			t.Errorf("%q: %d columns", row[0], len(row))
			continue
		}
		for test := range strings.SplitSeq(row[testColumn], ", ") {
			m := shows.FindStringSubmatch(test)
			if m == nil {
				t.Errorf("%q: %q names no package and test", row[0], test)
				continue
			}
			if !somewhere(texts, filepath.Join(root, m[1]), "_test.go", "func "+m[2]+"(") {
				t.Errorf("%q: there is no %s in %s", row[0], m[2], m[1])
			}
		}
		for _, column := range []int{logColumn, metricColumn, readyColumn} {
			for _, m := range quoted.FindAllStringSubmatch(row[column], -1) {
				if !somewhere(texts, "", ".go", m[1]) {
					t.Errorf("%q: codeferry never writes %q", row[0], m[1])
				}
			}
		}
	}
}

// somewhere reports whether a Go file in dir has a text. With an empty dir it searches all Go
// files except tests.
func somewhere(texts map[string]string, dir, suffix, what string) bool {
	for path, text := range texts {
		if (dir == "" && !strings.HasSuffix(path, "_test.go") || dir == filepath.Dir(path)) &&
			strings.HasSuffix(path, suffix) && strings.Contains(text, what) {
			return true
		}
	}
	return false
}
