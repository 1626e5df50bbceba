package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"
)

// readKnown reads a list of harmless survivors: a line names one, and the indented lines below
// it give the reason. Lines that begin with # are comments. A missing file lists none.
func readKnown(path string) (map[string]string, error) {
	known := make(map[string]string)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return known, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // the file was only read
	name := ""
	lines := bufio.NewScanner(f)
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		switch {
		case strings.TrimSpace(line) == "", strings.HasPrefix(line, "#"):
		case strings.HasPrefix(line, "\t") && name == "":
			return nil, fmt.Errorf("%s:%d: a reason without a mutant above it", path, n)
		case strings.HasPrefix(line, "\t"):
			known[name] += strings.TrimSpace(line) + " "
		default:
			if _, twice := known[line]; twice {
				return nil, fmt.Errorf("%s:%d: listed twice: %s", path, n, line)
			}
			name = line
			known[name] = ""
		}
	}
	for _, name := range sorted(known) {
		if known[name] == "" {
			return nil, fmt.Errorf("%s: no reason is given for: %s", path, name)
		}
	}
	return known, lines.Err()
}

func sorted(known map[string]string) []string { return slices.Sorted(maps.Keys(known)) }
