package main

import (
	"bytes"
	"context"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// pack is a package and the ways to break it.
type pack struct {
	dir, name string
	mutants   []mutant
	// sources are the files that can be broken, with a switch for each mutant.
	sources map[string][]byte
}

// mutant is one break of the code.
type mutant struct {
	file string
	line int
	// name says what is broken. It does not depend on the lines around it.
	name string
}

// load reads a target and finds the ways to break it.
func load(ctx context.Context, t target) (*pack, error) {
	abs, err := filepath.Abs(t.dir)
	if err != nil {
		return nil, err
	}
	lookup, err := exports(ctx, abs)
	if err != nil {
		return nil, err
	}
	set := token.NewFileSet()
	paths, err := filepath.Glob(filepath.Join(abs, "*.go"))
	if err != nil {
		return nil, err
	}
	var files []*ast.File
	for _, path := range paths {
		if strings.HasSuffix(path, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no Go files in %s", abs)
	}
	info := &types.Info{Types: make(map[ast.Expr]types.TypeAndValue)}
	cfg := types.Config{Importer: importer.ForCompiler(set, "gc", lookup)}
	of, err := cfg.Check(files[0].Name.Name, set, files, info)
	if err != nil {
		return nil, err
	}
	p := &pack{dir: abs, name: files[0].Name.Name, sources: make(map[string][]byte)}
	for _, f := range files {
		path := set.Position(f.Pos()).Filename
		if slices.ContainsFunc(t.files, func(pattern string) bool { ok, _ := filepath.Match(pattern, filepath.Base(path)); return ok }) {
			if err := p.find(path, f, t.except, set, info, of); err != nil {
				return nil, err
			}
		}
	}
	return p, nil
}

// exports finds the compiled packages that a package imports.
func exports(ctx context.Context, dir string) (importer.Lookup, error) {
	list := exec.CommandContext(ctx, "go", "list", "-deps", "-export", "-f", "{{.ImportPath}}\t{{.Export}}", ".")
	list.Dir, list.Stderr = dir, os.Stderr
	out, err := list.Output()
	if err != nil {
		return nil, fmt.Errorf("list the imports: %w", err)
	}
	paths := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		name, path, _ := strings.Cut(strings.TrimSpace(line), "\t")
		paths[name] = path
	}
	return func(name string) (io.ReadCloser, error) {
		b, err := os.ReadFile(paths[name])
		return io.NopCloser(bytes.NewReader(b)), err
	}, nil
}
