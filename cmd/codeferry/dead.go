package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"List dead letters, oldest first, or count them."`
	Show   deadShowCmd   `cmd:"" help:"Show one dead letter, with every attempt and what to do about it."`
	Replay deadReplayCmd `cmd:"" help:"Send dead letters' messages again, those that are still of use."`
	Delete deadDeleteCmd `cmd:"" help:"Erase dead letters."`
}

// deadFilter are the flags that choose dead letters.
type deadFilter struct {
	App       string `help:"Only this app's." placeholder:"APP"`
	Channel   string `help:"Only this channel's." placeholder:"CHANNEL"`
	Type      string `help:"Only of this usage type." placeholder:"TYPE"`
	Reason    string `help:"Only with this reason." placeholder:"REASON"`
	Connector string `help:"Only those that this connector tried last." placeholder:"NAME"`
	Code      string `help:"Only with this code of the provider's." placeholder:"CODE"`
	Since     string `help:"Only those that died since: a time (RFC 3339), or so long ago, such as 2h." placeholder:"TIME"`
	Until     string `help:"Only those that died before." placeholder:"TIME"`
	To        string `help:"Only to this address; without a configuration's sealing keys (-c), also to others with the same mask." placeholder:"ADDRESS"`
}

func (c deadFilter) empty() bool { return c == deadFilter{} }

func (c deadFilter) filter(now time.Time, server serverFlags) (archive.Filter, error) {
	f := archive.Filter{
		App: c.App, Channel: messages.Channel(c.Channel), Type: messages.Type(c.Type), Reason: messages.Reason(c.Reason),
		Connector: c.Connector, Code: c.Code, To: c.To,
	}
	switch {
	case c.App != "" && !messages.ValidApp(c.App):
		return f, fmt.Errorf("--app: %q is no app name", c.App)
	case c.Channel != "" && !f.Channel.Valid():
		return f, fmt.Errorf("--channel: %q is neither email nor sms", c.Channel)
	case c.Type != "" && !f.Type.Valid():
		return f, fmt.Errorf("--type: %q is no usage type such as SignIn", c.Type)
	case c.Reason != "" && !f.Reason.Valid():
		return f, fmt.Errorf("--reason: %q is none of %s", c.Reason, joinReasons())
	}
	var err error
	if f.Since, err = moment(c.Since, now); err != nil {
		return f, fmt.Errorf("--since: %w", err)
	}
	if f.Until, err = moment(c.Until, now); err != nil {
		return f, fmt.Errorf("--until: %w", err)
	}
	if c.To != "" {
		f.ToHashes, err = server.lookups(c.To)
	}
	return f, err
}

// moment reads a time, or how long ago it was.
func moment(text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time such as 2026-11-21T12:00:00Z nor a duration such as 2h", text)
	}
	return t, nil
}

func joinReasons() string {
	names := make([]string, 0, len(messages.Reasons()))
	for _, r := range messages.Reasons() {
		names = append(names, string(r))
	}
	return strings.Join(names, ", ")
}

type deadListCmd struct {
	deadFilter
	Limit   uint32 `help:"The newest this many; 0 for all." default:"100"`
	Summary bool   `help:"Count by reason, connector and code, with the newest example of each."`
	JSON    bool   `name:"json" help:"Print one JSON object a line."`
	serverFlags
}

// Help shows how the command is used.
func (deadListCmd) Help() string {
	return `Examples:
  codeferry dead list
  codeferry dead list --summary --since 24h
  codeferry dead list --reason limited --channel sms --json

The reasons are ` + joinReasons() + `.`
}

// Run lists the dead letters.
func (c *deadListCmd) Run(ctx context.Context, s streams) error {
	f, err := c.filter(time.Now(), c.serverFlags)
	if err != nil {
		return err
	}
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	switch {
	case c.Summary:
		err = summarize(ctx, js, s, f, c.JSON)
	case c.Limit > 0:
		var letters []archive.Letter
		var more bool
		if letters, more, err = archive.Newest(ctx, js, f, c.Limit); err == nil {
			err = c.print(s, letters, more)
		}
	default:
		err = c.all(ctx, s, func(each func(archive.Letter) error) error {
			return archive.DeadLetters(ctx, js, f, each)
		})
	}
	return explain(ctx, err)
}

const deadHeader = "DEAD AT\tID\tAPP\tCHANNEL\tTYPE\tTO\tREASON\tCONNECTOR\tCODE\tATTEMPTS"

func deadRow(d archive.Letter) string {
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d", d.DeadAt.Local().Format(localTime),
		d.ID, d.App, d.Channel, orDash(string(d.Type)), orDash(d.To), d.Reason, orDash(d.Connector), orDash(d.Code), len(d.Attempts))
}

// all prints as it reads, a screen's worth of columns at a time.
func (c *deadListCmd) all(_ context.Context, s streams, read func(func(archive.Letter) error) error) error {
	const screen = 100
	t, n := newTable(s), 0
	err := read(func(l archive.Letter) error {
		n++
		if c.JSON {
			return json.NewEncoder(s.out).Encode(l.DeadLetter)
		}
		if n == 1 {
			_, _ = fmt.Fprintln(t, deadHeader)
		}
		_, _ = fmt.Fprintln(t, deadRow(l))
		if n%screen == 0 {
			return t.Flush()
		}
		return nil
	})
	if err == nil {
		err = t.Flush()
	}
	if n == 0 && err == nil && !c.JSON {
		_, err = fmt.Fprintln(s.out, "no dead letters")
	}
	return err
}

func (c *deadListCmd) print(s streams, letters []archive.Letter, more bool) error {
	err := c.all(context.Background(), s, func(each func(archive.Letter) error) error {
		for _, l := range letters {
			if err := each(l); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil && more && !c.JSON {
		_, err = fmt.Fprintf(s.out, "… and older ones; --limit 0 lists them all\n")
	}
	return err
}

func newTable(s streams) *tabwriter.Writer { return tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) }

// localTime is a person's own time, with its zone.
const localTime = "2006-01-02 15:04:05Z07:00"

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type deadShowCmd struct {
	ID   string `arg:"" help:"The message's id."`
	JSON bool   `name:"json" help:"Print one JSON object a line."`
	serverFlags
}

// Help shows how the command is used.
func (deadShowCmd) Help() string {
	return `Examples:
  codeferry dead show 01JDCT5Z6Q0000000000000000
  codeferry dead show --json 01JDCT5Z6Q0000000000000000`
}

// Run shows every dead letter of one message.
func (c *deadShowCmd) Run(ctx context.Context, s streams) error {
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	found := false
	err = archive.DeadLetters(ctx, js, archive.Filter{IDs: []string{c.ID}}, func(l archive.Letter) error {
		found = true
		if c.JSON {
			return json.NewEncoder(s.out).Encode(l.DeadLetter)
		}
		return printDeadLetter(s, l.DeadLetter)
	})
	if err != nil {
		return explain(ctx, err)
	}
	if !found {
		return fmt.Errorf("there is no dead letter for %s", c.ID)
	}
	return nil
}

func printDeadLetter(s streams, d messages.DeadLetter) error {
	t := newTable(s)
	row := func(name, value string) {
		if value != "" {
			_, _ = fmt.Fprintf(t, "%s\t%s\n", name, value)
		}
	}
	row("id", d.ID)
	row("reason", s.paint(messages.StatusDead, string(d.Reason)))
	row("detail", d.Detail)
	row("advice", d.Advice)
	row("app", d.App)
	row("channel", string(d.Channel))
	row("type", string(d.Type))
	row("to", d.To)
	row("subject", d.Subject)
	if d.Epoch > 0 {
		row("replays", strconv.Itoa(d.Epoch))
	}
	row("created", when(d.CreatedAt))
	row("stored", when(&d.StoredAt))
	row("expires", when(d.ExpiresAt))
	row("dead", when(&d.DeadAt))
	row("deliveries", strconv.FormatUint(d.Deliveries, 10))
	row("trace", d.TraceParent)
	row("message", kept(d))
	if len(d.Attempts) > 0 {
		_, _ = fmt.Fprintln(t)
		_, _ = fmt.Fprintln(t, "ATTEMPT\tAT\tCONNECTOR\tTOOK\tCLASS\tCODE\tREQUEST\tDETAIL")
		for i, a := range d.Attempts {
			_, _ = fmt.Fprintf(t, "%d\t%s\t%s\t%dms\t%s\t%s\t%s\t%s\n", i+1, a.At.Local().Format(localTime),
				a.Connector, a.DurationMS, a.Class, orDash(a.Code), orDash(a.RequestID), a.Detail)
		}
	}
	return t.Flush()
}

// kept says whether the letter can be replayed.
func kept(d messages.DeadLetter) string {
	switch {
	case d.Message != nil && d.Message.Sealed != nil:
		return "kept, sealed for key " + d.Message.Sealed.Key
	case d.Dropped == messages.DroppedNoKey:
		return "not kept: the worker has no sealing key; codeferry keygen makes one"
	case d.Dropped != "":
		return "not kept: " + string(d.Dropped)
	}
	return ""
}

func when(t *time.Time) string {
	if t == nil || t.IsZero() {
		return ""
	}
	return t.Local().Format(time.RFC3339)
}
