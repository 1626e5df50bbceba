package main

import (
	"context"
	"fmt"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

type provisionCmd struct {
	serverFlags
}

// Help shows how the command is used.
func (provisionCmd) Help() string {
	return `Examples:
  codeferry provision -c codeferry.yaml
  codeferry provision --nats nats://127.0.0.1:4222
  codeferry provision --nats nats://127.0.0.1:4222 --creds deploy.creds
  codeferry provision --context production

You can run it again at any time: it updates the streams and consumers to match
the configuration, and keeps all messages. A worker creates missing ones by
itself. This command is for deployments whose workers do not have the permission:
run it with a credential that has.` + serverHelp
}

// Run creates or updates everything.
func (c *provisionCmd) Run(ctx context.Context, s streams) error {
	return c.withServerBriefly(ctx, func(ctx context.Context, server natsServer) error {
		o := server.streams
		if err := broker.Provision(ctx, server.js, o); err != nil {
			return err
		}
		for _, cfg := range wire.StreamConfigs(o) {
			if cfg.Name == wire.LedgerStream {
				_, _ = fmt.Fprintf(s.out, "bucket    %s\n", wire.LedgerName)
				continue
			}
			_, _ = fmt.Fprintf(s.out, "stream    %-20s %v\n", cfg.Name, cfg.Subjects)
		}
		for _, ch := range messages.Channels() {
			cfg := wire.ConsumerConfig(ch, o)
			_, _ = fmt.Fprintf(s.out, "consumer  %-20s %s\n", cfg.Durable, cfg.FilterSubject)
		}
		return nil
	})
}
