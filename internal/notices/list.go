package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// platform is the target of a build.
type platform struct{ os, arch string }

// module is a module whose code is linked.
type module struct {
	// name is its path and version. The standard library has no version: it is that of the
	// toolchain.
	name string
	// dir is its root in the module cache.
	dir string
	// packages are the folders of its linked packages.
	packages []string
}

// listed is a package as `go list -json` shows it.
type listed struct {
	Dir, ImportPath string
	Standard        bool
	Module          *struct {
		Path, Version, Dir string
		Main               bool
		Replace            *struct{ Path, Version string }
	}
}

// list returns the modules that a build of the program links on any of the platforms,
// including the standard library, sorted by name.
func list(ctx context.Context, program string, platforms []platform) ([]module, error) {
	root, err := goCommand(ctx, nil, "env", "GOROOT")
	if err != nil {
		return nil, err
	}
	standard := strings.TrimSpace(string(root))
	modules := map[string]*module{"": {name: "the standard library and runtime of Go", dir: standard, packages: []string{standard}}}
	for _, p := range platforms {
		out, err := goCommand(ctx, []string{"GOOS=" + p.os, "GOARCH=" + p.arch, "CGO_ENABLED=0"}, "list", "-deps", "-json=Dir,ImportPath,Standard,Module", program)
		if err != nil {
			return nil, err
		}
		if err := addPackages(modules, out); err != nil {
			return nil, fmt.Errorf("read the output of go list for %s/%s: %w", p.os, p.arch, err)
		}
	}
	sorted := make([]module, 0, len(modules))
	for _, path := range slices.Sorted(maps.Keys(modules)) {
		sorted = append(sorted, *modules[path])
	}
	return sorted, nil
}

// addPackages adds the modules of the packages that go list has printed.
func addPackages(modules map[string]*module, out []byte) error {
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		switch {
		case p.Standard || p.Module != nil && p.Module.Main:
			continue
		case p.Module == nil || p.Module.Dir == "":
			return fmt.Errorf("%s belongs to no module in the module cache: run `go mod download`", p.ImportPath)
		case p.Module.Replace != nil:
			return fmt.Errorf("%s is replaced by %s in go.mod: a release links no replacements", p.Module.Path, p.Module.Replace.Path)
		}
		m := modules[p.Module.Path]
		if m == nil {
			m = &module{name: p.Module.Path + " " + p.Module.Version, dir: p.Module.Dir}
			modules[p.Module.Path] = m
		}
		if dir := filepath.Clean(p.Dir); !slices.Contains(m.packages, dir) {
			m.packages = append(m.packages, dir)
		}
	}
}

// goCommand runs the go command with additional environment variables, and returns its output.
func goCommand(ctx context.Context, env []string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "go", args...) //nolint:gosec // the arguments are this file's
	cmd.Env = append(os.Environ(), env...)
	var trouble bytes.Buffer
	cmd.Stderr = &trouble
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go %s: %w: %s", strings.Join(args, " "), err, bytes.TrimSpace(trouble.Bytes()))
	}
	return out, nil
}
