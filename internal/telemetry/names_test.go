package telemetry_test

import (
	"os"
	"regexp"
	"slices"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// found returns the first groups of all matches in a file, sorted.
func found(t *testing.T, file, pattern string) (all []string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(pattern).FindAllStringSubmatch(string(text), -1) {
		all = append(all, m[1])
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// TestNamesInTheDocs: docs/traces.md lists the attributes and the version of the conventions.
func TestNamesInTheDocs(t *testing.T) {
	const docs = "../../docs/traces.md"
	documented, used := found(t, docs, "(?m)^\\| `(codeferry\\.[a-z_]+)` \\|"), found(t, "names.go", `attribute\.Key\("(codeferry\.[a-z_]+)"\)`)
	check.True(t, "names.go has attributes", len(used) > 10, used)
	for _, name := range used {
		check.True(t, "docs/traces.md has "+name, slices.Contains(documented, name), documented)
	}
	for _, name := range documented {
		check.True(t, "names.go has "+name, slices.Contains(used, name), used)
	}
	for _, file := range []string{"names.go", "tracer.go", "telemetry.go"} {
		check.Equal(t, "the version in "+file, found(t, file, `semconv/v([0-9.]+)"`)[0], found(t, docs, `semantic conventions ([0-9.]+[0-9]),`)[0])
	}
}
