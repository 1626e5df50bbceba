package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	// File, Line and Column are the place. Line and Column count from 1. A field that is
	// missing has the place of its parent.
	File         string
	Line, Column int
	// Path is the field's, such as connectors.direct-mail.accountName.
	Path string
	// Text says what is wrong and what would be right.
	Text string
}

// Error returns the problem in one line: file:line:column: path text.
func (p Problem) Error() string {
	s := p.Text
	if p.Path != "" {
		s = p.Path + " " + s
	}
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, s)
	}
	return p.File + ": " + s
}

// Problems are all mistakes of a configuration.
type Problems []Problem

// sorted sorts the problems by their place.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	return ps
}

// Error returns one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}
