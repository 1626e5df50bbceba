package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

const heading = `Whose code is in the program codeferry besides its own, and under which licences.

codeferry itself is under the Apache License 2.0: see LICENSE. The source of each module
is what ` + "`go mod download MODULE@VERSION`" + ` gets. This file is written by ` + "`make notices`" + `,
from the modules that are linked.
`

// licence matches the names of files that have to be passed on with the code.
var licence = regexp.MustCompile(`(?i)^(licen[cs]e|copying|notice|patents)([-._].*)?$`)

// text is a licence, with the modules that it is for.
type text struct {
	body  string
	whose []string
}

// notices returns the content of the file: each text once, below the modules that have it, in
// the order of the modules.
func notices(modules []module) ([]byte, error) {
	var texts []*text
	for _, m := range modules {
		files, err := licences(m)
		if err != nil {
			return nil, err
		}
		for _, f := range files {
			body, err := os.ReadFile(filepath.Join(m.dir, f))
			if err != nil {
				return nil, err
			}
			texts = add(texts, tidy(body), m.name+", "+filepath.ToSlash(f))
		}
	}
	var out bytes.Buffer
	out.WriteString(heading)
	for _, t := range texts {
		fmt.Fprintf(&out, "\n%s\n", strings.Repeat("=", 80))
		for _, f := range t.whose {
			fmt.Fprintln(&out, f)
		}
		fmt.Fprintf(&out, "%s\n\n%s\n", strings.Repeat("-", 80), t.body)
	}
	return out.Bytes(), nil
}

func add(texts []*text, body, whose string) []*text {
	i := slices.IndexFunc(texts, func(t *text) bool { return t.body == body })
	if i < 0 {
		return append(texts, &text{body, []string{whose}})
	}
	texts[i].whose = append(texts[i].whose, whose)
	return texts
}

// tidy makes lines end in \n without a space before it, and drops empty lines around the text.
func tidy(body []byte) string {
	lines := strings.Split(strings.ReplaceAll(string(body), "\r\n", "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(line, " \t\f")
	}
	return strings.Trim(strings.Join(lines, "\n"), "\n")
}

// licences returns a module's licence files: those in its root first, then those in the folder
// of each linked package, and in the folders between.
func licences(m module) ([]string, error) {
	var dirs []string
	for _, dir := range append([]string{m.dir}, m.packages...) {
		for ; dir != m.dir; dir = filepath.Dir(dir) {
			if within, err := filepath.Rel(m.dir, dir); err != nil || !filepath.IsLocal(within) {
				return nil, fmt.Errorf("%s: its package %s is not below its folder %s", m.name, dir, m.dir)
			}
			dirs = append(dirs, dir)
		}
		dirs = append(dirs, m.dir)
	}
	slices.Sort(dirs)
	var files []string
	for _, dir := range slices.Compact(dirs) {
		entries, err := os.ReadDir(dir)
		if err != nil {
			return nil, err
		}
		for _, e := range entries {
			if e.IsDir() || filepath.Ext(e.Name()) == ".go" || !licence.MatchString(e.Name()) {
				continue
			}
			within, err := filepath.Rel(m.dir, filepath.Join(dir, e.Name()))
			if err != nil {
				return nil, err
			}
			files = append(files, within)
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%s has no licence in %s: find out whether it may be passed on", m.name, m.dir)
	}
	return files, nil
}
