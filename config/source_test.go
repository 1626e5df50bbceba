package config_test

import (
	"io/fs"
	"testing"

	"github.com/codeferry/codeferry/config"
)

// TestSource: a configuration changes with each file that it names.
func TestSource(t *testing.T) {
	files := map[string]string{"codeferry.yaml": minimal}
	for name, text := range logtoFiles() {
		files[name] = text
	}
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
		t.Error("nothing has changed")
	}
	for name := range files {
		named := name != "codeferry.yaml"
		before := files[name]
		files[name] = before + " "
		if s.Changed() != named {
			t.Errorf("%s has changed: %t", name, !named)
		}
		delete(files, name)
		if s.Changed() != named {
			t.Errorf("%s has gone: %t", name, !named)
		}
		files[name] = before
		if s.Changed() {
			t.Errorf("%s is as it was", name)
		}
	}
	// A wrong one is read once, and again when it changes.
	files["/etc/codeferry/main.yaml"] = "apps: ["
	if _, err := s.Load(); err == nil || s.Changed() {
		t.Error(err)
	}
	files["/etc/codeferry/main.yaml"] = withFiles
	if !s.Changed() {
		t.Error("it was mended")
	}
	if _, err := s.Load(); err != nil || s.Changed() {
		t.Error(err)
	}
}
