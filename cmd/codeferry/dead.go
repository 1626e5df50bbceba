package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

type deadCmd struct {
	List   deadListCmd   `cmd:"" help:"List dead letters, oldest first, or count them."`
	Show   deadShowCmd   `cmd:"" help:"Show the dead letters with an id, with every attempt and what to do."`
	Replay deadReplayCmd `cmd:"" help:"Send the messages of dead letters again, if they are still of use."`
	Delete deadDeleteCmd `cmd:"" help:"Erase dead letters."`
}

// Help shows how the commands are used.
func (deadCmd) Help() string {
	return `Examples:
  codeferry dead list
  codeferry dead list --summary
  codeferry dead show 01JDCT5Z6Q0000000000000000
  codeferry dead replay --all --dry-run

A dead letter is a message that was not sent, with the reason. The stream keeps it for
seven days. See codeferry dead list --help and so on.`
}

// deadFilter are the flags that choose dead letters.
type deadFilter struct {
	App       string `help:"Only of this app." placeholder:"APP"`
	Channel   string `help:"Only of this channel." predictor:"channel" placeholder:"CHANNEL"`
	Type      string `help:"Only of this usage type." predictor:"type" placeholder:"TYPE"`
	Reason    string `help:"Only with this reason." predictor:"reason" placeholder:"REASON"`
	Connector string `help:"Only if this connector made the last attempt." placeholder:"NAME"`
	Code      string `help:"Only with this error code of the provider." placeholder:"CODE"`
	Since     string `help:"Only dead since this time: a time (RFC 3339), or a duration before now, such as 2h or 1d." placeholder:"TIME"`
	Until     string `help:"Only dead before this time." placeholder:"TIME"`
	To        string `help:"Only to this address. Without the sealing keys of a configuration (-c), also to other addresses with the same mask." placeholder:"ADDRESS"`
}

func (c deadFilter) empty() bool { return c == deadFilter{} }

// filter reads the flags. A dead letter that can't be opened may be to the address of --to, too:
// then the filter leaves it out, and a line on stderr says so.
func (c deadFilter) filter(now time.Time, server serverFlags, stderr io.Writer) (archive.Filter, error) {
	f, err := c.parse(now)
	if err != nil {
		return f, &exitError{exitUsage, err}
	}
	if c.To == "" {
		return f, nil
	}
	if f.ToHashes, err = server.lookups(c.To); err != nil {
		return f, err
	}
	f.Sealed, err = server.sealedTo(c.To, sync.OnceFunc(func() {
		_, _ = fmt.Fprintln(stderr, "Some dead letters cannot be opened here, and may be to this address, too: name a configuration that has their sealing key by -c.")
	}))
	return f, err
}

// parse reads the flags. Its error says which one is wrong.
func (c deadFilter) parse(now time.Time) (archive.Filter, error) {
	f := archive.Filter{
		App: c.App, Channel: messages.Channel(c.Channel), Type: messages.Type(c.Type), Reason: messages.Reason(c.Reason),
		Connector: c.Connector, Code: c.Code, To: c.To,
	}
	switch {
	case c.App != "" && !wire.ValidApp(c.App):
		return f, fmt.Errorf("--app: %q is not an app name", typed(c.App))
	case c.Channel != "" && !f.Channel.Valid():
		return f, fmt.Errorf("--channel: %q is neither email nor sms", typed(c.Channel))
	case c.Type != "" && !f.Type.Valid():
		return f, fmt.Errorf("--type: %q is not a usage type such as SignIn", typed(c.Type))
	case c.Reason != "" && !f.Reason.Valid():
		return f, fmt.Errorf("--reason: %q is not one of %s", typed(c.Reason), joinReasons())
	case c.To != "" && !strings.Contains(c.To, "@") && wire.Digits(c.To) == "": // all such have one hash
		return f, errors.New("--to is not an address: it has neither @ nor digits")
	}
	var err error
	if f.Since, err = parseTime(c.Since, now); err != nil {
		return f, fmt.Errorf("--since: %w", err)
	}
	if f.Until, err = parseTime(c.Until, now); err != nil {
		return f, fmt.Errorf("--until: %w", err)
	}
	return f, nil
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
	Limit   uint32 `help:"List only this many, the newest; 0 lists all." default:"100"`
	Summary bool   `help:"Count by reason, connector, code and detail, with the newest example of each."`
	JSON    bool   `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (deadListCmd) Help() string {
	return `Examples:
  codeferry dead list
  codeferry dead list --summary --since 24h
  codeferry dead list --reason limited --channel sms --json
  codeferry dead list --context production

The reasons are ` + joinReasons() + `.` + serverHelp
}

// Run lists the dead letters.
func (c *deadListCmd) Run(ctx context.Context, s streams) error {
	f, err := c.filter(time.Now(), c.serverFlags, s.err)
	if err != nil {
		return err
	}
	return c.withServer(ctx, func(ctx context.Context, server natsServer) error {
		switch {
		case c.Summary:
			return summarize(ctx, server.js, s, f, c.JSON)
		case c.Limit > 0:
			letters, more, err := archive.Newest(ctx, server.js, f, c.Limit)
			if err != nil {
				return err
			}
			return c.print(s, letters, more)
		}
		return c.all(ctx, s, func(each func(archive.Letter) error) error {
			return archive.DeadLetters(ctx, server.js, f, each)
		})
	})
}

const deadHeader = "DEAD AT\tID\tAPP\tCHANNEL\tTYPE\tKEY\tTO\tREASON\tCONNECTOR\tCODE\tATTEMPTS"

func deadRow(l archive.Letter) string {
	d := shown(l.DeadLetter)
	return fmt.Sprintf("%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%d", d.DeadAt.Local().Format(localTime),
		d.ID, d.App, d.Channel, orDash(string(d.Type)), shownKey(&d), orDash(d.To), d.Reason, orDash(d.Connector), orDash(d.Code), len(d.Attempts))
}

// shownKey is the key of a dead letter's subject; **** stands for one that showed the
// recipient.
func shownKey(d *messages.DeadLetter) string {
	s, err := wire.ParseSubject(d.Subject)
	if err != nil && s.Key == "" {
		return "-"
	}
	return s.Key
}

// keyed is a dead letter as JSON. Key is that of its subject; it is left out if it showed the
// recipient.
type keyed struct {
	messages.DeadLetter
	Key string `json:"key,omitempty"`
}

func withKey(d messages.DeadLetter) keyed { return keyed{d, archive.KeyOf(&d)} }

// all prints dead letters while it reads them. It aligns the columns of each hundred
// lines.
func (c *deadListCmd) all(_ context.Context, s streams, read func(func(archive.Letter) error) error) error {
	const linesPerTable = 100
	t, n := newTable(s), 0
	err := read(func(l archive.Letter) error {
		n++
		if c.JSON {
			return newJSON(s.out).Encode(withKey(l.DeadLetter))
		}
		if n == 1 {
			_, _ = fmt.Fprintln(t, deadHeader)
		}
		_, _ = fmt.Fprintln(t, deadRow(l))
		if n%linesPerTable == 0 {
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
	switch {
	case err != nil || !more:
	case c.JSON:
		_, _ = fmt.Fprintln(s.err, "There are older ones; --limit 0 lists all.")
	default:
		_, err = fmt.Fprintf(s.out, "… and older ones; --limit 0 lists all\n")
	}
	return err
}

func newTable(s streams) *tabwriter.Writer { return tabwriter.NewWriter(s.out, 0, 0, 2, ' ', 0) }

// localTime formats times in the user's time zone.
const localTime = "2006-01-02 15:04:05Z07:00"

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

type deadShowCmd struct {
	ID   string `arg:"" help:"The id of one or several messages."`
	JSON bool   `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (deadShowCmd) Help() string {
	return `Examples:
  codeferry dead show 01JDCT5Z6Q0000000000000000
  codeferry dead show --json 01JDCT5Z6Q0000000000000000` + serverHelp
}

// Run shows every dead letter with an id.
func (c *deadShowCmd) Run(ctx context.Context, s streams) error {
	if c.ID == "" {
		return errEmptyID
	}
	return c.withServerBriefly(ctx, func(ctx context.Context, server natsServer) error {
		found := false
		err := archive.DeadLetters(ctx, server.js, archive.Filter{IDs: []string{c.ID}}, func(l archive.Letter) error {
			first := !found
			found = true
			if c.JSON {
				return newJSON(s.out).Encode(withKey(l.DeadLetter))
			}
			if !first {
				_, _ = fmt.Fprintln(s.out)
			}
			return printDeadLetter(s, l.DeadLetter)
		})
		if err == nil && !found {
			err = fmt.Errorf("there is no dead letter for %s", typed(c.ID))
		}
		return err
	})
}

func printDeadLetter(s streams, d messages.DeadLetter) error {
	d = shown(d)
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
	row("sequence", strconv.FormatUint(d.Sequence, 10))
	row("expires", when(d.ExpiresAt))
	row("dead", when(&d.DeadAt))
	row("deliveries", strconv.FormatUint(d.Deliveries, 10))
	row("trace", d.TraceParent)
	row("message", keptText(d))
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

// keptText says whether the dead letter keeps its message: only then it can be replayed.
func keptText(d messages.DeadLetter) string {
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
