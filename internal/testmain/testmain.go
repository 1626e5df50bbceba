// Package testmain holds the shared parts of several packages' TestMain.
package testmain

import (
	"flag"
	"os"
	"runtime"
	"strconv"
	"testing"

	"go.uber.org/goleak"
)

// NoLeaks runs the tests, and fails if they leave goroutines behind. The fuzzer has its own
// goroutines, so there is no check while it runs.
func NoLeaks(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(m.Run())
	}
	goleak.VerifyTestMain(m)
}

// Wide lets that many tests run in parallel for each processor, unless -parallel is given. It
// is for tests that wait more than they compute. It changes nothing for the fuzzer, which
// takes the same flag for its processes.
func Wide(perProcessor int) {
	flag.Parse()
	if flag.Lookup("test.fuzz").Value.String() != "" {
		return
	}
	if f := flag.Lookup("test.parallel"); f.Value.String() == strconv.Itoa(runtime.GOMAXPROCS(0)) {
		_ = f.Value.Set(strconv.Itoa(perProcessor * runtime.GOMAXPROCS(0))) // it is a number
	}
}
