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
	type want struct{ dir, says string }
	cases := map[string]want{
		"there":        {dir, ""},
		"to be made":   {filepath.Join(dir, "a", "b"), ""},
		"a file":       {file, "not a folder"},
		"below a file": {filepath.Join(file, "data"), "not a folder"},
	}
	if runtime.GOOS == "linux" {
		cases["below /proc/nope"] = want{"/proc/nope/data", "can't write to /proc"}
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
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
