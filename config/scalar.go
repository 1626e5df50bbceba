package config

import (
	"encoding"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/codeferry/codeferry/sender"
)

// expand replaces the ${…} of a field's text, except in the one field that stays as it is
// written. Later checks leave that one out, because they would take its text for the value.
func (d *decoder) expand(f field, text, base string) (string, error) {
	if f.path == "" || f.path != d.env.asWritten {
		return d.env.expand(text, base)
	}
	if strings.Contains(text, "${") {
		d.bad[f.path] = true
	}
	return text, nil
}

// scalar reads text, a number or a boolean.
func (d *decoder) scalar(f field, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	text, isText := scalarText(f.node)
	base := filepath.Dir(f.doc.file)
	text, err := d.expand(f, text, base)
	if err != nil {
		d.fail(f, "%v", err)
		return
	}
	if u, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		if err := u.UnmarshalText([]byte(text)); err != nil {
			d.fail(f, "%v", err)
		}
		return
	}
	switch {
	case v.Type() == reflect.TypeFor[sender.TextFile]():
		b, err := d.env.ReadFile(resolvePath(base, text))
		if err != nil {
			d.fail(f, "names a file that can't be read: %v", err)
			v.SetString(text) // not empty: validation must not report it as missing, too
			return
		}
		v.SetString(string(b))
		return
	case v.Type() == reflect.TypeFor[time.Duration]():
		var n time.Duration
		if n, err = ParseDuration(text); errors.Is(err, ErrNoUnit) {
			d.fail(f, "%v", err)
			return
		}
		if err == nil && n <= 0 {
			err = errors.New("not positive")
		}
		v.SetInt(int64(n))
	case v.Kind() == reflect.String, isSecret(v):
		if !isText {
			// A number would lose its leading zeros, and "no" its meaning.
			d.fail(f, "is not text; put it in quotes")
			return
		}
		setText(v, text, base)
	case v.Kind() == reflect.Int, v.Kind() == reflect.Int64:
		var n int64
		n, err = strconv.ParseInt(text, 10, 64)
		v.SetInt(n)
	case v.Kind() == reflect.Float64:
		var n float64
		if n, err = strconv.ParseFloat(text, 64); err == nil && (math.IsNaN(n) || math.IsInf(n, 0)) {
			err = errors.New("not finite")
		}
		v.SetFloat(n)
	case v.Kind() == reflect.Bool:
		var b bool
		b, err = strconv.ParseBool(text)
		v.SetBool(b)
	default:
		d.fail(f, "is %s; it takes %s", kind(f.node), want(v))
		return
	}
	if err != nil {
		d.fail(f, "%q is not %s", text, want(v)) // never a secret: secrets are text
	}
}

// setText sets a value to a text. A relative path starts at base.
func setText(v reflect.Value, text, base string) {
	switch {
	case isSecret(v):
		v.Set(reflect.ValueOf(sender.NewSecret(text)))
	case v.Type() == reflect.TypeFor[sender.FilePath]() && text != "":
		v.SetString(resolvePath(base, text))
	default:
		v.SetString(text)
	}
}

// isSecret reports whether a value is a [sender.Secret]. It reads text, although it is a
// struct.
func isSecret(v reflect.Value) bool { return v.Type() == reflect.TypeFor[sender.Secret]() }

// scalarText returns a scalar as it is written. isText is false for a number or a
// boolean without quotes.
func scalarText(n ast.Node) (text string, isText bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	}
	return n.GetToken().Value, false
}

// kind describes a node to a user.
func kind(n ast.Node) string {
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.StringNode, *ast.LiteralNode:
		return "text"
	case *ast.IntegerNode, *ast.FloatNode, *ast.InfinityNode, *ast.NanNode:
		return "a number"
	case *ast.BoolNode:
		return "true or false"
	}
	return "something else"
}

// want describes to a user what a value takes.
func want(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "a duration such as " + DurationForms
	case isSecret(v):
		return "text"
	case v.Kind() == reflect.Struct, v.Kind() == reflect.Map:
		return "a mapping of names to values"
	}
	switch v.Kind() {
	case reflect.Slice:
		return "a list"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	}
	return "text"
}
