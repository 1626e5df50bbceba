package config

import (
	"fmt"
	"iter"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/token"

	"github.com/codeferry/codeferry/sender"
)

// decoder reads YAML nodes into Go values, and continues after a mistake. It is
// stricter than the YAML library: a field must be known, text must be text, and each
// mistake has its place.
type decoder struct {
	env      Env
	problems Problems
	// warnings are about settings that are valid but probably not meant.
	warnings Problems
	// values counts the values read: with aliases a small file can hold very many.
	values int
	// places has the place of each path, for the checks after decoding.
	places map[string]place
	// bad holds the paths that could not be read. Later checks do not report them
	// again.
	bad map[string]bool
}

// field is a node with its document and its path.
type field struct {
	doc  *document
	node ast.Node
	path string
}

func (f field) child(name string, node ast.Node) field {
	path := name
	if f.path != "" {
		path = f.path + "." + name
	}
	return field{f.doc, node, path}
}

func (f field) item(i int, node ast.Node) field {
	return field{f.doc, node, fmt.Sprintf("%s[%d]", f.path, i)}
}

// fail reports that a field could not be read.
func (d *decoder) fail(f field, format string, args ...any) {
	d.report(f, format, args...)
	d.bad[f.path] = true
}

// report reports a problem at a field's place.
func (d *decoder) report(f field, format string, args ...any) {
	p := f.doc.problem(start(f.node), withoutLong(fmt.Sprintf(format, args...)))
	p.Path = f.path
	d.problems = append(d.problems, p)
}

// quotedText matches what %q writes.
var quotedText = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)

// withoutLong removes quoted values from a problem if they are more than one short word.
// A missing quote in the file can make one value of several lines, and one of them can
// hold a secret.
func withoutLong(text string) string {
	return quotedText.ReplaceAllStringFunc(text, func(q string) string {
		if len(q) > 64 || strings.ContainsAny(q, " \\") {
			return `"…"`
		}
		return q
	})
}

// start returns a node's first token. GetToken of a mapping would return the colon.
func start(n ast.Node) *token.Token {
	switch x := n.(type) {
	case *ast.MappingNode:
		if len(x.Values) > 0 && !x.IsFlowStyle {
			return start(x.Values[0])
		}
	case *ast.MappingValueNode:
		return x.Key.GetToken()
	}
	return n.GetToken()
}

// failPath reports a problem of a path, at the place of the nearest known parent. It
// reports nothing if the path or a parent could not be read.
func (d *decoder) failPath(path, format string, args ...any) {
	for up := range upwards(path) {
		if d.bad[up] {
			return
		}
	}
	d.problems = append(d.problems, d.problemAt(path, format, args...))
}

// problemAt makes a problem of a path, at the place of the nearest known parent.
func (d *decoder) problemAt(path, format string, args ...any) Problem {
	var at place
	for up := range upwards(path) {
		if p, ok := d.places[up]; ok {
			at = p
			break
		}
	}
	return Problem{at.file, at.line, at.column, path, withoutLong(fmt.Sprintf(format, args...))}
}

// upwards yields a path and its parents, up to the whole document.
func upwards(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for up := path; yield(up) && up != ""; up = up[:max(strings.LastIndexAny(up, ".["), 0)] {
		}
	}
}

// resolve follows anchors, aliases and tags to the value itself.
func (d *decoder) resolve(f field) field {
	for range 100 {
		switch n := f.node.(type) {
		case *ast.AnchorNode:
			f.node = n.Value
		case *ast.TagNode:
			f.node = n.Value
		case *ast.AliasNode:
			to, ok := f.doc.anchors[n.Value.GetToken().Value]
			if !ok {
				d.fail(f, "refers to an anchor that does not exist; put text that begins with * in quotes")
				f.node = ast.Null(n.GetToken())
				return f
			}
			f.node = to
		default:
			return f
		}
	}
	d.fail(f, "refers to itself")
	f.node = ast.Null(f.node.GetToken())
	return f
}

// entry is one key and value of a mapping.
type entry struct {
	name string
	key  ast.Node
	node ast.Node
}

// entries returns a mapping's keys and values in order, with << merged. If f is not a
// mapping, it reports that, and ok is false.
func (d *decoder) entries(f field) (out []entry, ok bool) {
	return d.entriesWithin(f, 0)
}

// maxMerge is the limit for merges within merges.
const maxMerge = 20

func (d *decoder) entriesWithin(f field, depth int) (out []entry, ok bool) {
	var values []*ast.MappingValueNode
	switch n := f.node.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	default:
		d.fail(f, "is %s; it takes a mapping of names to values", kind(f.node))
		return nil, false
	}
	if !d.spend(f, len(values)) {
		return nil, false
	}
	var merged []entry
	for _, v := range values {
		if v.Key.IsMergeKey() {
			if depth > maxMerge {
				d.report(f, "merges itself")
				continue
			}
			more, _ := d.entriesWithin(d.resolve(field{f.doc, v.Value, f.path}), depth+1)
			merged = append(merged, more...)
			continue
		}
		if _, plain := v.Key.(ast.ScalarNode); !plain {
			d.report(field{f.doc, v.Key, f.path}, "holds a key that is not a plain name")
			continue
		}
		value := v.Value
		if _, null := value.(*ast.NullNode); null {
			value = ast.Null(v.Key.GetToken()) // an empty value has the place of its key
		}
		out = append(out, entry{v.Key.GetToken().Value, v.Key, value})
	}
	if len(merged) == 0 {
		return out, true
	}
	own := make(map[string]bool, len(out))
	for _, e := range out {
		own[e.name] = true
	}
	for _, m := range merged {
		if !own[m.name] { // a mapping's own key overrides a merged one
			out = append(out, m)
		}
	}
	return out, true
}

// nodeDecoder is a value that reads itself.
type nodeDecoder interface{ decode(*decoder, field) }

// value reads f into v, which must be settable.
func (d *decoder) value(f field, v reflect.Value) {
	if !d.spend(f, 1) {
		return
	}
	f = d.resolve(f)
	d.places[f.path] = f.doc.place(start(f.node))
	if v.Type() == reflect.TypeFor[sender.Ignored]() {
		d.warnings = append(d.warnings, d.problemAt(f.path, "has no effect here, and is ignored"))
		return
	}
	if n, ok := reflect.TypeAssert[nodeDecoder](v.Addr()); ok {
		n.decode(d, f)
		return
	}
	if _, null := f.node.(*ast.NullNode); null {
		return // like a field that is left out
	}
	if _, scalar := f.node.(ast.ScalarNode); scalar {
		d.scalar(f, v)
		return
	}
	switch {
	case v.Kind() == reflect.Struct && !isSecret(v):
		d.structure(f, v)
	case v.Kind() == reflect.Map:
		d.mapping(f, v)
	case v.Kind() == reflect.Slice:
		d.list(f, v)
	default:
		d.fail(f, "is %s; it takes %s", kind(f.node), want(v))
	}
}

func (d *decoder) structure(f field, v reflect.Value) {
	entries, ok := d.entries(f)
	if !ok {
		return
	}
	fields := fieldsOf(v)
	if f.path == "" && d.isConnector(f, entries, fields) {
		return
	}
	for _, e := range entries {
		target, ok := fields[e.name]
		if !ok {
			d.unknown(f, e, slices.Sorted(maps.Keys(fields)))
			continue
		}
		child := f.child(e.name, e.node)
		if slices.Contains(d.env.leftOut, child.path) {
			d.bad[child.path] = true // nothing about it is a mistake
			continue
		}
		d.value(child, target)
	}
}

// plainName matches a name as people give them to fields. No other name is shown: it can
// be a part of a secret whose quotes are missing.
var plainName = regexp.MustCompile(`^[a-z]{2,}(?:[A-Z][a-z]+)*$`)

// maxPlainName is the longest name that is shown.
const maxPlainName = 24

// unknown reports an unknown field.
func (d *decoder) unknown(f field, e entry, known []string) {
	best, least := "", 3
	for _, k := range known {
		if n := distance(strings.ToLower(k), strings.ToLower(e.name)); n < least && n < len(k)/2+1 {
			best, least = k, n
		}
	}
	switch {
	case best != "":
		d.report(f.child(e.name, e.key), "is not a field here; did you mean %s?", best)
		d.bad[f.child(best, e.key).path] = true
	case len(e.name) <= maxPlainName && plainName.MatchString(e.name):
		d.report(f.child(e.name, e.key), "is not a field here; the fields are %s", strings.Join(known, ", "))
	default:
		d.report(field{f.doc, e.key, f.path}, "has a field here that it does not take; its fields are %s", strings.Join(known, ", "))
	}
}

// distance is the Levenshtein distance of two names.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			next := diagonal
			if a[i] != b[j] {
				next = 1 + min(diagonal, row[j], row[j+1])
			}
			diagonal, row[j+1] = row[j+1], next
		}
	}
	return row[len(b)]
}

func fieldsOf(v reflect.Value) map[string]reflect.Value {
	fields := make(map[string]reflect.Value)
	for i := range v.NumField() {
		switch name := v.Type().Field(i).Tag.Get("yaml"); name {
		case "":
		case ",inline":
			maps.Copy(fields, fieldsOf(v.Field(i)))
		default:
			fields[name] = v.Field(i)
		}
	}
	return fields
}

func (d *decoder) mapping(f field, v reflect.Value) {
	entries, ok := d.entries(f)
	if !ok {
		return
	}
	v.Set(reflect.MakeMap(v.Type()))
	for _, e := range entries {
		item := reflect.New(v.Type().Elem()).Elem()
		d.value(f.child(e.name, e.node), item)
		v.SetMapIndex(reflect.ValueOf(e.name), item)
	}
}

func (d *decoder) list(f field, v reflect.Value) {
	n, ok := f.node.(*ast.SequenceNode)
	if !ok {
		d.fail(f, "is %s; it takes a list", kind(f.node))
		return
	}
	list := reflect.MakeSlice(v.Type(), len(n.Values), len(n.Values))
	for i, node := range n.Values {
		d.value(f.item(i, node), list.Index(i))
	}
	v.Set(list)
}
