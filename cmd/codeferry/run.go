package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/service"
)

type runCmd struct {
	Config     string `short:"c" required:"" help:"The configuration." placeholder:"FILE"`
	Listen     string `help:"Address of metrics and health, in place of the configuration's." placeholder:"ADDR"`
	NATSListen string `name:"nats-listen" help:"Address of the embedded NATS, in place of the configuration's." placeholder:"ADDR"`
	logFlags
}

// Help shows how the command is used.
func (runCmd) Help() string {
	return `Examples:
  codeferry run -c codeferry.yaml
  curl http://127.0.0.1:8080/readyz

It serves /metrics, /livez and /readyz; beyond this machine /metrics takes http.token
or a client certificate, and without one of them it does not start. On SIGHUP, or
when the configuration or a file that it names changes, the new one is taken: all of
it, or where anything in it is wrong none. The first SIGTERM or Ctrl-C stops it
within worker.grace (25s): what has begun is finished, the rest handed back. The
second ends it at once.`
}

// Run runs the worker until it is told to stop.
func (c *runCmd) Run(ctx context.Context, s streams) error {
	log, flush := c.logger(s.err)
	defer flush()
	frugal()
	source := config.NewSource(c.Config, config.Env{})
	load := func() (*config.Config, error) { return c.load(source, log) }
	cfg, err := load()
	if err != nil {
		return err
	}
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	err = service.Run(ctx, service.Options{
		Config: cfg, Log: log,
		Started: func(a service.Addresses) {
			log.Info().Str("nats", broker.Redacted(a.NATS)).Str("listen", a.HTTP).Str("version", version()).Msg("codeferry runs")
		},
		Reload: &service.Reload{Load: load, Changed: source.Changed, Hangup: hangup},
	})
	if err == nil {
		log.Info().Msg("codeferry has stopped")
	}
	return err
}

// load reads the configuration, logs what is hardly meant in it, and puts the
// flags in its place.
func (c *runCmd) load(source *config.Source, log zerolog.Logger) (*config.Config, error) {
	cfg, err := source.Load()
	if err != nil {
		return nil, err
	}
	for _, w := range cfg.Warnings {
		log.Warn().Str("at", fmt.Sprintf("%s:%d:%d", w.File, w.Line, w.Column)).Msg(w.Path + " " + w.Text)
	}
	if c.Listen != "" {
		cfg.Listen = c.Listen
	}
	if c.NATSListen != "" {
		cfg.NATS.Listen = c.NATSListen
	}
	return cfg, nil
}

// frugal has the garbage collector run half as often as it would by itself, unless
// GOGC says otherwise: a worker's heap is small and short-lived, and the collector
// would take a seventh of its time.
func frugal() {
	const percent = 200
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
