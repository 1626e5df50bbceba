package template

import (
	"strings"

	dom "golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Text makes a plain-text template of an HTML one: its words and its links, a
// line a block. Placeholders stay, and their values are put in as they are.
func Text(src string) *Template {
	root, err := dom.Parse(strings.NewReader(src))
	if err != nil { // only a reader's error; a string has none
		return Plain("")
	}
	var w textWriter
	w.node(root)
	return Plain(strings.TrimSpace(w.b.String()))
}

// textWriter writes words with one space between, and lines with at most one
// empty line between.
type textWriter struct {
	b strings.Builder
	// space and lines are owed: written before the next word, if there is one.
	space bool
	lines int
}

func (w *textWriter) node(n *dom.Node) {
	if n.Type == dom.TextNode {
		w.words(n.Data)
		return
	}
	if n.Type == dom.ElementNode {
		w.element(n)
		return
	}
	w.children(n)
}

func (w *textWriter) children(n *dom.Node) {
	for c := range n.ChildNodes() {
		w.node(c)
	}
}

// silent elements hold nothing that a reader of the HTML sees.
var silent = map[atom.Atom]bool{
	atom.Head: true, atom.Style: true, atom.Script: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
}

// gap is how many lines stand around an element at least, between its words and
// the others: 2 makes an empty line.
var gap = map[atom.Atom]int{
	atom.Div: 1, atom.Tr: 1, atom.Dt: 1, atom.Dd: 1, atom.Center: 1, atom.Li: 1,
	atom.P: 2, atom.H1: 2, atom.H2: 2, atom.H3: 2, atom.H4: 2, atom.H5: 2, atom.H6: 2,
	atom.Ul: 2, atom.Ol: 2, atom.Dl: 2, atom.Table: 2, atom.Blockquote: 2, atom.Pre: 2, atom.Hr: 2,
	atom.Section: 2, atom.Article: 2, atom.Header: 2, atom.Footer: 2, atom.Body: 2,
}

func (w *textWriter) element(n *dom.Node) {
	if silent[n.DataAtom] {
		return
	}
	w.atLeast(gap[n.DataAtom])
	switch n.DataAtom { //nolint:exhaustive // the others are their children
	case atom.Br:
		w.lines++
	case atom.A:
		w.link(n)
		return
	case atom.Li:
		w.words("- ")
	case atom.Td, atom.Th:
		w.space = true
	}
	w.children(n)
	w.atLeast(gap[n.DataAtom])
}

// link writes a link's words and, where they do not say it, where it leads.
func (w *textWriter) link(n *dom.Node) {
	before := w.b.Len()
	w.children(n)
	said := strings.TrimSpace(w.b.String()[before:])
	to := href(n)
	switch {
	case to == "" || strings.HasPrefix(to, "#") || to == said || to == "mailto:"+said:
	case said == "":
		w.words(to)
	default:
		w.words(" (" + to + ")")
	}
}

func href(n *dom.Node) string {
	for _, a := range n.Attr {
		if a.Key == "href" {
			return strings.TrimSpace(a.Val)
		}
	}
	return ""
}

func (w *textWriter) atLeast(lines int) { w.lines = max(w.lines, lines) }

func (w *textWriter) words(s string) {
	for i, word := range strings.Fields(s) {
		if i > 0 || startsWithSpace(s) {
			w.space = true
		}
		w.owed()
		w.b.WriteString(word)
	}
	if s != "" && (startsWithSpace(s) && strings.TrimSpace(s) == "" || endsWithSpace(s)) {
		w.space = true
	}
}

// owed writes the lines or the space before a word.
func (w *textWriter) owed() {
	switch {
	case w.b.Len() == 0:
	case w.lines > 0:
		w.b.WriteString(strings.Repeat("\n", min(w.lines, 2)))
	case w.space:
		w.b.WriteByte(' ')
	}
	w.space, w.lines = false, 0
}

func startsWithSpace(s string) bool { return strings.TrimLeft(s, " \t\r\n\f") != s }
func endsWithSpace(s string) bool   { return strings.TrimRight(s, " \t\r\n\f") != s }
