// Package check holds small helpers for tests.
package check

import "testing"

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
