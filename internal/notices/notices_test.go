package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// tree writes files below a new folder, and returns it.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, body := range files {
		path := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(body), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestLicences(t *testing.T) {
	root := tree(t, map[string]string{
		"LICENSE.txt": "a", "notice": "a", "COPYING": "a", "LICENCE-MIT": "a", "PATENTS": "a", // all are passed on
		"license.go": "package a", "README.md": "a", "licensed": "a", "LICENSES/MIT.txt": "a", // these are not licences
		"used/deep/a.go": "package a", "used/LICENSE": "a", // of a linked package, in the folder above it
		"unused/LICENSE": "a", "used/other/LICENSE": "a", // of packages that are not linked
	})
	files, err := licences(module{name: "m v1", dir: root, packages: []string{filepath.Join(root, "used", "deep")}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"COPYING", "LICENCE-MIT", "LICENSE.txt", "PATENTS", "notice", filepath.Join("used", "LICENSE")}
	if !slices.Equal(files, want) {
		t.Errorf("%q, not %q", files, want)
	}
}

func TestLicencesRefuses(t *testing.T) {
	bare := tree(t, map[string]string{"a.go": "package a"})
	for name, c := range map[string]struct {
		m    module
		want string
	}{
		"a module without a licence": {module{name: "m v1", dir: bare, packages: []string{bare}}, "m v1 has no licence"},
		"a package somewhere else":   {module{name: "m v1", dir: bare, packages: []string{t.TempDir()}}, "is not below its folder"},
	} {
		t.Run(name, func(t *testing.T) {
			files, err := licences(c.m)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%q, %v; the error has to say %q", files, err, c.want)
			}
		})
	}
}

func TestNotices(t *testing.T) {
	modules := []module{
		{name: "a v1", dir: tree(t, map[string]string{"LICENSE": "\nMIT  \r\nfor all\n\n"})},
		{name: "b v2", dir: tree(t, map[string]string{"LICENSE": "BSD\n"})},
		{name: "c v3", dir: tree(t, map[string]string{"COPYING": "MIT\nfor all"})},
	}
	got, err := notices(modules)
	if err != nil {
		t.Fatal(err)
	}
	double, single := strings.Repeat("=", 80), strings.Repeat("-", 80)
	want := heading + "\n" + double + "\na v1, LICENSE\nc v3, COPYING\n" + single + "\n\nMIT\nfor all\n" +
		"\n" + double + "\nb v2, LICENSE\n" + single + "\n\nBSD\n"
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestAddPackages(t *testing.T) {
	modules := make(map[string]*module)
	err := addPackages(modules, []byte(`
		{"Dir":"/go/src/fmt","ImportPath":"fmt","Standard":true}
		{"Dir":"/here/cmd","ImportPath":"example.com/here/cmd","Module":{"Path":"example.com/here","Main":true,"Dir":"/here"}}
		{"Dir":"/mod/m@v1/a","ImportPath":"example.com/m/a","Module":{"Path":"example.com/m","Version":"v1","Dir":"/mod/m@v1"}}
		{"Dir":"/mod/m@v1/b","ImportPath":"example.com/m/b","Module":{"Path":"example.com/m","Version":"v1","Dir":"/mod/m@v1"}}
		{"Dir":"/mod/m@v1/a","ImportPath":"example.com/m/a","Module":{"Path":"example.com/m","Version":"v1","Dir":"/mod/m@v1"}}`))
	if err != nil {
		t.Fatal(err)
	}
	m := modules["example.com/m"]
	if len(modules) != 1 || m == nil {
		t.Fatalf("the modules are %v, want example.com/m only", modules)
	}
	if m.name != "example.com/m v1" || m.dir != "/mod/m@v1" {
		t.Errorf("it is %q in %q", m.name, m.dir)
	}
	if want := []string{"/mod/m@v1/a", "/mod/m@v1/b"}; !slices.Equal(m.packages, want) {
		t.Errorf("its packages are %q, not %q", m.packages, want)
	}
}

func TestAddPackagesRefuses(t *testing.T) {
	for name, c := range map[string]struct{ listed, want string }{
		"what is not JSON":             {`{"Dir":`, "unexpected EOF"},
		"a package without a module":   {`{"ImportPath":"x"}`, "x belongs to no module"},
		"a module that is not on disk": {`{"ImportPath":"x/y","Module":{"Path":"x","Version":"v1"}}`, "x/y belongs to no module"},
		"a replaced module":            {`{"ImportPath":"x/y","Module":{"Path":"x","Dir":"/x","Replace":{"Path":"../x"}}}`, "x is replaced by ../x"},
	} {
		t.Run(name, func(t *testing.T) {
			err := addPackages(make(map[string]*module), []byte(c.listed))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("the error is %v, want one with %q", err, c.want)
			}
		})
	}
}

// TestTheProgramsModules: modules that the program certainly links are found.
func TestTheProgramsModules(t *testing.T) {
	modules, err := list(t.Context(), "../../cmd/codeferry", platforms[:1])
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, m := range modules {
		path, _, _ := strings.Cut(m.name, " ")
		names = append(names, path)
	}
	for _, want := range []string{"github.com/nats-io/nats.go", "github.com/rs/zerolog", "the"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q: %s is not there", names, want)
		}
	}
	if test := "go.uber.org/goleak"; slices.Contains(names, test) {
		t.Errorf("%s is there: only tests use it", test)
	}
}
