package sendertest

import (
	"os"
	"os/exec"
	"testing"

	"github.com/codeferry/codeferry/internal/check"
)

// Program returns the path of an installed program. If it is not installed, the test
// fails if CI is set, and is skipped otherwise. install says how to install the program.
func Program(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		check.Lacks(t, name+" is not installed: "+install)
	}
	return path
}

// File returns the installed file that an environment variable names. It is like Program,
// for files that are not in PATH.
func File(t testing.TB, variable, install string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		check.Lacks(t, variable+" is not set: "+install)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: %v", variable, err) // the variable is set, so the file must exist
	}
	return path
}
