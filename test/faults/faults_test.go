package faults_test

import (
	"crypto/rand"
	"encoding/binary"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/internal/testmain"
	"github.com/codeferry/codeferry/test/faults"
)

var (
	long = flag.Bool("faults.long", false, "carry out the long plans: some minutes each")
	seed = flag.Uint64("faults.seed", 0, "the plans' seed; 0 takes a fresh one, and prints it")
	only = flag.String("faults.only", "", "carry out these kinds of faults alone, separated by commas, each at least once")
	keep = flag.String("faults.log", "", "write what a plan's processes say to this file, with the plan's name after it")
)

func TestMain(m *testing.M) {
	faults.Main()
	testmain.Wide(2)
	os.Exit(m.Run())
}

// TestPromises carries out a plan over each kind of broker. To repeat a run:
//
//	go test ./test/faults -run 'TestPromises/r1' -faults.seed SEED [-faults.long]
//
// -faults.only 'worker kills,password rotations' leaves a plan with these kinds of faults.
func TestPromises(t *testing.T) {
	t.Parallel()
	s := *seed
	if s == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:])
		s = binary.NativeEndian.Uint64(b[:])>>32 + 1
	}
	plan, neighbors := faults.Short, faults.ShortNeighbors(faults.R1, s)
	if *long {
		plan, neighbors = faults.Long, faults.LongNeighbors(faults.R3, s)
	}
	var failed failures
	t.Cleanup(func() { failed.log(t, s) })
	workersOnly := plan(faults.R1, s).WithoutLead().Without(faults.NATSKill, faults.StreamDelete) // every code is promised, also that a newer one supersedes it
	for name, plan := range map[string]faults.Plan{
		"r1": plan(faults.R1, s), "embedded": plan(faults.Embedded, s), "r3": plan(faults.R3, s), "workers only": workersOnly, "neighbors": neighbors,
	} {
		t.Run(name, func(t *testing.T) {
			if !*long {
				t.Parallel()
			}
			if *only != "" {
				kinds, err := faults.ParseKinds(*only)
				if err != nil {
					t.Fatal(err)
				}
				plan = plan.Only(kinds...)
			}
			t.Log(plan)
			var log syncbuf.Buffer
			report, err := faults.Run(t.Context(), plan, t.TempDir(), &log)
			if *keep != "" {
				if err := os.WriteFile(*keep+"."+strings.ReplaceAll(name, " ", "-"), []byte(log.String()), 0o600); err != nil {
					t.Error(err)
				}
			}
			if err != nil {
				failed.add(name, err)
				t.Fatalf("the plan did not run to its end: %v\n%s", err, tail(log.String()))
			}
			t.Log(report)
			if err := report.Err(); err != nil {
				failed.add(name, err)
				t.Errorf("broken promises: %v\nrepeat it with -faults.seed %d\n%s", err, s, about(log.String(), report.Broken))
			}
		})
	}
}

// failures are the errors of failed plans. They are logged again at the end, because thousands
// of lines follow the first report.
type failures struct {
	mu    sync.Mutex
	lines []string
}

func (f *failures) add(plan string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lines = append(f.lines, fmt.Sprintf("%s: %.1000v", plan, err.Error()))
}

func (f *failures) log(t *testing.T, seed uint64) {
	for _, line := range f.lines {
		t.Logf("seed %d, %s", seed, line)
	}
}

// about returns the lines of the processes' log about some messages.
func about(log string, ids []string) string {
	ids = ids[:min(5, len(ids))]
	var lines []string
	for line := range strings.Lines(log) {
		if slices.ContainsFunc(ids, func(id string) bool { return strings.Contains(line, id) }) {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines[:min(40, len(lines))], "")
}

// tail is the end of the processes' log.
func tail(log string) string { return log[max(0, len(log)-8000):] }
