package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/bench"
	"github.com/codeferry/codeferry/messages"
)

type benchCmd struct {
	Channel     string        `help:"email or sms." enum:"email,sms" default:"sms"`
	Messages    int           `short:"n" help:"How many messages." default:"20000"`
	Concurrency int           `help:"The worker's slots." default:"64"`
	Latency     time.Duration `help:"How long the provider takes to answer." default:"0s"`
	FaultRate   float64       `help:"The share of requests that the provider answers by 503, from 0 to below 1." default:"0"`
	Rate        int           `help:"Publish so many a second to a running worker. 0: the worker starts before a backlog." default:"0"`
	Claims      string        `help:"The worker's claims: auto, on or off." enum:"auto,on,off" default:"auto"`
	Sealed      bool          `help:"Publish sealed messages."`
	Seed        uint64        `help:"Decides which requests fail." default:"1"`
	NATS        string        `name:"nats" help:"Use this NATS, which must have none of codeferry's streams. Default: an embedded one, which syncs each write." placeholder:"URL"`
	Replicas    int           `help:"The streams' replicas." default:"1"`
	JSON        bool          `name:"json" help:"Print JSON."`
}

// Help shows how the command is used.
func (benchCmd) Help() string {
	return `Examples:
  codeferry bench
  codeferry bench --latency 50ms --concurrency 256
  codeferry bench --rate 200 -n 2000 --latency 50ms
  codeferry bench --nats nats://127.0.0.1:14222 --claims off --json

The worker and NATS are real; the provider answers in this process. A message
counts when the stream has taken it out after the worker's acknowledgement.
The streams that it makes are deleted at the end.`
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
	frugal()
	bar := newProgress(s)
	report, err := bench.Run(ctx, bench.Options{
		NATS: c.NATS, Replicas: c.Replicas, Channel: messages.Channel(c.Channel), Messages: c.Messages, Concurrency: c.Concurrency,
		Claims: config.Claims(c.Claims), Rate: c.Rate, Latency: c.Latency, Faults: c.FaultRate, Seed: c.Seed, Sealed: c.Sealed, Progress: bar.at,
	})
	bar.end()
	if err != nil {
		return explain(ctx, err)
	}
	if c.JSON {
		return json.NewEncoder(s.out).Encode(report)
	}
	_, err = fmt.Fprint(s.out, report)
	return err
}
