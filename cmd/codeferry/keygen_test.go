package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestKeygenOverwritesNothing: it says so, and the file stays as it was.
func TestKeygenOverwritesNothing(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "sealing.key")
	keygen := func() (status int, errs string) {
		var out, e bytes.Buffer
		status = execute(t.Context(), []string{"keygen", "--out", file}, streams{out: &out, err: &e})
		return status, e.String()
	}
	if status, errs := keygen(); status != 0 {
		t.Fatalf("exit status %d: %s", status, errs)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if status, errs := keygen(); status != exitFailed || !strings.Contains(errs, file+" is there already, and keygen overwrites nothing: choose another file") {
		t.Errorf("the second time: exit status %d: %s", status, errs)
	}
	if now, err := os.ReadFile(file); err != nil || !bytes.Equal(now, before) {
		t.Errorf("the key is another one now, %v", err)
	}
}
