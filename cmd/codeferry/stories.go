package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/worker/waiting"
)

// statusWaiting marks what stands for a message that waits, among the outcomes.
const statusWaiting messages.Status = "waiting"

// storiesOf separates outcomes and the messages that wait by message. A message that waits
// is in its story as an outcome of statusWaiting, the last one; waits has it by its
// sequence.
func storiesOf(outcomes []messages.Outcome, rows []waiting.Message) (stories []archive.Story, waits map[uint64]waiting.Message) {
	waits = make(map[uint64]waiting.Message, len(rows))
	all := slices.Clone(outcomes)
	for _, m := range rows {
		waits[m.Sequence] = m
		o := messages.Outcome{ID: m.ID, Epoch: m.Epoch, App: m.App, Channel: m.Channel, Type: m.Type, Key: m.Key}
		// The outcomes of the same stored message know its subject at least as well.
		if i := slices.IndexFunc(outcomes, func(o messages.Outcome) bool {
			return o.Sequence == m.Sequence && o.StoredAt.Equal(m.StoredAt)
		}); i >= 0 {
			of := outcomes[i]
			o.App, o.Channel, o.Type, o.Key = of.App, of.Channel, of.Type, of.Key
		}
		o.Status, o.Sequence, o.StoredAt = statusWaiting, m.Sequence, m.StoredAt
		all = append(all, o)
	}
	return archive.Stories(all), waits
}

// printStories prints the outcomes of each message, and that it waits. If there are several
// messages, each has a heading.
func printStories(s streams, stories []archive.Story, waits map[uint64]waiting.Message) error {
	indent := ""
	for i, story := range stories {
		if len(stories) > 1 {
			indent = "  "
			if i > 0 {
				_, _ = fmt.Fprintln(s.out)
			}
			if _, err := fmt.Fprintln(s.out, storyHeading(story)); err != nil {
				return err
			}
		}
		if err := printStory(s, indent, story, waits); err != nil {
			return err
		}
	}
	return nil
}

// printStory prints the outcomes of one message, and that it waits.
func printStory(s streams, indent string, story archive.Story, waits map[uint64]waiting.Message) error {
	for _, o := range story.Outcomes {
		if m, ok := waits[o.Sequence]; ok && o.Status == statusWaiting {
			if _, err := fmt.Fprintln(s.out, indent+waitingLine(s, m)); err != nil {
				return err
			}
			continue
		}
		if _, err := fmt.Fprint(s.out, indent, o.At.Local().Format(localTime), " "); err != nil {
			return err
		}
		if err := printOutcome(s, o, false); err != nil {
			return err
		}
	}
	return nil
}

// storyHeading identifies a message among several with the same id.
func storyHeading(story archive.Story) string {
	var b strings.Builder
	o := shown(story.Outcomes[0])
	fmt.Fprintf(&b, "app %s, channel %s, type %s", o.App, o.Channel, orDash(string(o.Type)))
	if o.Key != "" {
		fmt.Fprintf(&b, ", key %s", o.Key)
	}
	for i, l := range story.Lives {
		word := "stored"
		if i > 0 {
			word = "replayed"
		}
		fmt.Fprintf(&b, ", %s %s", word, l.At.Local().Format(localTime))
		if l.Sequence > 0 {
			fmt.Fprintf(&b, " as message %d", l.Sequence)
		}
	}
	return b.String()
}
