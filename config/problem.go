package config

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Problem is one mistake in a configuration.
type Problem struct {
	// File, Line and Column say where it stands, both counted from 1. A field
	// that is missing stands where its parent does.
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

// Problems is everything that is wrong with a configuration.
type Problems []Problem

// sorted puts the problems into the files' order.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Column-b.Column)
	})
	return ps
}

// Error returns a line a problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.Error()
	}
	return strings.Join(lines, "\n")
}
