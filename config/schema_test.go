package config

import (
	"bytes"
	"encoding"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/sender/aliyunmas"
	"github.com/codeferry/codeferry/sender/aliyunsms"
	"github.com/codeferry/codeferry/sender/smtp"
)

var updateSchema = flag.Bool("update", false, "write docs/"+schemaFile)

const (
	schemaFile = "codeferry.schema.json"
	schemaURL  = "https://raw.githubusercontent.com/codeferry/codeferry/main/docs/" + schemaFile
	module     = "github.com/codeferry/codeferry/"
)

// TestSchemaFile: docs/codeferry.schema.json is what the types say. An editor completes
// and checks a configuration by it.
func TestSchemaFile(t *testing.T) {
	t.Parallel()
	var want bytes.Buffer
	e := json.NewEncoder(&want)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(generateSchema(t)); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("..", "docs", schemaFile)
	if *updateSchema {
		if err := os.WriteFile(file, want.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want.Bytes()) {
		t.Errorf("%s is not what the types of the configuration say; write it with\n\tgo test ./config -run TestSchemaFile -update", file)
	}
}

// schema is a part of a JSON Schema, by its keywords.
type schema = map[string]any

// schemas writes a JSON Schema by the rules by which decoder reads YAML.
type schemas struct {
	t *testing.T
	// texts are the types that read themselves from text, each as it is written.
	texts map[reflect.Type]schema
	// docs are the comments of the fields, by package path, type and field.
	docs map[string]string
	// types are the structs' schemas by the names that $ref uses.
	types schema
}

func generateSchema(t *testing.T) schema {
	s := &schemas{t: t, texts: textTypes(), docs: make(map[string]string), types: make(schema)}
	for _, dir := range packagesOfTheTypes(t) {
		s.comments(dir)
	}
	for _, name := range ConnectorTypes() {
		s.types[name] = s.connector(name)
	}
	root := s.object(reflect.ValueOf(Default()).Elem())
	root["$schema"] = "https://json-schema.org/draft/2020-12/schema"
	root["$id"] = schemaURL
	root["title"] = "codeferry.yaml"
	root["$defs"] = s.types
	return root
}

// textTypes are the types with an UnmarshalText, and how they are written.
func textTypes() map[reflect.Type]schema {
	text := schema{"type": "string"}
	enum := func(values ...any) schema { return schema{"anyOf": []any{schema{"enum": values}, variable()}} }
	texts := []any{text, schema{"type": "array", "items": text}}
	orObject := func(object any) schema { return schema{"anyOf": []any{text, object}} }
	return map[reflect.Type]schema{
		reflect.TypeFor[Claims]():                 enum(string(ClaimsAuto), string(ClaimsOn), string(ClaimsOff)),
		reflect.TypeFor[OnDoubt]():                enum(string(Resend), string(Dead)),
		reflect.TypeFor[Bytes]():                  {"anyOf": []any{schema{"type": "integer", "minimum": 1}, schema{"type": "string", "pattern": `^[0-9]+ *(KiB|MiB|GiB)?$`}, variable()}},
		reflect.TypeFor[Step]():                   orObject(ref("Step")),
		reflect.TypeFor[wire.PrivateKey]():        text,
		reflect.TypeFor[sender.ContentType]():     enum(string(sender.TextHTML), string(sender.TextPlain)),
		reflect.TypeFor[aliyunsms.TemplateType](): enum(0, 1, 2, 6, 7, "0", "1", "2", "6", "7"),
		reflect.TypeFor[aliyunsms.TemplateCode](): orObject(ref("aliyunsms.TemplateCode")),
		reflect.TypeFor[aliyunmas.TemplateCode](): {"type": []any{"string", "integer"}},
		reflect.TypeFor[smtp.HeaderValues]():      {"anyOf": texts},
		reflect.TypeFor[smtp.PEM]():               {"anyOf": texts},
		reflect.TypeFor[smtp.TLSVersion]():        enum("TLSv1.2", "TLSv1.3", "TLSv1.1", "TLSv1"),
		reflect.TypeFor[smtp.PrivateKey]():        orObject(ref("smtp.PrivateKey")),
		reflect.TypeFor[smtp.Method]():            text,
	}
}

// variable is text that an environment variable or a file completes.
func variable() schema { return schema{"type": "string", "pattern": `\$\{[^}]+\}`} }

func ref(name string) schema { return schema{"$ref": "#/$defs/" + name} }

// value is the schema of a value. Its default is what v holds.
func (s *schemas) value(v reflect.Value) schema {
	typ := v.Type()
	switch {
	case typ == reflect.TypeFor[sender.Ignored]():
		return schema{"description": "It means nothing here. A configuration of Logto may have it.", "deprecated": true}
	case typ == reflect.TypeFor[Connector]():
		return s.anyConnector()
	case typ == reflect.TypeFor[messages.Type]():
		return schema{"type": "string", "examples": usageTypes()}
	case typ == reflect.TypeFor[time.Duration]():
		out := schema{"type": "string", "examples": []any{"10s", "5m"}}
		if v.Int() != 0 {
			out["default"] = time.Duration(v.Int()).String()
		}
		return out
	case typ.Kind() == reflect.Pointer:
		return s.value(reflect.New(typ.Elem()).Elem())
	}
	if _, ok := reflect.TypeAssert[encoding.TextUnmarshaler](v.Addr()); ok {
		out, ok := s.texts[typ]
		if !ok {
			s.t.Errorf("%v reads itself from text; say in textTypes of config/schema_test.go how it is written", typ)
		}
		if typ.Kind() == reflect.Struct && out["anyOf"] != nil {
			s.reference(v)
		}
		return out
	}
	number := func(kind string, d any) schema {
		out := schema{"anyOf": []any{schema{"type": kind}, variable()}}
		if !v.IsZero() {
			out["default"] = d
		}
		return out
	}
	switch typ.Kind() {
	case reflect.String:
		out := schema{"type": "string"}
		if v.String() != "" {
			out["default"] = v.String()
		}
		return out
	case reflect.Int, reflect.Int64:
		return number("integer", v.Int())
	case reflect.Float64:
		return number("number", v.Float())
	case reflect.Bool:
		return number("boolean", v.Bool())
	case reflect.Slice:
		return schema{"type": "array", "items": s.value(reflect.New(typ.Elem()).Elem())}
	case reflect.Map:
		return schema{"type": "object", "additionalProperties": s.value(reflect.New(typ.Elem()).Elem())}
	case reflect.Struct:
		if isSecret(v) {
			return schema{"type": "string"}
		}
		return s.reference(v)
	}
	s.t.Errorf("%v has no schema; give it one in config/schema_test.go", typ)
	return nil
}

// reference puts a struct into $defs, once.
func (s *schemas) reference(v reflect.Value) schema {
	name := strings.TrimPrefix(v.Type().String(), "config.")
	if _, done := s.types[name]; !done {
		s.types[name] = nil // it may hold itself
		s.types[name] = s.object(v)
	}
	return ref(name)
}

// object is a struct's schema.
func (s *schemas) object(v reflect.Value) schema {
	return schema{"type": "object", "additionalProperties": false, "properties": s.properties(v)}
}

func (s *schemas) properties(v reflect.Value) schema {
	out := make(schema)
	for i := range v.NumField() {
		field := v.Type().Field(i)
		switch name := field.Tag.Get("yaml"); name {
		case "":
		case ",inline":
			maps.Copy(out, s.properties(v.Field(i)))
		default:
			property := maps.Clone(s.value(v.Field(i)))
			if text := s.docs[v.Type().PkgPath()+"."+v.Type().Name()+"."+field.Name]; text != "" {
				if rest, ok := strings.CutPrefix(text, field.Name+" "); ok {
					text = name + " " + rest
				}
				property["description"] = text
			}
			out[name] = property
		}
	}
	return out
}

// connector is one type of connector: its own fields and those of each.
func (s *schemas) connector(name string) schema {
	out := s.object(reflect.ValueOf(connectorTypes[name]()).Elem())
	shared := common{OnDoubt: Resend, AskGrace: DefaultAskGrace}
	properties := out["properties"].(schema)
	maps.Copy(properties, s.properties(reflect.ValueOf(&shared).Elem()))
	properties["type"] = schema{"const": name}
	return out
}

// anyConnector chooses by type, so that a mistake is reported for the type that was meant.
func (s *schemas) anyConnector() schema {
	names := ConnectorTypes()
	var choices []any
	for _, name := range names {
		choices = append(choices, schema{
			"if":   schema{"properties": schema{"type": schema{"const": name}}, "required": []any{"type"}},
			"then": ref(name),
		})
	}
	return schema{"type": "object", "required": []any{"type"}, "properties": schema{"type": schema{"enum": names}}, "allOf": choices}
}

func usageTypes() []any {
	var out []any
	for _, name := range messages.Types() {
		out = append(out, string(name))
	}
	return out
}

// packagesOfTheTypes are the folders of the packages that have types of the configuration.
func packagesOfTheTypes(t *testing.T) []string {
	t.Helper()
	seen := make(map[string]bool)
	var walk func(typ reflect.Type)
	walk = func(typ reflect.Type) {
		switch typ.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(typ.Elem())
		case reflect.Struct:
			if dir, own := strings.CutPrefix(typ.PkgPath(), module); own {
				seen[filepath.Join("..", dir)] = true
				for field := range typ.Fields() {
					if field.Tag.Get("yaml") != "" {
						walk(field.Type)
					}
				}
			}
		}
	}
	walk(reflect.TypeFor[Config]())
	for _, name := range ConnectorTypes() {
		walk(reflect.TypeOf(connectorTypes[name]()))
	}
	return slices.Sorted(maps.Keys(seen))
}

// comments reads what the source says about the fields of structs.
func (s *schemas) comments(dir string) {
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil || len(files) == 0 {
		s.t.Fatalf("%s: %d files, %v", dir, len(files), err)
	}
	path := module + filepath.ToSlash(strings.TrimPrefix(dir, ".."+string(filepath.Separator)))
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			s.t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if spec, ok := n.(*ast.TypeSpec); ok {
				if of, ok := spec.Type.(*ast.StructType); ok {
					for _, field := range of.Fields.List {
						for _, f := range field.Names {
							s.docs[fmt.Sprintf("%s.%s.%s", path, spec.Name, f)] = strings.Join(strings.Fields(field.Doc.Text()), " ")
						}
					}
				}
			}
			return true
		})
	}
}
