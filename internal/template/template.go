// Package template renders Logto's templates: text with {{code}} and any other
// {{name}} or {{a.b.1}} of a message's payload. A template is parsed once, at
// start; a value is escaped for where it stands in the HTML.
//
// Whatever else stands between braces is text, as in Logto.
package template

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Template is parsed text. It may be rendered by many goroutines at once.
type Template struct {
	parts     []part
	variables []string
	// clean is what is done to a value before it is put in.
	clean func(string) string
}

// part writes its share of a template, with the values of the variables.
type part interface {
	write(b *strings.Builder, values map[string]string) error
}

// Plain parses text whose values are put in as they are.
func Plain(src string) *Template {
	return &Template{
		parts:     []part{parsePlain(src)},
		variables: variables(src),
		clean:     func(s string) string { return s },
	}
}

// Line parses text that stays on one line, such as a subject: what would break
// the line in a value becomes a space.
func Line(src string) *Template {
	t := Plain(src)
	t.clean = oneLine
	return t
}

// Variables returns the names that the template uses, sorted.
func (t *Template) Variables() []string { return t.variables }

// MissingError is a variable that a code can't do without and that the payload
// lacks.
type MissingError struct{ Name string }

// Error names the variable.
func (e *MissingError) Error() string {
	return fmt.Sprintf("the template uses {{%s}} and the payload has no %s", e.Name, e.Name)
}

// required are the variables without which a message is of no use.
func required(name string) bool { return name == "code" || name == "link" }

// Render fills the template in. A missing code or link is a *MissingError; any
// other missing value is nothing, and named in missing.
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

// placeholder is Logto's: spaces allowed; letters, digits, _ and . in a name.
var placeholder = regexp.MustCompile(`\{\{\s*([A-Za-z0-9_]+(?:\.[A-Za-z0-9_]+)*)\s*\}\}`)

// Mistakes returns what in a template begins as a placeholder and is none: it
// goes out as it stands, which nobody wants who wrote it.
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

// attempted is what somebody may have meant as a placeholder, on one line.
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

// lookup finds a value by its path; ok is false where the payload has no text
// there: nothing, null, an object or a list.
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

// oneLine replaces control characters, and Unicode's own line breaks, by spaces.
func oneLine(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r == '\u0085' || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)
}
