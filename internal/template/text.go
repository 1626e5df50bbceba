package template

import (
	"strings"

	dom "golang.org/x/net/html"
	"golang.org/x/net/html/atom"
)

// Text makes a plain-text template from an HTML one: its words and its links, one line for
// each block. Placeholders stay; their values are escaped as in PlainText, and those of a link
// as in the HTML.
func Text(src string) (*Template, error) {
	if err := checkPrivate(src); err != nil {
		return nil, err
	}
	root, err := dom.Parse(strings.NewReader(src))
	if err != nil {
		return nil, err
	}
	var w textWriter
	w.node(root)
	text := strings.TrimSpace(w.b.String())
	t := Plain("")
	for i, piece := range strings.Split(text, leftDelim) {
		if i > 0 {
			url, rest, _ := strings.Cut(piece, rightDelim)
			l, err := parseLink(url)
			if err != nil {
				return nil, err
			}
			t.parts, piece = append(t.parts, l), rest
		}
		parts, err := textParts(piece)
		if err != nil {
			return nil, err
		}
		t.parts = append(t.parts, parts...)
	}
	t.variables = variables(text)
	return t, nil
}

// textWriter writes words with one space between them, and lines with at most one empty line
// between them.
type textWriter struct {
	b strings.Builder
	// space and lines are written before the next word, if there is one.
	space bool
	lines int
}

func (w *textWriter) node(n *dom.Node) {
	if n.Type == dom.TextNode {
		w.words(withoutPrivate.Replace(n.Data))
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

// silent holds the elements whose content a reader of the HTML does not see.
var silent = map[atom.Atom]bool{
	atom.Head: true, atom.Style: true, atom.Script: true, atom.Title: true, atom.Template: true, atom.Noscript: true,
}

// gap is the least number of line breaks between an element's words and the others: 2 makes an
// empty line.
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
	switch n.DataAtom { //nolint:exhaustive // for all others, only the children matter
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

// link writes a link's words, and its URL if the words do not show it.
func (w *textWriter) link(n *dom.Node) {
	before := w.b.Len()
	w.children(n)
	words := strings.TrimSpace(w.b.String()[before:])
	to := href(n)
	switch {
	case to == "" || strings.HasPrefix(to, "#") || to == "mailto:"+words:
	case words == "":
		w.words(marked(to))
	case to == words: // the words are the URL
		text := w.b.String()
		w.b.Reset()
		w.b.WriteString(text[:len(text)-len(words)] + marked(to))
	default:
		w.words(" (" + marked(to) + ")")
	}
}

// withoutPrivate removes our delimiters, which HTML may hold as &#xE000;.
var withoutPrivate = strings.NewReplacer(leftDelim, "", rightDelim, "")

// marked puts a URL with placeholders between our delimiters, so that Text finds it.
func marked(url string) string {
	if !placeholder.MatchString(url) {
		return url
	}
	return leftDelim + url + rightDelim
}

func href(n *dom.Node) string {
	for _, a := range n.Attr {
		if a.Key == "href" {
			return strings.TrimSpace(withoutPrivate.Replace(a.Val))
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

// owed writes the line breaks or the space before a word.
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
