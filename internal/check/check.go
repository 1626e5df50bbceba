// Package check holds small helpers for tests.
package check

import (
	"os"
	"testing"

	"github.com/codeferry/codeferry/internal/testmain"
)

// Equal fails the test if got is not want. what names the value in the message.
func Equal[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// True fails the test if a condition does not hold. what names the condition, and got is the
// value that it is about.
func True(t testing.TB, what string, holds bool, got any) {
	t.Helper()
	if !holds {
		t.Errorf("not true: %s; got %+v", what, got)
	}
}

// Allocs fails the test if f allocates more often than bound, on average. what names f. Unlike
// a time, the number is the same on every machine, as long as f waits for nobody. The test must
// not be parallel. Under the race detector, which allocates too, it only runs f.
func Allocs(t testing.TB, what string, bound float64, f func()) {
	t.Helper()
	got := testing.AllocsPerRun(200, f)
	if !testmain.Race && got > bound {
		t.Errorf("%s allocates %v times, want at most %v", what, got, bound)
	}
}

// Lacks ends a test that can't run here, with the reason: in CI with a failure.
func Lacks(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") != "" {
		t.Fatal(why)
	}
	t.Skip(why)
}
