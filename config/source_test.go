package config_test

import (
	"io/fs"
	"maps"
	"testing"

	"github.com/codeferry/codeferry/config"
)

// TestSource: a source has changed if any file that the configuration names has changed.
func TestSource(t *testing.T) {
	files := map[string]string{"codeferry.yaml": minimal}
	maps.Copy(files, logtoFiles())
	files["/etc/codeferry/main.yaml"] = withFiles
	s := config.NewSource("/etc/codeferry/main.yaml", config.Env{ReadFile: func(name string) ([]byte, error) {
		text, ok := files[name]
		if !ok {
			return nil, fs.ErrNotExist
		}
		return []byte(text), nil
	}})
	if _, err := s.Load(); err != nil {
		t.Fatal(err)
	}
	if s.Changed() {
		t.Error("Changed() is true right after Load")
	}
	for name := range files {
		named := name != "codeferry.yaml"
		before := files[name]
		files[name] = before + " "
		if s.Changed() != named {
			t.Errorf("after a change of %s Changed() is %t, want %t", name, !named, named)
		}
		delete(files, name)
		if s.Changed() != named {
			t.Errorf("without %s Changed() is %t, want %t", name, !named, named)
		}
		files[name] = before
		if s.Changed() {
			t.Errorf("%s has its old content again, but Changed() is true", name)
		}
	}
	// A file with a mistake is read once, and again when it changes.
	files["/etc/codeferry/main.yaml"] = "apps: ["
	if _, err := s.Load(); err == nil {
		t.Error("Load took a broken file")
	}
	if s.Changed() {
		t.Error("Changed() is true right after Load of a broken file")
	}
	files["/etc/codeferry/main.yaml"] = withFiles
	if !s.Changed() {
		t.Error("the file was fixed, but Changed() is false")
	}
	if _, err := s.Load(); err != nil {
		t.Errorf("Load of the fixed file: %v", err)
	}
	if s.Changed() {
		t.Error("Changed() is true right after Load of the fixed file")
	}
}
