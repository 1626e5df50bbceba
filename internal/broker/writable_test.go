package broker

import (
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/codeferry/codeferry/sender"
)

func TestCheckStoreWritable(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ dir, says string }{
		"there":            {dir, ""},
		"to be made":       {filepath.Join(dir, "a", "b"), ""},
		"a file":           {file, "not a folder"},
		"below a file":     {filepath.Join(file, "data"), "not a folder"},
		"below /proc/nope": {"/proc/nope/data", "can't write to /proc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if strings.HasPrefix(c.dir, "/proc") && runtime.GOOS != "linux" {
				t.Skip("only Linux has /proc")
			}
			err := CheckStore(c.dir, sender.Secret{})
			if c.says == "" && err != nil {
				t.Error(err)
			}
			if c.says != "" && (err == nil || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("the error is %v, want %q in it", err, c.says)
			}
		})
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("it left %v, %v", left, err)
	}
}
