//go:build race

package testmain

// Race reports whether the tests run under the race detector. There, a long table that one
// goroutine computes may be a sample: make test runs all of it.
const Race = true
