// Package template renders Logto's templates: text with {{code}} and any other
// {{name}} or {{a.b.1}} of a message's payload. A template is parsed once, at the
// start; a value is escaped for its place in the HTML.
//
// Everything else between braces is text, as in Logto.
package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is a parsed text. Many goroutines can render it at once.
type Template struct {
	parts     []part
	variables []string
	// clean changes a value before it is inserted.
	clean func(string) string
}

// part writes one part of a template, with the values of the variables.
type part interface {
	write(b *strings.Builder, values map[string]string) error
}

// Plain parses text whose values are inserted unchanged.
func Plain(src string) *Template {
	return &Template{
		parts:     []part{parsePlain(src)},
		variables: variables(src),
		clean:     func(s string) string { return s },
	}
}

// PlainText parses a mail's plain text. Values are inserted unchanged, except in a URL: there
// they are escaped for their place, as HTML does it in an href. A mail program makes a link of
// the URL, and the value must not end or change it.
func PlainText(src string) (*Template, error) {
	t := Plain(src)
	parts, err := textParts(src)
	if err != nil {
		return nil, err
	}
	t.parts = parts
	return t, nil
}

// Line parses text that stays on one line, such as a subject: a line break in a value becomes
// a space.
func Line(src string) *Template {
	t := Plain(src)
	t.clean = oneLine
	return t
}

// Variables returns the names that the template uses, sorted.
func (t *Template) Variables() []string { return t.variables }

// MissingError names a required variable that the payload does not have.
type MissingError struct{ Name string }

// Error names the variable.
func (e *MissingError) Error() string {
	return fmt.Sprintf("the template uses {{%s}} and the payload has no %s", e.Name, e.Name)
}

// required reports whether a message is of no use without the variable.
func required(name string) bool { return name == "code" || name == "link" }

// Render fills in the template. A missing code or link is a *MissingError; any other missing
// value becomes empty text, and missing names it.
func (t *Template) Render(payload map[string]any) (text string, missing []string, err error) {
	values := make(map[string]string, len(t.variables))
	for _, name := range t.variables {
		v, ok := lookup(payload, name)
		switch {
		case required(name) && v == "":
			return "", nil, &MissingError{name}
		case !ok:
			missing = append(missing, name)
		}
		values[name] = t.clean(v)
	}
	var b strings.Builder
	for _, p := range t.parts {
		if err := p.write(&b, values); err != nil {
			return "", nil, fmt.Errorf("render: %w", err)
		}
	}
	return b.String(), missing, nil
}

// placeholder matches Logto's placeholders: with or without spaces around a name of letters,
// digits, _ and dots.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\s*\}\}`)

// Mistakes returns the parts of a template that begin like a placeholder and are not one. They
// are sent as text, which their author surely does not want.
func Mistakes(src string) []string {
	const shown = 30
	var found []string
	for _, m := range attempted.FindAllString(src, -1) {
		if placeholder.MatchString(m) && placeholder.FindString(m) == m {
			continue
		}
		if r := []rune(m); len(r) > shown {
			m = string(r[:shown]) + "…"
		}
		found = append(found, m)
	}
	return found
}

// attempted matches what the author may have meant as a placeholder, on one line.
var attempted = regexp.MustCompile(`\{\{.*?(?:\}\}|$|\n)`)

func variables(src string) []string {
	found := placeholder.FindAllStringSubmatch(src, -1)
	names := make([]string, len(found))
	for i, m := range found {
		names[i] = m[1]
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plain is text with variables between: text[0] name[0] text[1] … text[n].
type plain struct{ text, name []string }

func parsePlain(src string) plain {
	var p plain
	at := 0
	for _, m := range placeholder.FindAllStringSubmatchIndex(src, -1) {
		p.text = append(p.text, src[at:m[0]])
		p.name = append(p.name, src[m[2]:m[3]])
		at = m[1]
	}
	p.text = append(p.text, src[at:])
	return p
}

func (p plain) write(b *strings.Builder, values map[string]string) error {
	for i, name := range p.name {
		b.WriteString(p.text[i])
		b.WriteString(values[name])
	}
	b.WriteString(p.text[len(p.text)-1])
	return nil
}

// lookup finds a value by its path; ok is false if the payload has no text there: no value,
// null, an object or a list.
func lookup(payload map[string]any, path string) (text string, ok bool) {
	var v any = payload
	for name := range strings.SplitSeq(path, ".") {
		switch x := v.(type) {
		case map[string]any:
			v = x[name]
		case []any:
			i, err := strconv.Atoi(name)
			if err != nil || i < 0 || i >= len(x) {
				return "", false
			}
			v = x[i]
		default:
			return "", false
		}
	}
	switch x := v.(type) {
	case string:
		return x, true
	case bool:
		return strconv.FormatBool(x), true
	case json.Number:
		return x.String(), true
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), true
	case int:
		return strconv.Itoa(x), true
	}
	return "", false
}

// oneLine replaces control characters and Unicode's line breaks with spaces.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
