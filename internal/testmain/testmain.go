// Package testmain holds the shared parts of several packages' TestMain.
package testmain

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// NoLeaks runs the tests, and fails if they leave goroutines behind. The fuzzer has its own
// goroutines, so there is no check while it runs.
func NoLeaks(m *testing.M) {
	flag.Parse()
	status := m.Run()
	if status != 0 || flag.Lookup("test.fuzz").Value.String() != "" {
		os.Exit(status)
	}
	// On a busy machine, servers take longer to end than one call of Find waits.
	err := goleak.Find()
	for limit := time.Now().Add(patience); err != nil && time.Now().Before(limit); {
		err = goleak.Find()
	}
	if err != nil {
		_, _ = fmt.Fprintln(os.Stderr, "goleak: Errors on successful test run:", err)
		status = 1
	}
	os.Exit(status)
}

// patience is how long NoLeaks waits for goroutines to end.
const patience = 20 * time.Second

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
