package config

import (
	"errors"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/token"
)

type place struct {
	file         string
	line, column int
}

// document is one file.
type document struct {
	file    string
	lines   []string
	anchors map[string]ast.Node
}

// place returns where a token stands. The parser puts some behind the end of
// their line or of the file.
func (doc *document) place(t *token.Token) place {
	if t == nil || t.Position == nil || len(doc.lines) == 0 {
		return place{file: doc.file}
	}
	p := place{doc.file, min(max(t.Position.Line, 1), len(doc.lines)), max(t.Position.Column, 1)}
	if p.line != t.Position.Line {
		p.column = math.MaxInt
	}
	p.column = min(p.column, utf8.RuneCountInString(doc.lines[p.line-1])+1)
	return p
}

func (doc *document) problem(t *token.Token, text string) Problem {
	p := doc.place(t)
	return Problem{File: p.file, Line: p.line, Column: p.column, Text: text}
}

// What a configuration may hold. The parser's time grows with the square of
// both, and no configuration comes near them.
const (
	maxTokens  = 50_000
	maxNesting = 100
	maxValues  = 2 * maxTokens
)

// spend counts n more values, and tells whether there may be so many.
func (d *decoder) spend(f field, n int) bool {
	before := d.values
	d.values += n
	if d.values > maxValues && before <= maxValues {
		d.fail(f, "is where the aliases make too much of the file")
	}
	return d.values <= maxValues
}

// parse reads a file's text. ok is false where it is no YAML at all, or empty.
func (d *decoder) parse(file string, text []byte) (f field, ok bool) {
	plain := strings.NewReplacer("\r\n", "\n", "\r", "\n").Replace(strings.TrimPrefix(string(text), "\ufeff"))
	doc := &document{file: file, lines: strings.Split(plain, "\n"), anchors: make(map[string]ast.Node)}
	tokens := lexer.Tokenize(plain)
	if p, ok := doc.refused(tokens); ok {
		d.problems = append(d.problems, p)
		return field{}, false
	}
	parsed, err := parser.Parse(tokens, 0)
	if err != nil {
		d.problems = append(d.problems, doc.syntaxProblem(err))
		return field{}, false
	}
	var bodies []ast.Node
	for _, b := range parsed.Docs {
		if b.Body != nil {
			bodies = append(bodies, b.Body)
		}
	}
	switch len(bodies) {
	case 0:
		d.problems = append(d.problems, Problem{File: file, Text: "is empty"})
		return field{}, false
	case 1:
	default:
		d.problems = append(d.problems, doc.problem(start(bodies[1]), secondDocument))
		return field{}, false
	}
	f = field{doc, bodies[0], ""}
	ast.Walk(anchorVisitor{d, doc}, bodies[0])
	return f, true
}

const secondDocument = "begins a second YAML document; the file takes one"

// refused tells whether a file holds what the parser should not be given: too
// much, or a document behind an empty one, which it would drop.
func (doc *document) refused(tokens token.Tokens) (p Problem, yes bool) {
	if len(tokens) > maxTokens {
		return doc.problem(tokens[maxTokens], "holds too much for a configuration"), true
	}
	depth, headers := 0, 0
	for _, t := range tokens {
		switch t.Type {
		case token.DocumentHeaderType:
			headers++
			if headers > 1 {
				return doc.problem(t, secondDocument), true
			}
		case token.MappingStartType, token.SequenceStartType:
			depth++
		case token.MappingEndType, token.SequenceEndType:
			depth--
		}
		if depth > maxNesting {
			return doc.problem(t, "is nested too deeply"), true
		}
	}
	return Problem{}, false
}

// syntaxProblem keeps the position and the parser's own words, and nothing that
// it would show of the file: that may be a secret.
func (doc *document) syntaxProblem(err error) Problem {
	var syntax *yaml.SyntaxError
	if errors.As(err, &syntax) {
		return doc.problem(syntax.GetToken(), "is no YAML: "+quotedText.ReplaceAllString(syntax.GetMessage(), `"…"`))
	}
	return Problem{File: doc.file, Text: "is no YAML"}
}

// anchorVisitor collects a document's anchors. Each may be there once, so that
// an alias means the same wherever it stands.
type anchorVisitor struct {
	d   *decoder
	doc *document
}

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		name := a.Name.GetToken().Value
		if _, twice := v.doc.anchors[name]; twice {
			v.d.report(field{v.doc, a, ""}, "sets an anchor that stands elsewhere, too; give it another name")
		}
		v.doc.anchors[name] = a.Value
	}
	return v
}
