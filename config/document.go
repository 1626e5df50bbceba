package config

import (
	"errors"
	"fmt"
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

// place returns the place of a token. The parser puts some tokens after the end of their
// line or of the file; their place is that end.
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

// Limits of a configuration's size. The parser's time grows with the square of the keys of one
// mapping and of the nesting. A configuration of 1000 apps, each with connectors of its own, has
// 170 000 tokens.
const (
	maxTokens  = 250_000
	maxNesting = 100
	maxValues  = maxTokens
)

// spend counts n more values, and reports whether the total is within maxValues.
func (d *decoder) spend(f field, n int) bool {
	before := d.values
	d.values += n
	if d.values > maxValues && before <= maxValues {
		d.fail(f, "makes the file too large, because of its aliases")
	}
	return d.values <= maxValues
}

// parse reads a file's text. ok is false if it is not YAML, or empty.
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

const secondDocument = "begins a second YAML document; the file can hold only one"

// refused returns the reason to keep a file from the parser: it is too large, or it has a
// document after an empty one, which the parser would drop.
func (doc *document) refused(tokens token.Tokens) (p Problem, yes bool) {
	if len(tokens) > maxTokens {
		return doc.problem(tokens[maxTokens], fmt.Sprintf("is too large for a configuration, which has at most %d words and signs; write what repeats once, with an anchor, or divide the apps (docs/scale.md)", maxTokens)), true
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

// syntaxProblem keeps the position and the parser's own words. It removes what the
// parser quotes from the file: that can be a secret.
func (doc *document) syntaxProblem(err error) Problem {
	if syntax, ok := errors.AsType[*yaml.SyntaxError](err); ok {
		return doc.problem(syntax.GetToken(), "is not YAML: "+quotedText.ReplaceAllString(syntax.GetMessage(), `"…"`))
	}
	return Problem{File: doc.file, Text: "is not YAML"}
}

// anchorVisitor collects a document's anchors. Each name is allowed once, so that an
// alias means the same everywhere.
type anchorVisitor struct {
	d   *decoder
	doc *document
}

func (v anchorVisitor) Visit(n ast.Node) ast.Visitor {
	if a, ok := n.(*ast.AnchorNode); ok {
		name := a.Name.GetToken().Value
		if _, twice := v.doc.anchors[name]; twice {
			v.d.report(field{v.doc, a, ""}, "sets an anchor that is already set; give it another name")
		}
		v.doc.anchors[name] = a.Value
	}
	return v
}
