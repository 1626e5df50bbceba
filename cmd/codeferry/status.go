package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

type statusCmd struct {
	ID    string `arg:"" optional:"" help:"The id of one or several messages, from codeferry send or the publisher."`
	To    string `help:"Instead of an id: the messages to this address." placeholder:"ADDRESS"`
	Key   string `help:"Instead of an id: the messages with this key." placeholder:"KEY"`
	Since string `help:"Only messages published since this time: a time (RFC 3339), or a duration before now, such as 2h or 1d. Default: all." placeholder:"TIME"`
	JSON  bool   `name:"json" help:"Print one JSON object on each line."`
	serverFlags
}

// Help shows how the command is used.
func (statusCmd) Help() string {
	return `Examples:
  codeferry status 01JDCT5Z6Q0000000000000000
  codeferry status --json 01JDCT5Z6Q0000000000000000
  codeferry status --key user-1 --since 1d
  codeferry status --to +8613012345678

It prints each outcome of the message that the stream still keeps (72 hours),
including those of its replays, its dead letter (kept for 7 days), and the
message itself while it waits. Several messages can have the same id. Then it
prints a section for each, under a heading with the message's app, channel, type
and key, the time when it was stored, and its sequence in the stream. With
--json, storedAt and sequence distinguish them, and a message that waits has the
status waiting.

If it finds nothing, it fails. It says then that no such message was published,
or why that can't be known. Outcomes hold masked addresses, so --to also shows
the outcomes of other addresses with the same mask.` + serverHelp
}

// Run prints what became of the messages.
func (c *statusCmd) Run(ctx context.Context, s streams) error {
	q, err := c.query(time.Now())
	if err != nil {
		return err
	}
	opts, err := c.waitingOptions()
	if err != nil {
		return err
	}
	var nothing error // it says itself what the server does not permit
	err = c.withServer(ctx, func(ctx context.Context, server natsServer) error {
		f := finder{js: server.js, query: q, opts: opts, sealedTo: c.sealedTo}
		if err := f.find(ctx); err != nil {
			return err
		}
		if f.empty() {
			nothing = f.nothing(ctx)
			return nil
		}
		if f.blind != nil {
			_, _ = fmt.Fprintf(s.err, "It is not known which messages wait: %v\n", f.blind)
		}
		if text := f.closed.text("to this address, too"); text != "" {
			_, _ = fmt.Fprintln(s.err, text+".")
		}
		for i := range f.gone {
			_, _ = fmt.Fprintln(s.err, goneText(&f.gone[i]))
		}
		if q.to != "" && len(f.outcomes) > 0 {
			_, _ = fmt.Fprintln(s.err, "Outcomes hold masked addresses: other recipients can have the same mask.")
		}
		return c.print(s, f.outcomes, f.waiting, time.Now())
	})
	return cmp.Or(err, nothing)
}

// query says what is asked for, once it is known to be one thing.
func (c *statusCmd) query(now time.Time) (statusQuery, error) {
	q := statusQuery{id: c.ID, to: c.To, key: c.Key}
	given := 0
	for _, text := range []string{c.ID, c.To, c.Key} {
		if text != "" {
			given++
		}
	}
	if given != 1 {
		return q, &exitError{exitUsage, errors.New("give exactly one of: an id, --to, --key")}
	}
	if err := cmp.Or(checkTo(c.To), checkKey(c.Key)); err != nil {
		return q, err
	}
	var err error
	if q.since, err = parseTime(c.Since, now); err != nil {
		return q, &exitError{exitUsage, fmt.Errorf("--since: %w", err)}
	}
	if c.To != "" {
		q.toHashes, err = c.lookups(c.To)
	}
	return q, err
}

// checkTo says what is wrong with the address of --to, if there is one, and does not show it.
func checkTo(to string) error {
	return checkFlag("--to", to, messages.CheckAddress(channelOf(to), to))
}

// channelOf is the channel of an address.
func channelOf(to string) messages.Channel {
	if strings.Contains(to, "@") {
		return messages.Email
	}
	return messages.SMS
}

// checkKey says what is wrong with the key of --key, if there is one, and does not show it.
func checkKey(key string) error {
	return checkFlag("--key", key, messages.Subject{App: messages.DefaultApp, Channel: messages.SMS, Type: messages.Generic, Key: key}.Validate())
}

func checkFlag(name, value string, wrong error) error {
	if field, ok := errors.AsType[*messages.FieldError](wrong); ok && value != "" {
		return &exitError{exitUsage, fmt.Errorf("%s %s", name, field.Problem)}
	}
	return nil
}

// waits is a message that waits, as JSON beside the outcomes.
type waits struct {
	Status string `json:"status"`
	waiting.Message
}

func (c *statusCmd) print(s streams, outcomes []messages.Outcome, rows []waiting.Message, now time.Time) error {
	if c.JSON {
		for _, o := range outcomes {
			if err := printOutcome(s, o, true); err != nil {
				return err
			}
		}
		for _, m := range rows {
			if err := newJSON(s.out).Encode(waits{"waiting", m}); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range rows {
		rows[i].RetryAt = ahead(rows[i].RetryAt, now)
	}
	stories, bySequence := storiesOf(outcomes, rows)
	return printStories(s, stories, bySequence)
}

// waitingLine says what is known of a message that waits.
func waitingLine(s streams, m waiting.Message) string {
	m = shown(m)
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s %s %s", m.StoredAt.Local().Format(localTime), m.ID, s.paint(messages.StatusRetrying, "waiting"), m.Channel, orDash(string(m.Type)))
	switch {
	case m.Sealed:
		b.WriteString(", sealed")
	case m.To != "":
		fmt.Fprintf(&b, " to %s", m.To)
	}
	fmt.Fprintf(&b, ", app %s", m.App)
	if m.Key != "" {
		fmt.Fprintf(&b, ", key %s", m.Key)
	}
	if m.Epoch > 0 {
		fmt.Fprintf(&b, ", replay %d", m.Epoch)
	}
	if m.Attempts != nil {
		fmt.Fprintf(&b, ", %s", count(*m.Attempts, "attempt"))
	}
	if m.ExpiresAt != nil {
		fmt.Fprintf(&b, ", its code expires %s", m.ExpiresAt.Local().Format(localTime))
	}
	if m.RetryAt != nil {
		fmt.Fprintf(&b, ", again at %s", m.RetryAt.Local().Format(localTime))
	}
	fmt.Fprintf(&b, " (%s: %s)", m.Why, m.Detail)
	return b.String()
}
