package main

import (
	"context"
	"fmt"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
)

type provisionCmd struct {
	serverFlags
}

// Help shows how the command is used.
func (provisionCmd) Help() string {
	return `Examples:
  codeferry provision -c codeferry.yaml
  codeferry provision --nats nats://nats.example.com:4222 --creds deploy.creds

It may be run again at any time: what is there is brought to what the
configuration says, and no message is touched. A worker makes what is missing by
itself; this command is for a deploy-time credential that may, where the
workers' may not.`
}

// Run creates or updates everything.
func (c *provisionCmd) Run(ctx context.Context, s streams) error {
	_, o, err := c.target()
	if err != nil {
		return err
	}
	ctx, nc, js, err := c.connect(ctx)
	if err != nil {
		return err
	}
	defer nc.Close()
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	if err := broker.Provision(ctx, js, o); err != nil {
		return explain(ctx, err)
	}
	for _, cfg := range messages.Streams(o) {
		_, _ = fmt.Fprintf(s.out, "stream    %-20s %v\n", cfg.Name, cfg.Subjects)
	}
	_, _ = fmt.Fprintf(s.out, "bucket    %s\n", messages.LedgerName)
	for _, ch := range messages.Channels() {
		cfg := messages.Consumer(ch, o)
		_, _ = fmt.Fprintf(s.out, "consumer  %-20s %s\n", cfg.Durable, cfg.FilterSubject)
	}
	return nil
}
