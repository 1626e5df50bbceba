package config

import (
	"encoding"
	"errors"
	"math"
	"path/filepath"
	"reflect"
	"strconv"
	"time"

	"github.com/goccy/go-yaml/ast"

	"github.com/codeferry/codeferry/sender"
)

// scalar reads text, a number or a truth value.
func (d *decoder) scalar(f field, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		v.Set(reflect.New(v.Type().Elem()))
		v = v.Elem()
	}
	text, isText := scalarText(f.node)
	base := filepath.Dir(f.doc.file)
	text, err := d.env.expand(text, base)
	if err != nil {
		d.fail(f, "%v", err)
		return
	}
	if u, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
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
			v.SetString(text) // so that no other text is asked for
			return
		}
		v.SetString(string(b))
		return
	case v.Type() == reflect.TypeFor[time.Duration]():
		var n time.Duration
		if n, err = time.ParseDuration(text); err == nil && n <= 0 {
			err = errors.New("not positive")
		}
		v.SetInt(int64(n))
	case v.Kind() == reflect.String, isSecret(v):
		if !isText {
			// A number would lose its leading zeros, and "no" its meaning.
			d.fail(f, "is not text; put it in quotes")
			return
		}
		if isSecret(v) {
			v.Set(reflect.ValueOf(sender.NewSecret(text)))
			return
		}
		if v.Type() == reflect.TypeFor[sender.FilePath]() && text != "" {
			text = resolvePath(base, text)
		}
		v.SetString(text)
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
		d.fail(f, "%q is not %s", text, want(v)) // never a secret: those are text
	}
}

// isSecret tells whether a value is a secret: text, whatever it is made of.
func isSecret(v reflect.Value) bool { return v.Type() == reflect.TypeFor[sender.Secret]() }

// scalarText returns a scalar as it was written; isText is false for a number
// or a truth value without quotes.
func scalarText(n ast.Node) (text string, isText bool) {
	switch x := n.(type) {
	case *ast.StringNode:
		return x.Value, true
	case *ast.LiteralNode:
		return x.Value.Value, true
	}
	return n.GetToken().Value, false
}

// kind says what a node is, for a person.
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

// want says what a value takes, for a person.
func want(v reflect.Value) string {
	switch {
	case v.Type() == reflect.TypeFor[time.Duration]():
		return "a duration such as 10s or 5m"
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
