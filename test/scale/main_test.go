// Package scale runs a fleet of real workers over a real cluster of three nats-servers, and
// measures what grows with the number of workers, apps and accounts. docs/scale.md has the
// figures.
package scale

import (
	"flag"
	"fmt"
	"os"
	"testing"

	"github.com/codeferry/codeferry/internal/natstest"
)

var long = flag.Bool("scale.long", false, "measure fleets of up to 100 workers with 1000 apps: about 20 minutes")

// role is the environment variable that makes this program a nats-server with the
// configuration that its argument names.
const role = "CODEFERRY_SCALE_ROLE"

func TestMain(m *testing.M) {
	if os.Getenv(role) != "" {
		if err := natstest.Run(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// needsLong skips a test that only measures.
func needsLong(t *testing.T) {
	t.Helper()
	if !*long {
		t.Skip("it takes minutes; make scale runs it")
	}
}
