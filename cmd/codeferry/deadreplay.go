package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/replay"
)

// deadChoice are the flags of what changes dead letters: nothing is chosen by
// default.
type deadChoice struct {
	IDs []string `arg:"" optional:"" help:"The messages' ids." name:"id"`
	All bool     `help:"All of them."`
	deadFilter
	DryRun bool `help:"Tell what would happen, in counts, and do nothing."`
	Yes    bool `short:"y" help:"Do not ask."`
	JSON   bool `name:"json" help:"Print one JSON object."`
}

func (c *deadChoice) choose(now time.Time, server serverFlags) (archive.Filter, error) {
	f, err := c.filter(now, server)
	if err != nil {
		return f, err
	}
	if len(c.IDs) == 0 && c.empty() && !c.All {
		return f, &exitError{exitUsage, errors.New("which dead letters? Name ids or a filter such as --reason, or say --all")}
	}
	if f.IDs = c.IDs; c.To != "" && len(f.ToHashes) == 0 {
		return f, &exitError{exitUsage, errors.New("--to would take letters of others with the same mask: name the configuration with the sealing keys, with -c")}
	}
	return f, nil
}

// confirm asks on a terminal, and refuses to guess elsewhere.
func (c *deadChoice) confirm(s streams, question string) error {
	if c.Yes {
		return nil
	}
	if !isatty.IsTerminal(os.Stdin.Fd()) {
		return &exitError{exitUsage, errors.New("nobody can be asked here; say --yes")}
	}
	_, _ = fmt.Fprintf(s.err, "%s [y/N] ", question)
	answer, err := bufio.NewReader(os.Stdin).ReadString('\n')
	if err != nil || !strings.EqualFold(strings.TrimSpace(answer), "y") {
		return errors.New("nothing was done")
	}
	return nil
}

type deadReplayCmd struct {
	deadChoice
	Doubt   bool          `help:"Also those that may have been sent (reasons doubt and poison)."`
	Extend  time.Duration `help:"Give codes that have expired so much longer, from now on." placeholder:"DURATION"`
	Reissue bool          `help:"Ask the auth service for a new code where the old one has expired."`
	Rate    float64       `help:"The most a second. Default: no limit." placeholder:"N"`
	serverFlags
}

// Help shows how the command is used.
func (deadReplayCmd) Help() string {
	return `Examples:
  codeferry dead replay --all --dry-run
  codeferry dead replay --reason misconfigured --since 2h --yes
  codeferry dead replay 01JDCT5Z6Q0000000000000000 --yes

Each goes back to where it came from, once, and its letter goes when the stream
has it. Left where they are: codes that have expired or that a newer one has
replaced, what was delivered meanwhile, and what may have been sent. Interrupted
and started again, it goes on where it was. The exit status is 0 only where
every letter was replayed, reissued, or had been replayed before.`
}

// Run replays what was chosen.
func (c *deadReplayCmd) Run(ctx context.Context, s streams) error {
	f, err := c.choose(time.Now(), c.serverFlags)
	if err != nil {
		return err
	}
	if c.Extend < 0 || c.Rate < 0 {
		return &exitError{exitUsage, errors.New("--extend takes a positive duration such as 10m, and --rate a positive number")}
	}
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	o := replay.Options{Filter: f, Doubt: c.Doubt, Extend: c.Extend, Reissue: c.Reissue, Rate: c.Rate}
	if c.DryRun || !c.Yes {
		if done, err := c.propose(ctx, s, nc, js, o); done || err != nil {
			return explain(ctx, err)
		}
	}
	bar := newProgress(s)
	o.Progress = bar.at
	report, err := replay.Run(ctx, nc, js, o)
	bar.end()
	if printed := c.print(s, "", report); printed != nil && err == nil {
		err = printed
	}
	if err != nil {
		return explain(ctx, err)
	}
	if report.Total() == 0 && len(c.IDs) > 0 || leaving(report) < report.Total() {
		return &exitError{code: exitFailed}
	}
	return nil
}

// propose tells what would happen, and asks; done says that this was all.
func (c *deadReplayCmd) propose(ctx context.Context, s streams, nc *nats.Conn, js jetstream.JetStream, o replay.Options) (done bool, err error) {
	o.DryRun = true
	report, err := replay.Run(ctx, nc, js, o)
	if err != nil {
		return true, err
	}
	if c.DryRun || leaving(report) == 0 {
		err := c.print(s, "would be ", report)
		if err == nil && !c.DryRun && (report.Total() > 0 || len(c.IDs) > 0) {
			err = &exitError{code: exitFailed} // every one stays
		}
		return true, err
	}
	return false, c.confirm(s, fmt.Sprintf("%s\nGo on with %d of %d?", describe("would be ", report), leaving(report), report.Total()))
}

// leaving counts the letters that go.
func leaving(r replay.Report) int {
	return r[replay.Replayed] + r[replay.Reissued] + r[replay.AlreadyReplayed]
}

func (c *deadReplayCmd) print(s streams, verb string, r replay.Report) error {
	if c.JSON {
		return json.NewEncoder(s.out).Encode(r)
	}
	_, err := fmt.Fprintln(s.out, describe(verb, r))
	return err
}

// describe returns a line a decision.
func describe(verb string, r replay.Report) string {
	if r.Total() == 0 {
		return "no dead letters"
	}
	var b strings.Builder
	for _, d := range replay.Decisions() {
		if r[d] == 0 {
			continue
		}
		text := string(d)
		switch d {
		case replay.Replayed, replay.Reissued:
			text = verb + text
		case replay.AlreadyReplayed:
			text += "; the letter goes"
		default:
			text = "stays: " + text
		}
		fmt.Fprintf(&b, "%8d  %s\n", r[d], text)
	}
	return strings.TrimRight(b.String(), "\n")
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

The server overwrites each on the disk, which takes its time: about a minute for
five thousand. Those that are left alone go by themselves after seven days.`
}

// Run erases what was chosen.
func (c *deadDeleteCmd) Run(ctx context.Context, s streams) error {
	f, err := c.choose(time.Now(), c.serverFlags)
	if err != nil {
		return err
	}
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	total := 0
	if err := archive.Heads(ctx, js, f, func(archive.Letter) error { total++; return nil }); err != nil {
		return explain(ctx, err)
	}
	if c.DryRun || total == 0 {
		return c.print(s, "would be ", total)
	}
	if err := c.confirm(s, fmt.Sprintf("Erase %d dead letters for good?", total)); err != nil {
		return err
	}
	remover, err := archive.NewRemover(ctx, js)
	if err != nil {
		return err
	}
	bar := newProgress(s)
	var erased atomic.Int64
	err = archive.Each(ctx, js, f, deleters, func(ctx context.Context, l archive.Letter) error {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), answerTimeout)
		defer cancel()
		if err := remover.Erase(ctx, l); err != nil {
			return err
		}
		bar.at(int(erased.Add(1)), total)
		return nil
	})
	bar.end()
	if printed := c.print(s, "", int(erased.Load())); printed != nil && err == nil {
		err = printed
	}
	return explain(ctx, err)
}

// deleters is how many letters are erased at once.
const deleters = 8

func (c *deadDeleteCmd) print(s streams, verb string, n int) error {
	if c.JSON {
		return json.NewEncoder(s.out).Encode(map[string]int{"erased": n})
	}
	_, err := fmt.Fprintf(s.out, "%d dead letters %serased\n", n, verb)
	return err
}
