package messages_test

import (
	"flag"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write testdata/api.txt again")

// TestPublicAPI: nothing is exported by accident. Auth services may rely on the names in
// testdata/api.txt: a change or removal breaks them, and a new name must stay. What only
// workers and tools need belongs in package wire.
func TestPublicAPI(t *testing.T) {
	const list = "testdata/api.txt"
	got := exported(t, ".")
	if *update {
		if err := os.WriteFile(list, []byte(strings.Join(got, "\n")+"\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.Split(strings.TrimSpace(string(b)), "\n")
	for _, name := range got {
		if !slices.Contains(want, name) {
			t.Errorf("%s is exported but not in %s. If a publisher or a listener needs it, add it there (go test ./messages -run PublicAPI -update) and to CHANGELOG.md. If not, move it to messages/wire", name, list)
		}
	}
	for _, name := range want {
		if !slices.Contains(got, name) {
			t.Errorf("%s is in %s but no longer exported: that breaks the services that use it. If it must go, remove it there, and say so in CHANGELOG.md", name, list)
		}
	}
}

// exported lists what a package exports: constants, functions, methods, types, their fields
// and variables.
func exported(t *testing.T, dir string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.FileExports(f)
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.FuncDecl:
				names = append(names, funcName(d))
			case *ast.GenDecl:
				for _, spec := range d.Specs {
					names = append(names, specNames(d.Tok, spec)...)
				}
			}
		}
	}
	slices.Sort(names)
	return names
}

func funcName(d *ast.FuncDecl) string {
	if d.Recv == nil {
		return "func " + d.Name.Name
	}
	receiver := d.Recv.List[0].Type
	if star, ok := receiver.(*ast.StarExpr); ok {
		receiver = star.X
	}
	return "method " + receiver.(*ast.Ident).Name + "." + d.Name.Name
}

func specNames(tok token.Token, spec ast.Spec) []string {
	var names []string
	switch spec := spec.(type) {
	case *ast.ValueSpec:
		for _, n := range spec.Names {
			names = append(names, tok.String()+" "+n.Name)
		}
	case *ast.TypeSpec:
		names = append(names, "type "+spec.Name.Name)
		var kind string
		var members *ast.FieldList
		switch typ := spec.Type.(type) {
		case *ast.StructType:
			kind, members = "field ", typ.Fields
		case *ast.InterfaceType:
			kind, members = "method ", typ.Methods
		default:
			return names
		}
		for _, m := range members.List {
			for _, n := range m.Names {
				names = append(names, kind+spec.Name.Name+"."+n.Name)
			}
		}
	}
	return names
}
