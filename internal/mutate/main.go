// Command mutate finds breaks of the code that the fast tests do not notice. It breaks the
// delivery core in many small ways, one at a time (a condition that always holds, a statement
// that is left out, a value that is not set), and runs the tests that need no server. A break
// that no test notices is a survivor.
//
// All breaks are compiled into one test binary, each behind a switch, and the binary is
// run once for each of them: so a thousand take a minute or two.
//
// A harmless survivor is listed in the package's testdata/mutants.txt, with the reason. Any
// other survivor fails the run: a test is missing, or the code is not needed. A line of the
// list also fails the run if its break no longer exists, or if a test notices it now.
//
//	go run ./internal/mutate            the delivery core
//	go run ./internal/mutate -list      what would be broken
//	go run ./internal/mutate -only settle.go
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"time"
)

// target is a package whose code is broken.
type target struct {
	// dir is its folder.
	dir string
	// files are the patterns of the files to break.
	files []string
	// except are functions that only a server reaches.
	except []string
	// without is the name of a test package that needs a server, and is left out.
	without string
}

// core is the code that decides about a message: an error in it loses a code, or sends it
// twice.
var core = []target{
	{
		dir: "worker", without: "worker_test",
		files: []string{
			"stage_*.go", "decide.go", "settle.go", "release.go", "delivery.go", "verdict.go",
			"bulkhead.go", "breaker.go", "circuit.go", "template_breakers.go", "domains.go", "quota.go", "consumer.go", "reaper.go", "in_flight.go",
		},
	},
	{dir: "worker/internal/ledger", files: []string{"*.go"}},
	{
		dir: "worker/internal/jetpull", without: "jetpull_test",
		files:  []string{"ack.go", "ask.go", "end.go", "lease.go", "look.go", "message.go", "pull.go", "status.go"},
		except: []string{"NewAcker", "New", "End", "unsubscribe", "last"},
	},
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "mutate:", err)
		os.Exit(1)
	}
}

var errFailed = errors.New("the tests do not notice the breaks that are listed above: write a test, remove the code, or list the break with the reason in testdata/mutants.txt")

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("mutate", flag.ContinueOnError)
	list := flags.Bool("list", false, "list what would be broken, and run nothing")
	only := flags.String("only", "", "break only what this regular expression matches, as -list shows it")
	parallel := flags.Int("parallel", 2, "how many test runs go on at once")
	if err := flags.Parse(args); err != nil {
		return err
	}
	chosen, err := regexp.Compile(*only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	failed := false
	for _, t := range core {
		ok, err := t.run(ctx, chosen, *list, *parallel, out)
		if err != nil {
			return fmt.Errorf("%s: %w", t.dir, err)
		}
		failed = failed || !ok
	}
	if failed {
		return errFailed
	}
	return nil
}

// run breaks one package. ok is false if the tests miss something that is not listed.
func (t target) run(ctx context.Context, only *regexp.Regexp, list bool, parallel int, out io.Writer) (ok bool, err error) {
	p, err := load(ctx, t)
	if err != nil {
		return false, err
	}
	if list {
		for _, m := range p.mutants {
			if only.MatchString(m.name) {
				say(out, "%s:%d: %s\n", filepath.Join(t.dir, m.file), m.line, m.name)
			}
		}
		return true, nil
	}
	known, err := readKnown(filepath.Join(t.dir, "testdata", "mutants.txt"))
	if err != nil {
		return false, err
	}
	began := time.Now()
	binary, clean, err := p.build(ctx, t.without)
	if err != nil {
		return false, err
	}
	defer clean()
	survivors, err := runAll(ctx, binary, p, only, parallel)
	if err != nil {
		return false, err
	}
	say(out, "%s: %d breaks, %d not noticed (%d listed), %s\n", t.dir, len(p.mutants), len(survivors), len(known), time.Since(began).Round(time.Second))
	return report(t.dir, p.mutants, survivors, known, only, out), nil
}

// report prints the unknown survivors, and the mistakes in the list of known ones.
func report(dir string, all, survivors []mutant, known map[string]string, only *regexp.Regexp, out io.Writer) (ok bool) {
	ok = true
	for _, m := range survivors {
		if known[m.name] == "" {
			ok = false
			say(out, "%s:%d: not noticed: %s\n", filepath.Join(dir, m.file), m.line, m.name)
		}
	}
	named := func(name string) func(mutant) bool { return func(m mutant) bool { return m.name == name } }
	for _, name := range sorted(known) {
		switch {
		case !slices.ContainsFunc(all, named(name)):
			ok = false
			say(out, "%s: listed, and not there: %s\n", dir, name)
		case only.MatchString(name) && !slices.ContainsFunc(survivors, named(name)):
			ok = false
			say(out, "%s: listed, and noticed by now: %s\n", dir, name)
		}
	}
	return ok
}

// say writes a line of the report. A failure can't be reported anywhere.
func say(out io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(out, format, args...) }
