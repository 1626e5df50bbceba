package faults_test

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"flag"
	"os"
	"testing"

	"github.com/codeferry/codeferry/internal/faults"
)

var (
	long = flag.Bool("faults.long", false, "carry out the long plans: some minutes each")
	seed = flag.Uint64("faults.seed", 0, "the plans' seed; 0 takes a fresh one, and prints it")
)

func TestMain(m *testing.M) {
	faults.Main()
	os.Exit(m.Run())
}

// TestPromises carries out a plan over each kind of broker. To repeat a run:
//
//	go test ./internal/faults -run 'TestPromises/r1' -faults.seed SEED [-faults.long]
func TestPromises(t *testing.T) {
	s := *seed
	if s == 0 {
		var b [8]byte
		_, _ = rand.Read(b[:])
		s = binary.NativeEndian.Uint64(b[:])>>32 + 1
	}
	plan := faults.Short
	if *long {
		plan = faults.Long
	}
	workersOnly := plan(faults.R1, s)
	workersOnly.NATSKills = 0
	for name, plan := range map[string]faults.Plan{
		"r1": plan(faults.R1, s), "embedded": plan(faults.Embedded, s), "r3": plan(faults.R3, s), "workers only": workersOnly,
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(plan)
			var log bytes.Buffer
			report, err := faults.Run(t.Context(), plan, t.TempDir(), &log)
			if err != nil {
				t.Fatalf("%v\n%s", err, tail(log.Bytes()))
			}
			t.Log(report)
			if err := report.Err(); err != nil {
				t.Errorf("%v\nrepeat it with -faults.seed %d\n%s", err, s, tail(log.Bytes()))
			}
		})
	}
}

// tail is the end of what the processes said.
func tail(b []byte) []byte { return b[max(0, len(b)-8000):] }
