package main

import (
	"context"
	"fmt"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/messages"
)

type statusCmd struct {
	ID   string `arg:"" help:"The message's id, as send or the publisher gave it."`
	JSON bool   `name:"json" help:"Print one JSON object a line."`
	serverFlags
}

// Help shows how the command is used.
func (statusCmd) Help() string {
	return `Examples:
  codeferry status 01JDCT5Z6Q0000000000000000
  codeferry status --json 01JDCT5Z6Q0000000000000000

It prints each step of the message's way that is still kept (72 hours), its
replays included, and fails where there is none.`
}

// Run prints a message's story.
func (c *statusCmd) Run(ctx context.Context, s streams) error {
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	found := false
	err = archive.Outcomes(ctx, js, c.ID, func(o messages.Outcome) error {
		found = true
		if !c.JSON {
			if _, err := fmt.Fprint(s.out, o.At.Local().Format(localTime), " "); err != nil {
				return err
			}
		}
		return printOutcome(s, o, c.JSON)
	})
	if err != nil {
		return explain(ctx, err)
	}
	if !found {
		return fmt.Errorf("nothing is known of %s: it may still wait for its first attempt, or it is older than 72 hours, or another server has it", c.ID)
	}
	return nil
}
