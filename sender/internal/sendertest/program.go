package sendertest

import (
	"os"
	"os/exec"
	"testing"
)

// Program returns the path of an installed program. Without it the test fails
// where CI is set, and is skipped elsewhere; install says how to get it.
func Program(t testing.TB, name, install string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		without(t, name+" is not installed: "+install)
	}
	return path
}

// File returns the installed file that an environment variable names, as Program
// does for what stands in no PATH.
func File(t testing.TB, variable, install string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		without(t, variable+" is not set: "+install)
	}
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%s: %v", variable, err) // whoever set it meant it
	}
	return path
}

// without ends a test that can't run here.
func without(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
