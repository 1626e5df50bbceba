package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/bench"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/telemetry"
	"github.com/codeferry/codeferry/messages"
)

type benchCmd struct {
	Channel     string        `help:"email or sms." enum:"email,sms" default:"sms"`
	Messages    int           `short:"n" help:"How many messages." default:"20000"`
	Concurrency int           `help:"The worker's slots." default:"64"`
	Latency     time.Duration `help:"How long the provider takes to answer." default:"0s"`
	FaultRate   float64       `help:"The share of requests that the provider answers with 503: 0 or more, and below 1." default:"0"`
	Rate        int           `help:"Publish this many messages a second to a running worker. 0: publish all of them, then start the worker." default:"0"`
	Claims      string        `help:"The worker's claims: auto, on or off." enum:"auto,on,off" default:"auto"`
	Sealed      bool          `help:"Publish sealed messages."`
	Seed        uint64        `help:"The seed of the choice which requests fail." default:"1"`
	NATS        string        `name:"nats" short:"s" help:"Use this NATS server; separate several by commas. It must not have codeferry's streams. Default: the server of --context, or an embedded server that syncs each write." placeholder:"URL"`
	Replicas    int           `help:"The streams' replicas." default:"1"`
	natsFlags
	JSON bool `name:"json" help:"Print JSON."`
}

// Help shows how the command is used.
func (benchCmd) Help() string {
	return `Examples:
  codeferry bench
  codeferry bench --latency 50ms --concurrency 256
  codeferry bench --rate 200 -n 2000 --latency 50ms
  codeferry bench --nats nats://127.0.0.1:14222 --claims off --json
  codeferry bench --context staging

The worker and NATS are real; the provider is a fake in this process. A message
counts when the stream has removed it after the worker's ack. The command
deletes its streams at the end.

Only --nats and --context name a server: NATS_URL and the selected context of the
nats command line do not. The login can be in the variables of the nats command
line (NATS_USER and NATS_PASSWORD, NATS_CREDS and others).

The OTEL_ variables switch traces on, as for run.`
}

// AfterApply warns if the command line has a secret. The parser calls it.
func (c *benchCmd) AfterApply(s streams) error {
	return warnOfPassword(s, c.NATS)
}

// target returns the server; its URL is empty if that is the embedded one. The variables
// and the selected context of the nats command line name no server here: bench makes and
// deletes streams.
func (c *benchCmd) target(e userEnvironment) (broker.Target, error) {
	if c.NATS == "" && c.Context == "" {
		if c.natsFlags != (natsFlags{}) {
			return broker.Target{}, &exitError{exitUsage, errNoServer}
		}
		return broker.Target{Name: "codeferry bench"}, nil
	}
	t, err := c.natsFlags.target(c.NATS, nil, e)
	t.Name = "codeferry bench"
	return t, err
}

// Run measures, and prints the report.
func (c *benchCmd) Run(ctx context.Context, s streams) error {
	switch {
	case c.Messages < 1 || c.Concurrency < 1 || c.Rate < 0 || c.Replicas < 1:
		return &exitError{exitUsage, errors.New("--messages, --concurrency and --replicas are 1 or more, and --rate is 0 or more")}
	case c.FaultRate < 0 || c.FaultRate >= 1:
		return &exitError{exitUsage, fmt.Errorf("--fault-rate is %v; it is 0 or more, and below 1", c.FaultRate)}
	case c.Latency < 0:
		return &exitError{exitUsage, fmt.Errorf("--latency is %v; it is 0s or more", c.Latency)}
	}
	target, err := c.target(newUserEnvironment())
	if err != nil {
		return err
	}
	traces, err := telemetry.Start(ctx, telemetry.Options{Version: version(), Log: zerolog.New(s.err)})
	if err != nil {
		return err
	}
	defer traces.Stop()
	tuneGC()
	bar := newProgress(s)
	report, err := bench.Run(ctx, bench.Options{
		NATS: target, Replicas: c.Replicas, Channel: messages.Channel(c.Channel), Messages: c.Messages, Concurrency: c.Concurrency,
		Claims: config.Claims(c.Claims), Rate: c.Rate, Latency: c.Latency, Faults: c.FaultRate, Seed: c.Seed, Sealed: c.Sealed, Tracer: traces.Tracer(), Progress: bar.at,
	})
	bar.end()
	if err != nil {
		return explain(ctx, err)
	}
	if c.JSON {
		return newJSON(s.out).Encode(report)
	}
	_, err = fmt.Fprint(s.out, report)
	return err
}
