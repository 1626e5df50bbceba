package main

import (
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// switches are the functions that the broken sources call.
//
//go:embed switches.txt
var switches string

// build compiles a package's tests with all switches in its code, without the test package
// named by without. clean removes the binary.
func (p *pack) build(ctx context.Context, without string) (binary string, clean func(), err error) {
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return "", nil, err
	}
	clean = func() { _ = os.RemoveAll(dir) } // if it fails, the system removes the rest
	overlay := make(map[string]string)
	write := func(as string, content []byte) error {
		path := filepath.Join(dir, strconv.Itoa(len(overlay))+".go")
		overlay[as] = path
		return os.WriteFile(path, content, 0o600)
	}
	err = write(filepath.Join(p.dir, "zz_switches.go"), []byte("package "+p.name+"\n"+switches))
	for as, content := range p.sources {
		err = errors.Join(err, write(as, content))
	}
	skipped, skip := p.testsOf(without)
	for _, path := range skipped {
		overlay[path] = "" // as if the file did not exist
	}
	b, marshal := json.Marshal(map[string]any{"Replace": overlay})
	file := filepath.Join(dir, "overlay.json")
	if err = errors.Join(err, skip, marshal, os.WriteFile(file, b, 0o600)); err != nil {
		clean()
		return "", nil, err
	}
	binary = filepath.Join(dir, "tests")
	compile := exec.CommandContext(ctx, "go", "test", "-c", "-vet=off", "-overlay", file, "-o", binary, ".") //nolint:gosec // its own files
	compile.Dir = p.dir
	if out, err := compile.CombinedOutput(); err != nil {
		clean()
		return "", nil, fmt.Errorf("compile the tests: %w\n%s", err, out)
	}
	return binary, clean, nil
}

// testsOf returns the test files of the package with a name.
func (p *pack) testsOf(name string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(p.dir, "*_test.go"))
	var tests []string
	for _, path := range all {
		f, failed := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly)
		if err = errors.Join(err, failed); err == nil && f.Name.Name == name {
			tests = append(tests, path)
		}
	}
	return tests, err
}

// atMost is how long the tests may take: many times the usual time. So a break that makes them
// run forever is noticed.
func atMost(need time.Duration) time.Duration { return max(8*time.Second, 30*need) }

// runAll runs the tests once for each chosen mutant, and returns the mutants that they do not
// notice.
func runAll(ctx context.Context, binary string, p *pack, only *regexp.Regexp, parallel int) ([]mutant, error) {
	began := time.Now()
	if out, ok := tests(ctx, binary, p.dir, 0, time.Minute); !ok {
		return nil, fmt.Errorf("the tests fail before anything is broken:\n%s", out)
	}
	limit := atMost(time.Since(began))
	numbers, survived := make(chan int), make([]bool, len(p.mutants))
	var workers sync.WaitGroup
	for range parallel {
		workers.Go(func() {
			for n := range numbers {
				_, survived[n] = tests(ctx, binary, p.dir, n+1, limit)
			}
		})
	}
	for n, m := range p.mutants {
		if only.MatchString(m.name) {
			numbers <- n
		}
	}
	close(numbers)
	workers.Wait()
	var survivors []mutant
	for n, m := range p.mutants {
		if survived[n] {
			survivors = append(survivors, m)
		}
	}
	return survivors, ctx.Err()
}

// tests runs the tests with one mutant; ok if they pass in time.
func tests(ctx context.Context, binary, dir string, number int, limit time.Duration) (out string, ok bool) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	run := exec.CommandContext(ctx, binary, "-test.failfast")
	run.Dir = dir
	run.Env = append(os.Environ(), "MUTANT="+strconv.Itoa(number))
	var text strings.Builder
	run.Stdout, run.Stderr = &text, &text
	err := run.Run()
	return text.String(), err == nil
}
