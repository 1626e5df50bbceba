package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/mattn/go-isatty"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/replay"
)

// deadChoice are the flags of the commands that change dead letters. Without a flag
// they choose nothing.
type deadChoice struct {
	IDs []string `arg:"" optional:"" help:"The messages' ids." name:"id"`
	All bool     `help:"All dead letters."`
	deadFilter
	DryRun bool `help:"Tell what would happen, and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
	JSON   bool `name:"json" help:"Print JSON, one object a line; the last one has the counts."`
}

func (c *deadChoice) choose(now time.Time, server serverFlags, stderr io.Writer) (archive.Filter, error) {
	if slices.Contains(c.IDs, "") {
		return archive.Filter{}, errEmptyID
	}
	f, err := c.filter(now, server, stderr)
	if err != nil {
		return f, err
	}
	if len(c.IDs) == 0 && c.empty() && !c.All {
		return f, &exitError{exitUsage, errors.New("no dead letters are chosen; name ids or a filter such as --reason, or use --all")}
	}
	if f.IDs = c.IDs; c.To != "" && len(f.ToHashes) == 0 {
		return f, &exitError{exitUsage, errors.New("--to would also choose dead letters of other addresses with the same mask; name the configuration with the sealing keys, with -c")}
	}
	return f, nil
}

// confirm asks on a terminal. Without a terminal it returns an error.
func (c *deadChoice) confirm(ctx context.Context, s streams, question string) error {
	if c.Yes {
		return nil
	}
	if !isatty.IsTerminal(os.Stdin.Fd()) {
		return &exitError{exitUsage, errors.New("standard input is not a terminal, so the command can't ask; confirm with --yes")}
	}
	_, _ = fmt.Fprintf(s.err, "%s [y/N] ", question)
	answer, err := s.readLine(ctx, bufio.NewReader(os.Stdin))
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing was done")
	}
	return nil
}

type deadReplayCmd struct {
	deadChoice
	Doubt   bool          `help:"Also those that may have been sent (reasons doubt and poison)."`
	Extend  time.Duration `help:"Let expired codes be valid for this long from now." placeholder:"DURATION"`
	Reissue bool          `help:"Ask the auth service for a new code if the old one has expired."`
	Rate    float64       `help:"The most messages a second. Default: no limit." placeholder:"N"`
	serverFlags
}

// Help shows how the command is used.
func (deadReplayCmd) Help() string {
	return `Examples:
  codeferry dead replay --all --dry-run
  codeferry dead replay --reason misconfigured --since 2h --yes
  codeferry dead replay 01JDCT5Z6Q0000000000000000 --yes

It publishes each message again once, on its own subject, and erases the dead
letter when the stream has stored the message. It leaves a dead letter if its
code has expired, was superseded, was delivered meanwhile or may have been sent.
It prints the id of each dead letter and its result, then the counts. It names each
id that has no dead letter.
If you interrupt it and start it again, it continues with the rest. The exit
status is 0 only if it replayed or reissued every message, and each id that you
named has a dead letter. With --dry-run it is 0.` + serverHelp
}

// Run replays what was chosen.
func (c *deadReplayCmd) Run(ctx context.Context, s streams) error {
	f, err := c.choose(time.Now(), c.serverFlags, s.err)
	if err != nil {
		return err
	}
	if c.Extend < 0 || c.Rate < 0 {
		return &exitError{exitUsage, errors.New("--extend takes a positive duration such as 10m, and --rate a positive number")}
	}
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error { return c.replay(ctx, s, server, f) })
}

func (c *deadReplayCmd) replay(ctx context.Context, s streams, server natsServer, f archive.Filter) error {
	o := replay.Options{Filter: f, Doubt: c.Doubt, Extend: c.Extend, Reissue: c.Reissue, Rate: c.Rate}
	if c.DryRun || !c.Yes {
		if done, err := c.propose(ctx, s, server, o); done || err != nil {
			return err
		}
	}
	bar := newProgress(s)
	o.Progress = bar.at
	list, ids := newReplayList(s, false, c.JSON), c.sought()
	o.Each = func(l archive.Letter, d replay.Decision, answer string) {
		ids.saw(l)
		bar.aside(func() { list.add(l, d, answer) })
	}
	report, err := replay.Run(ctx, server.nc, server.js, o)
	bar.end()
	printed := list.err
	if printed == nil {
		printed = c.print(s, false, report, ids)
	}
	if printed != nil && err == nil {
		err = printed
	}
	if err == nil {
		err = ids.err()
	}
	if err == nil && leaving(report) < report.Total() {
		err = &exitError{code: exitFailed}
	}
	return err
}

// propose prints what would happen, and asks. done reports that nothing else is to do.
func (c *deadReplayCmd) propose(ctx context.Context, s streams, server natsServer, o replay.Options) (done bool, err error) {
	o.DryRun = true
	list, ids := newReplayList(s, true, c.JSON), c.sought()
	o.Each = func(l archive.Letter, d replay.Decision, answer string) {
		ids.saw(l)
		if c.DryRun {
			list.add(l, d, answer)
		}
	}
	report, err := replay.Run(ctx, server.nc, server.js, o)
	if err == nil {
		err = list.err
	}
	if err != nil {
		return true, err
	}
	if c.DryRun || leaving(report) == 0 {
		err := c.print(s, true, report, ids)
		if err == nil {
			err = ids.err()
		}
		if err == nil && !c.DryRun && report.Total() > 0 {
			err = &exitError{code: exitFailed} // every dead letter stays
		}
		return true, err
	}
	return false, c.confirm(ctx, s, fmt.Sprintf("%s\nContinue with %d of %d?", describe(true, report), leaving(report), report.Total()))
}

// leaving counts the dead letters that are erased.
func leaving(r replay.Report) int {
	return r[replay.Replayed] + r[replay.Reissued] + r[replay.AlreadyReplayed]
}

// print prints the counts. dry reports that nothing was done.
func (c *deadReplayCmd) print(s streams, dry bool, r replay.Report, ids *sought) error {
	if c.JSON {
		counts := map[replay.Decision]int{replay.Replayed: 0}
		maps.Copy(counts, r)
		return printCounts(s, dry, counts, ids)
	}
	if r.Total() == 0 && len(ids.missing()) > 0 {
		return nil // the error says that they have no dead letters
	}
	_, err := fmt.Fprintln(s.out, describe(dry, r))
	return err
}

// printCounts prints counts as one JSON object. It also has the ids without a dead letter, and
// dryRun if nothing was done.
func printCounts(s streams, dry bool, counts map[replay.Decision]int, ids *sought) error {
	line := make(map[string]any, len(counts)+2)
	for name, n := range counts {
		line[string(name)] = n
	}
	if missing := ids.missing(); len(missing) > 0 {
		line["missing"] = missing
	}
	if dry {
		line["dryRun"] = true
	}
	return newJSON(s.out).Encode(line)
}

// wouldBe comes before what is done, if it is not done.
func wouldBe(dry bool) string {
	if dry {
		return "would be "
	}
	return ""
}

// describe returns one line for each decision.
func describe(dry bool, r replay.Report) string {
	if r.Total() == 0 {
		return "no dead letters"
	}
	var b strings.Builder
	for _, d := range replay.Decisions() {
		if r[d] == 0 {
			continue
		}
		fmt.Fprintf(&b, "%8d  %s\n", r[d], became(wouldBe(dry), d))
	}
	return strings.TrimRight(b.String(), "\n")
}

// became says what becomes of a dead letter.
func became(verb string, d replay.Decision) string {
	switch d { //nolint:exhaustive // all others stay
	case replay.Reissued:
		if verb != "" {
			return verb + string(d) + " if the auth service answers" // only the request tells
		}
		return string(d)
	case replay.Replayed:
		return verb + string(d)
	case replay.AlreadyReplayed:
		return string(d) + "; the dead letter goes"
	}
	return "stays: " + string(d)
}

type deadDeleteCmd struct {
	deadChoice
	serverFlags
}

// Help shows how the command is used.
func (deadDeleteCmd) Help() string {
	return `Examples:
  codeferry dead delete --reason invalid --until 24h --dry-run
  codeferry dead delete 01JDCT5Z6Q0000000000000000 --yes

The server overwrites each dead letter on the disk. That takes about a minute
for five thousand. It deletes the others by itself after seven days. The exit
status is 1 if one of the ids has no dead letter.` + serverHelp
}

// Run erases what was chosen.
func (c *deadDeleteCmd) Run(ctx context.Context, s streams) error {
	f, err := c.choose(time.Now(), c.serverFlags, s.err)
	if err != nil {
		return err
	}
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error { return c.erase(ctx, s, server, f) })
}

func (c *deadDeleteCmd) erase(ctx context.Context, s streams, server natsServer, f archive.Filter) error {
	total, ids, list := 0, c.sought(), newReplayList(s, c.DryRun, true)
	if err := archive.Heads(ctx, server.js, f, func(l archive.Letter) error {
		total++
		ids.saw(l)
		if c.JSON && c.DryRun {
			list.add(l, erased, "")
		}
		return list.err
	}); err != nil {
		return err
	}
	if c.DryRun || total == 0 {
		if err := c.print(s, c.DryRun, total, ids); err != nil {
			return err
		}
		return ids.err()
	}
	if err := c.confirm(ctx, s, fmt.Sprintf("Erase %s for good?", deadLetters(total))); err != nil {
		return err
	}
	remover, err := archive.NewRemover(ctx, server.js)
	if err != nil {
		return err
	}
	bar := newProgress(s)
	var mu sync.Mutex // guards done and list
	done := 0
	work, end := archive.Finish(ctx)
	defer end()
	err = archive.Each(ctx, server.js, f, deleters, func(_ context.Context, l archive.Letter) error {
		ctx, cancel := context.WithTimeout(work, answerTimeout)
		defer cancel()
		if err := remover.Erase(ctx, l); err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		done++
		if c.JSON {
			bar.aside(func() { list.add(l, erased, "") })
		}
		bar.at(done, total)
		return list.err
	})
	bar.end()
	if printed := c.print(s, false, done, ids); printed != nil && err == nil {
		err = printed
	}
	if err == nil {
		err = ids.err()
	}
	return err
}

// erased is the name in --json for the number of dead letters that dead delete has erased.
const erased replay.Decision = "erased"

// deleters is how many dead letters are erased at once.
const deleters = 8

func (c *deadDeleteCmd) print(s streams, dry bool, n int, ids *sought) error {
	if c.JSON {
		return printCounts(s, dry, map[replay.Decision]int{erased: n}, ids)
	}
	_, err := fmt.Fprintf(s.out, "%s %serased\n", deadLetters(n), wouldBe(dry))
	return err
}
