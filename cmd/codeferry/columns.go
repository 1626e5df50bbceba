package main

import (
	"io"
	"strings"
	"unicode/utf8"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// columns prints rows as they come. What was printed can't be moved: a column is as wide as
// its widest cell so far.
type columns struct {
	out    io.Writer
	names  []string
	widths []int
	began  bool
}

// Samples of cells, as wide as most of their kind: a wider one shifts the columns after it.
const (
	sampleID  = "01JDCT5Z6Q0000000000000000"
	sampleKey = "user-01JDCT5Z6Q00000"
	sampleTo  = "f***@mail.example.com"
)

// newColumns returns columns with names, each as wide as its sample at the least.
func newColumns(out io.Writer, names, samples []string) *columns {
	c := &columns{out: out, names: names, widths: make([]int, len(names))}
	c.grow(names)
	c.grow(samples)
	return c
}

func (c *columns) grow(cells []string) {
	for i, cell := range cells {
		c.widths[i] = max(c.widths[i], utf8.RuneCountInString(cell))
	}
}

// row prints a row, below the names if it is the first. paint changes how a cell looks and
// not how wide it is; nil for nothing.
func (c *columns) row(cells []string, paint func(i int, cell string) string) error {
	if !c.began {
		c.began = true
		if err := c.print(c.names, nil); err != nil {
			return err
		}
	}
	c.grow(cells)
	return c.print(cells, paint)
}

func (c *columns) print(cells []string, paint func(i int, cell string) string) error {
	var b strings.Builder
	for i, cell := range cells {
		pad := c.widths[i] - utf8.RuneCountInString(cell) + 2
		if paint != nil {
			cell = paint(i, cell)
		}
		b.WriteString(cell)
		if i < len(cells)-1 {
			b.WriteString(strings.Repeat(" ", pad))
		}
	}
	_, err := io.WriteString(c.out, strings.TrimRight(b.String(), " ")+"\n")
	return err
}

// maxShown is how much of something that was typed is shown of it: as much as an id has.
const maxShown = 200

// typed returns what was typed as it may be shown: cut, and masked if it is an address.
func typed(text string) string {
	if wire.ShowsAddress(text, "") {
		return messages.Mask(text)
	}
	text = plain(strings.ToValidUTF8(text, "\ufffd"))
	if n := utf8.RuneCountInString(text); n > maxShown {
		return string([]rune(text)[:maxShown]) + "…"
	}
	return text
}
