package aliyun

import (
	"maps"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestCodesPage: docs/aliyun-codes.md has every code of the catalogue, once, with
// its meaning, and no other.
func TestCodesPage(t *testing.T) {
	page, err := os.ReadFile("../../docs/aliyun-codes.md")
	if err != nil {
		t.Fatal(err)
	}
	_, tables, _ := strings.Cut(string(page), "\n## ")
	name, missing := regexp.MustCompile("`([^`]+)`"), maps.Clone(codes)
	for line := range strings.Lines(tables) {
		cells := strings.Split(line, " | ")
		if len(cells) != 4 || !strings.HasPrefix(cells[0], "| `") {
			continue
		}
		for _, m := range name.FindAllStringSubmatch(cells[0], -1) {
			code := m[1]
			want, ok := missing[code]
			if !ok {
				t.Errorf("the page has %s twice, or the catalogue does not have it", code)
			}
			delete(missing, code)
			if cells[1] != want.class.String() || cells[2] != want.scope.String() {
				t.Errorf("the page says of %s: %s, %s; the catalogue says %v, %v", code, cells[1], cells[2], want.class, want.scope)
			}
		}
	}
	for code := range missing {
		t.Errorf("the page lacks %s", code)
	}
}
