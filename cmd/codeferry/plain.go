package main

import (
	"reflect"
	"strings"
	"unicode"
)

// plain returns text without characters that move a terminal's cursor, in one line.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case !unicode.IsGraphic(r):
			return '\ufffd'
		}
		return r
	}, text)
}

// plainLines is plain for text of several lines.
func plainLines(text string) string {
	lines := strings.Split(text, "\n")
	for i := range lines {
		lines[i] = plain(lines[i])
	}
	return strings.Join(lines, "\n")
}

// shown returns a copy of what somebody has stored, with each of its texts plain: a person's
// terminal must not obey it. newJSON does it for JSON.
func shown[T any](stored T) T {
	makePlain(reflect.ValueOf(&stored).Elem())
	return stored
}

// makePlain makes each text in a value plain, but none in a map. It changes nothing that other
// values share.
func makePlain(v reflect.Value) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(plain(v.String()))
		}
	case reflect.Struct:
		for _, f := range v.Fields() {
			if f.CanSet() {
				makePlain(f)
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && v.CanSet() {
			fresh := reflect.New(v.Type().Elem())
			fresh.Elem().Set(v.Elem())
			makePlain(fresh.Elem())
			v.Set(fresh)
		}
	case reflect.Slice:
		if !v.IsNil() && v.CanSet() {
			fresh := reflect.MakeSlice(v.Type(), v.Len(), v.Len())
			reflect.Copy(fresh, v)
			for i := range fresh.Len() {
				makePlain(fresh.Index(i))
			}
			v.Set(fresh)
		}
	}
}
