package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

type outcomesCmd struct {
	Follow    bool     `short:"f" help:"Then print each new outcome, until Ctrl-C."`
	Since     string   `help:"Only since this time: a time (RFC 3339), or a duration before now, such as 2h or 1d. Default: 10m." default:"10m" placeholder:"TIME"`
	App       string   `help:"Only of this app." placeholder:"APP"`
	Channel   []string `help:"Only of this channel: email or sms." enum:"email,sms" placeholder:"CHANNEL"`
	Status    []string `help:"Only with this status: sent, retrying, unknown, dead, superseded, delivered or undelivered. Separate several by commas." enum:"sent,retrying,unknown,dead,superseded,delivered,undelivered" placeholder:"STATUS"`
	Connector string   `help:"Only of this connector." placeholder:"NAME"`
	ID        string   `name:"id" help:"Only of messages with this id." placeholder:"ID"`
	Key       string   `help:"Only of messages with this key." placeholder:"KEY"`
	To        string   `help:"Only to this address. Outcomes hold masked addresses, so also to other addresses with the same mask." placeholder:"ADDRESS"`
	Limit     uint32   `help:"Of the stored outcomes print only this many, the newest; 0 prints all." default:"0" placeholder:"N"`
	JSON      bool     `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (outcomesCmd) Help() string {
	return `Examples:
  codeferry outcomes
  codeferry outcomes --follow
  codeferry outcomes --follow --status dead,retrying --channel sms
  codeferry outcomes --since 1d --to +8613012345678
  codeferry outcomes --since 1h --status dead --json

An outcome is a step of a message: it was sent, will be retried, is in doubt
(unknown), is dead, or was superseded by a newer code. The stream keeps outcomes for 72 hours. Without --follow
the command prints the outcomes of the last 10 minutes and ends.` + serverHelp
}

// Run prints the outcomes.
func (c *outcomesCmd) Run(ctx context.Context, s streams) error {
	want, err := c.filter(time.Now())
	if err != nil {
		return err
	}
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error {
		return c.show(ctx, s, server.js, want)
	})
}

func (c *outcomesCmd) show(ctx context.Context, s streams, js jetstream.JetStream, want archive.OutcomeFilter) error {
	if c.To != "" {
		_, _ = fmt.Fprintln(s.err, "Outcomes hold masked addresses: other recipients can have the same mask.")
	}
	p := newOutcomePrinter(s, c.JSON, int(c.Limit))
	if c.Follow {
		return c.follow(ctx, js, want, p)
	}
	if err := archive.Outcomes(ctx, js, want, p.take); err != nil {
		return err
	}
	if err := p.flush(); err != nil {
		return err
	}
	if p.total() > 0 || c.JSON {
		return nil
	}
	_, err := fmt.Fprintf(s.out, "no outcomes since %s\n", want.Since.Local().Format(localTime))
	return err
}

func (c *outcomesCmd) filter(now time.Time) (archive.OutcomeFilter, error) {
	f := archive.OutcomeFilter{App: c.App, Connector: c.Connector, ID: c.ID, Key: c.Key, To: c.To}
	if c.App != "" && !wire.ValidApp(c.App) {
		return f, &exitError{exitUsage, fmt.Errorf("--app: %q is no app name", typed(c.App))}
	}
	for _, channel := range c.Channel {
		f.Channels = append(f.Channels, messages.Channel(channel))
	}
	for _, status := range c.Status {
		f.Statuses = append(f.Statuses, messages.Status(status))
	}
	if err := cmp.Or(checkTo(c.To), checkKey(c.Key)); err != nil {
		return f, err
	}
	var err error
	if f.Since, err = parseTime(c.Since, now); err != nil {
		return f, &exitError{exitUsage, fmt.Errorf("--since: %w", err)}
	}
	return f, nil
}

// follow prints outcomes until ctx ends, and then how many they were.
func (c *outcomesCmd) follow(ctx context.Context, js jetstream.JetStream, want archive.OutcomeFilter, p *outcomePrinter) error {
	away := false
	err := archive.FollowOutcomes(ctx, js, want, archive.FollowOptions{
		CaughtUp: p.flush,
		Trouble: func(err error) {
			if !away {
				_, _ = fmt.Fprintf(p.s.err, "the outcomes can't be read: %v; trying again until Ctrl-C\n", err)
			}
			away = true
		},
		Recovered: func() {
			away = false
			_, _ = fmt.Fprintln(p.s.err, "the outcomes can be read again")
		},
	}, p.take)
	if denied := new(deniedError); errors.As(context.Cause(ctx), &denied) {
		return denied
	}
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintln(p.s.err, p.counts())
	return nil
}

// outcomePrinter prints outcomes, and counts them. It keeps none, but for the newest of
// those that are there already if their number is limited.
type outcomePrinter struct {
	s       streams
	json    *json.Encoder
	table   *columns
	counted map[messages.Status]int

	// limit is how many are kept until flush; 0 for none: they are printed at once.
	limit  int
	newest []messages.Outcome
	next   int
	cut    bool
}

func newOutcomePrinter(s streams, asJSON bool, limit int) *outcomePrinter {
	p := &outcomePrinter{s: s, limit: limit, counted: make(map[messages.Status]int)}
	if asJSON {
		p.json = newJSON(s.out)
	}
	p.table = newColumns(s.out,
		[]string{"AT", "STATUS", "CHANNEL", "TYPE", "TO", "APP", "ID", "KEY", "CONNECTOR", "ATTEMPT", "DETAIL"},
		[]string{time.Time{}.Local().Format(localTime), "retrying", "email", "Register", sampleTo, "default", sampleID, sampleKey, "", "", ""})
	return p
}

// take prints an outcome, or keeps it until flush.
func (p *outcomePrinter) take(o messages.Outcome) error {
	switch {
	case p.limit == 0:
		return p.print(o)
	case len(p.newest) < p.limit:
		p.newest = append(p.newest, o)
	default:
		p.newest[p.next] = o
		p.next = (p.next + 1) % p.limit
		p.cut = true
	}
	return nil
}

// flush prints what was kept. From then on everything is printed at once.
func (p *outcomePrinter) flush() error {
	for i := range p.newest {
		if err := p.print(p.newest[(p.next+i)%len(p.newest)]); err != nil {
			return err
		}
	}
	if p.cut {
		_, _ = fmt.Fprintf(p.s.err, "There are older outcomes; --limit 0 prints all.\n")
	}
	p.limit, p.newest, p.cut = 0, nil, false
	return nil
}

func (p *outcomePrinter) print(o messages.Outcome) error {
	p.counted[o.Status]++
	if p.json != nil {
		return p.json.Encode(o)
	}
	o = shown(o)
	const statusColumn = 1
	attempt := "-"
	if o.Attempt > 0 {
		attempt = strconv.Itoa(o.Attempt)
	}
	return p.table.row([]string{
		o.At.Local().Format(localTime), string(o.Status), string(o.Channel), orDash(string(o.Type)), orDash(o.To),
		o.App, o.ID, orDash(o.Key), orDash(o.Connector), attempt, outcomeDetail(o),
	}, func(i int, cell string) string {
		if i != statusColumn {
			return cell
		}
		return p.s.paint(o.Status, cell)
	})
}

func (p *outcomePrinter) total() (n int) {
	for _, count := range p.counted {
		n += count
	}
	return n
}

// counts says how many outcomes were printed.
func (p *outcomePrinter) counts() string {
	n := p.total()
	if n == 0 {
		return "no outcomes"
	}
	var parts []string
	for _, status := range messages.Statuses() {
		if p.counted[status] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", p.counted[status], status))
			n -= p.counted[status]
		}
	}
	if n > 0 { // of a newer codeferry
		parts = append(parts, fmt.Sprintf("%d of another status", n))
	}
	return fmt.Sprintf("%s: %s", count(p.total(), "outcome"), strings.Join(parts, ", "))
}

// outcomeDetail says what else there is to an outcome.
func outcomeDetail(o messages.Outcome) string {
	var parts []string
	add := func(texts ...string) {
		if said := slices.DeleteFunc(texts, func(t string) bool { return t == "" }); len(said) > 0 {
			parts = append(parts, strings.Join(said, ": "))
		}
	}
	if o.Epoch > 0 {
		add("replay " + strconv.Itoa(o.Epoch))
	}
	if o.RetryAt != nil {
		add(again(&o))
	}
	switch {
	case o.Reason != "":
		add(string(o.Reason), o.Detail)
	case o.Class != "" || o.Code != "":
		add(o.Class, o.Code, o.Detail)
	case o.Status == messages.StatusSent:
		add(o.ProviderID)
		add(o.Detail)
		add(o.At.Sub(o.StoredAt).Round(time.Millisecond).String() + " after it was stored")
	default:
		add(o.Detail)
	}
	return strings.Join(parts, ", ")
}

// again says when a worker continues with a message.
func again(o *messages.Outcome) string {
	const shown = 10 * time.Millisecond
	if in := o.RetryAt.Sub(o.At).Round(shown); in > 0 {
		return "again in " + in.String() + " or later"
	}
	return "again at once"
}
