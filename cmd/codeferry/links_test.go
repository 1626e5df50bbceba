package main

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	fenced     = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	inlineCode = regexp.MustCompile("`[^`\n]*`")
	link       = regexp.MustCompile(`\]\(([^)\s]+)\)|^\[[^\]]+\]: (\S+)`)
	heading    = regexp.MustCompile(`(?m)^#+ (.*)$`)
	// notInSlugs matches what GitHub removes from a heading's anchor.
	notInSlugs = regexp.MustCompile(`[^\p{L}\p{N}_ -]`)
	// ownPages matches the pages of this repository on GitHub.
	ownPages = regexp.MustCompile(`https://github\.com/codeferry/codeferry/blob/main/([^)\s]+)`)
)

// pages returns the texts of all documents, by their paths below the root.
func pages(t *testing.T) map[string]string {
	t.Helper()
	found := make(map[string]string)
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir():
			if slices.Contains([]string{".git", "bin", "data", "dist", "testdata", "node_modules", ".venv", "target"}, d.Name()) {
				return fs.SkipDir
			}
			return nil
		}
		name, err := filepath.Rel(root, path)
		if name = filepath.ToSlash(name); err != nil || filepath.Ext(name) != ".md" && !strings.HasPrefix(name, ".github/") {
			return err
		}
		text, err := os.ReadFile(path)
		found[name] = string(text)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// anchors returns the anchors of a document's headings, as GitHub makes them.
func anchors(text string) []string {
	var found []string
	for _, m := range heading.FindAllStringSubmatch(fenced.ReplaceAllString(text, ""), -1) {
		slug := notInSlugs.ReplaceAllString(strings.ToLower(strings.TrimSpace(m[1])), "")
		found = append(found, strings.ReplaceAll(slug, " ", "-"))
	}
	return found
}

// links returns the targets of a document's links inside the repository.
func links(text string) []string {
	var found []string
	for _, m := range ownPages.FindAllStringSubmatch(text, -1) {
		found = append(found, "/"+m[1])
	}
	for line := range strings.Lines(inlineCode.ReplaceAllString(fenced.ReplaceAllString(text, ""), "")) {
		for _, m := range link.FindAllStringSubmatch(line, -1) {
			if to := m[1] + m[2]; !strings.Contains(to, "://") && !strings.HasPrefix(to, "mailto:") {
				found = append(found, to)
			}
		}
	}
	return found
}

// broken says what is wrong with a document's link. It is empty for a good link.
func broken(pages map[string]string, from, to string) string {
	path, anchor, _ := strings.Cut(to, "#")
	switch {
	case path == "":
		path = from
	case strings.HasPrefix(path, "/"):
		path = path[1:]
	default:
		path = filepath.ToSlash(filepath.Join(filepath.Dir(from), path))
	}
	if _, err := os.Stat(filepath.Join(root, path)); err != nil || !filepath.IsLocal(path) {
		return "there is no " + path
	}
	if anchor != "" && !slices.Contains(anchors(pages[path]), anchor) {
		return path + " has no heading for #" + anchor
	}
	return ""
}

func TestLinksInTheDocs(t *testing.T) {
	t.Parallel()
	all := pages(t)
	n := 0
	for from, text := range all {
		for _, to := range links(text) {
			n++
			if wrong := broken(all, from, to); wrong != "" {
				t.Errorf("%s links to %s: %s", from, to, wrong)
			}
		}
	}
	if n < 50 {
		t.Errorf("the test found only %d links, want 50 or more; check the regular expressions", n)
	}
}

// TestBrokenLinks: broken finds each kind of broken link.
func TestBrokenLinks(t *testing.T) {
	t.Parallel()
	all := map[string]string{"docs/wire.md": "# The `wire`, and more\n```\n# no heading\n```\n"}
	for _, c := range []struct {
		to, want string
	}{
		{"wire.md", ""},
		{"wire.md#the-wire-and-more", ""},
		{"#the-wire-and-more", ""},
		{"../README.md", ""},
		{"/docs/wire.md", ""},
		{"connectors", ""},
		{"wires.md", "there is no docs/wires.md"},
		{"wire.md#no-heading", "docs/wire.md has no heading for #no-heading"},
		{"#wire", "docs/wire.md has no heading for #wire"},
		{"../../go.mod", "there is no ../go.mod"},
	} {
		if got := broken(all, "docs/wire.md", c.to); got != c.want {
			t.Errorf("broken(%s) = %q, want %q", c.to, got, c.want)
		}
	}
	text := "[a](b.md), [c](https://example.com/x.md) and `[d](e.md)`\n[f]: g.md\n```\n[h](i.md)\n```\n" +
		"https://github.com/codeferry/codeferry/blob/main/SECURITY.md\n"
	if got, want := links(text), []string{"/SECURITY.md", "b.md", "g.md"}; !slices.Equal(got, want) {
		t.Errorf("links() = %q, want %q", got, want)
	}
}

// TestTargetsOfMake: the Makefile has each target that documents and CI call, and
// CONTRIBUTING.md names all targets.
func TestTargetsOfMake(t *testing.T) {
	t.Parallel()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	var targets []string
	for _, m := range regexp.MustCompile(`(?m)^([a-z]+):.*## `).FindAllStringSubmatch(read("Makefile"), -1) {
		targets = append(targets, m[1])
	}
	if len(targets) < 10 {
		t.Fatalf("the test found only the targets %q, want 10 or more; check the regular expression", targets)
	}
	called := pages(t)
	called[".ci/run"], called[".ci/release"] = read(".ci/run"), read(".ci/release")
	call := regexp.MustCompile("(?m)(?:`|^|run: )make ((?:[a-z]+ ?)+)")
	for name, text := range called {
		for _, m := range call.FindAllStringSubmatch(text, -1) {
			for target := range strings.FieldsSeq(m[1]) {
				if !slices.Contains(targets, target) {
					t.Errorf("%s has `make %s`, but the Makefile has no such target", name, target)
				}
			}
		}
	}
	for _, target := range targets {
		if target != "help" && !strings.Contains(called["CONTRIBUTING.md"], "make "+target) {
			t.Errorf("CONTRIBUTING.md does not name `make %s`", target)
		}
	}
}
