package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/service"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/waiting"
)

type waitingCmd struct {
	App     string   `help:"Only of this app." placeholder:"APP"`
	Channel []string `help:"Only of this channel: email or sms." enum:"email,sms" placeholder:"CHANNEL"`
	Limit   uint32   `help:"List only this many, the oldest; 0 lists all." default:"100" placeholder:"N"`
	Summary bool     `help:"Count by channel and reason."`
	JSON    bool     `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (waitingCmd) Help() string {
	return `Examples:
  codeferry waiting
  codeferry waiting --summary
  codeferry waiting --channel sms --limit 10 --json

It reads the stream and takes no message from the workers. WHY is one of
  not-taken    no worker has taken it yet
  in-flight    a worker has taken it
  retry        an attempt failed, and it waits for the next one
  breaker      a circuit breaker is open, or its attempt opened one
  slots        its connectors had no free slot
  newer-first  it is deferred, because newer codes go first
  doubt        it may have been sent
  put-back     a worker put it back without an attempt
  settled      it is done, and leaves the stream at its next delivery
  unknown      the reason can't be known; the detail says why
A ? means that the value is not known. With the configuration (-c) the command
opens sealed messages to show the masked address, and takes the app's codeTTL if
a message does not say when its code expires.` + serverHelp
}

// Run lists what waits.
func (c *waitingCmd) Run(ctx context.Context, s streams) error {
	if c.App != "" && !wire.ValidApp(c.App) {
		return &exitError{exitUsage, fmt.Errorf("--app: %q is no app name", typed(c.App))}
	}
	opts, err := c.waitingOptions()
	if err != nil {
		return err
	}
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error {
		reader, err := openWaiting(ctx, server.js, opts)
		if err != nil {
			return err
		}
		if c.Summary {
			return c.summarize(ctx, s, reader)
		}
		if c.Limit == 0 || c.Limit > waitingPage {
			return c.all(ctx, s, server.js, reader)
		}
		rows, more, err := c.read(ctx, reader)
		if err == nil {
			err = hearRetries(ctx, server.js, rows)
		}
		if err != nil {
			return err
		}
		return c.print(s, reader, rows, more, time.Now())
	})
}

// waitingOptions are what the configuration knows of what waits; nothing without one.
func (f serverFlags) waitingOptions() (waiting.Options, error) {
	var o waiting.Options
	if f.Config == "" {
		return o, nil
	}
	cfg, err := f.load(config.Unneeded{})
	if err != nil {
		return o, err
	}
	keys := cfg.Sealing.Keys
	if cfg.NATS.URL == "" { // the embedded server's own
		if keys, err = service.Keys(cfg); err != nil {
			return o, err
		}
	}
	o.Opener = wire.NewOpener(keys...)
	o.CodeTTL = func(app string) time.Duration {
		a, ok := cfg.Apps[app]
		if ok && a.CodeTTL == 0 {
			return config.DefaultCodeTTL
		}
		return a.CodeTTL
	}
	return o, nil
}

// openWaiting opens a reader of what waits.
func openWaiting(ctx context.Context, js jetstream.JetStream, o waiting.Options) (*waiting.Reader, error) {
	r, err := waiting.Open(ctx, js, o)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return nil, fmt.Errorf("the stream %s is not there; create it with `codeferry provision`, or start a worker: %w", wire.StreamName, err)
	}
	return r, err
}

func (c *waitingCmd) want() waiting.Filter {
	f := waiting.Filter{App: c.App}
	if len(slices.Compact(slices.Sorted(slices.Values(c.Channel)))) == 1 {
		f.Channel = messages.Channel(c.Channel[0])
	}
	return f
}

// waitingPage is how many messages are read before they are printed, so that a large backlog is
// never in memory at once.
const waitingPage = 10_000

var errEnough = errors.New("enough")

// all prints page by page what waits, up to the limit, if there is one.
func (c *waitingCmd) all(ctx context.Context, s streams, js jetstream.JetStream, r *waiting.Reader) error {
	p := c.printer(s)
	if err := c.printHead(s, r); err != nil {
		return err
	}
	more := false
	err := r.Pages(ctx, c.want(), waitingPage, func(rows []waiting.Message) error {
		if left := int(c.Limit) - p.printed; c.Limit > 0 && len(rows) > left {
			rows, more = rows[:left], true
		}
		if err := hearRetries(ctx, js, rows); err != nil {
			return err
		}
		if err := p.print(rows, time.Now()); err != nil {
			return err
		}
		if more {
			return errEnough
		}
		return nil
	})
	if err != nil && !errors.Is(err, errEnough) {
		return err
	}
	return p.end(more)
}

// read returns the oldest messages that wait, oldest first, and whether there are more.
func (c *waitingCmd) read(ctx context.Context, r *waiting.Reader) (rows []waiting.Message, more bool, err error) {
	err = r.Oldest(ctx, c.want(), func(m waiting.Message) bool {
		if more = len(rows) == int(c.Limit); !more {
			rows = append(rows, m)
		}
		return !more
	})
	return rows, more, err
}

// hearRetries adds to what waits what its outcomes tell.
func hearRetries(ctx context.Context, js jetstream.JetStream, rows []waiting.Message) error {
	if len(rows) == 0 {
		return nil
	}
	const skew = 5 * time.Minute // the workers' clocks may differ from the server's
	places := make(map[uint64]*waiting.Message, len(rows))
	since := rows[0].StoredAt
	for i := range rows {
		places[rows[i].Sequence] = &rows[i]
		if rows[i].StoredAt.Before(since) {
			since = rows[i].StoredAt
		}
	}
	want := archive.OutcomeFilter{Statuses: []messages.Status{messages.StatusRetrying, messages.StatusUnknown}, Since: since.Add(-skew)}
	return archive.Outcomes(ctx, js, want, func(o messages.Outcome) error {
		if m := places[o.Sequence]; m != nil {
			m.Heard(&o)
		}
		return nil
	})
}

func (c *waitingCmd) print(s streams, r *waiting.Reader, rows []waiting.Message, more bool, now time.Time) error {
	if err := c.printHead(s, r); err != nil {
		return err
	}
	p := c.printer(s)
	if err := p.print(rows, now); err != nil {
		return err
	}
	return p.end(more)
}

// printHead says how far the workers have come, if a person reads it.
func (c *waitingCmd) printHead(s streams, r *waiting.Reader) error {
	if c.JSON {
		return nil
	}
	return c.printChannels(s, r)
}

// waitingPrinter prints pages of messages that wait, each with columns of its own width.
type waitingPrinter struct {
	s       streams
	json    *json.Encoder
	printed int
}

func (c *waitingCmd) printer(s streams) *waitingPrinter {
	p := &waitingPrinter{s: s}
	if c.JSON {
		p.json = newJSON(s.out)
	}
	return p
}

func (p *waitingPrinter) print(rows []waiting.Message, now time.Time) error {
	first := p.printed == 0
	p.printed += len(rows)
	if p.json != nil {
		for _, m := range rows {
			if err := p.json.Encode(m); err != nil {
				return err
			}
		}
		return nil
	}
	t := newTable(p.s)
	if first && len(rows) > 0 {
		_, _ = fmt.Fprintln(t, "SINCE\tWAITS\tCHANNEL\tTYPE\tTO\tAPP\tID\tKEY\tEXPIRES\tATTEMPTS\tWHY\tAGAIN\tDETAIL")
	}
	for _, m := range rows {
		_, _ = fmt.Fprintln(t, waitingRow(m, now))
	}
	return t.Flush()
}

// end says whether there was nothing, or more.
func (p *waitingPrinter) end(more bool) error {
	var err error
	switch {
	case p.json != nil && more:
		_, _ = fmt.Fprintln(p.s.err, "There are newer messages; --limit 0 lists all.")
	case p.json != nil:
	case p.printed == 0:
		_, err = fmt.Fprintln(p.s.out, "no messages wait")
	case more:
		_, err = fmt.Fprintf(p.s.out, "… and newer ones; --limit 0 lists all\n")
	}
	return err
}

// printChannels says how far the workers have come.
func (c *waitingCmd) printChannels(s streams, r *waiting.Reader) error {
	for _, channel := range messages.Channels() {
		if len(c.Channel) > 0 && !slices.Contains(c.Channel, string(channel)) {
			continue
		}
		if _, err := fmt.Fprintf(s.out, "%s: %s\n", channel, channelLine(r.Consumer(channel), c.command("provision"))); err != nil {
			return err
		}
	}
	_, err := fmt.Fprintln(s.out)
	return err
}

func channelLine(c *waiting.Consumer, provision string) string {
	if c == nil {
		return "the consumer does not exist; a worker makes it, or " + provision
	}
	line := fmt.Sprintf("%s not taken by a worker yet, %d taken and not settled", count(int(c.Waiting), "message"), c.Taken) //nolint:gosec // a stream never holds that many
	switch {
	case c.Paused:
		line += "; the consumer is paused"
	case !c.Asked:
		line += "; no worker asks for messages at this moment"
	}
	return line
}

func waitingRow(m waiting.Message, now time.Time) string {
	m = shown(m)
	expires, again, to := "?", "-", orDash(m.To)
	if m.ExpiresAt != nil {
		expires = m.ExpiresAt.Local().Format(localTime)
		if !now.Before(*m.ExpiresAt) {
			expires += ", over"
		}
	}
	if at := ahead(m.RetryAt, now); at != nil {
		again = at.Local().Format(localTime)
	}
	if m.Sealed {
		to = "sealed"
	}
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s", m.StoredAt.Local().Format(localTime), now.Sub(m.StoredAt).Round(time.Second),
		m.Channel, orDash(string(m.Type)), to, m.App, m.ID, orDash(m.Key), expires, attemptsOf(m), m.Why, again, m.Detail)
}

// ahead is a time that is still to come; nil if it is past or not known. A time that is past says
// nothing of when a message is taken up again: it is late, or was deferred since.
func ahead(at *time.Time, now time.Time) *time.Time {
	if at == nil || !at.After(now) {
		return nil
	}
	return at
}

// attemptsOf is how many attempts a message had, as far as that is known.
func attemptsOf(m waiting.Message) string {
	if m.Attempts == nil {
		return "?"
	}
	return strconv.Itoa(*m.Attempts)
}

// waitingGroup are the messages that wait for the same reason.
type waitingGroup struct {
	Channel messages.Channel `json:"channel"`
	Why     waiting.Why      `json:"why"`
	Detail  string           `json:"detail"`
	Count   int              `json:"count"`
	// Since is when the oldest was stored, and Oldest its id.
	Since  time.Time `json:"since"`
	Oldest string    `json:"oldest"`
}

// summarize prints the groups, the largest first. It keeps no message.
func (c *waitingCmd) summarize(ctx context.Context, s streams, r *waiting.Reader) error {
	groups := make(map[waitingGroup]*waitingGroup)
	if err := r.All(ctx, c.want(), func(m waiting.Message) error {
		key := waitingGroup{Channel: m.Channel, Why: m.Why, Detail: m.Detail}
		g := group(groups, key, waitingGroup{Channel: m.Channel, Why: m.Why, Detail: otherDetails})
		g.Count++
		if g.Count == 1 || m.StoredAt.Before(g.Since) {
			g.Since, g.Oldest = m.StoredAt, m.ID
		}
		return nil
	}); err != nil {
		return err
	}
	sorted := slices.SortedFunc(maps.Values(groups), func(a, b *waitingGroup) int {
		return cmp.Or(b.Count-a.Count, cmp.Compare(a.Channel, b.Channel), cmp.Compare(a.Why, b.Why), cmp.Compare(a.Detail, b.Detail))
	})
	return c.printSummary(s, r, sorted)
}

func (c *waitingCmd) printSummary(s streams, r *waiting.Reader, sorted []*waitingGroup) error {
	if c.JSON {
		for _, g := range sorted {
			if err := newJSON(s.out).Encode(g); err != nil {
				return err
			}
		}
		return nil
	}
	if err := c.printChannels(s, r); err != nil {
		return err
	}
	if len(sorted) == 0 {
		_, err := fmt.Fprintln(s.out, "no messages wait")
		return err
	}
	t := newTable(s)
	_, _ = fmt.Fprintln(t, "COUNT\tCHANNEL\tWHY\tOLDEST\tSINCE\tDETAIL")
	total := 0
	for _, stored := range sorted {
		g := shown(*stored)
		total += g.Count
		_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\t%s\n", g.Count, g.Channel, g.Why, g.Oldest, g.Since.Local().Format(localTime), g.Detail)
	}
	_, _ = fmt.Fprintf(t, "%d\tin all\n", total)
	return t.Flush()
}
