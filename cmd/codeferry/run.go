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
	configFlags
	Listen     string `help:"Address of metrics and health, in place of the configuration's." placeholder:"ADDR"`
	NATSListen string `name:"nats-listen" help:"Address of the embedded NATS, in place of the configuration's." placeholder:"ADDR"`
	logFlags
}

// Help shows how the command is used.
func (runCmd) Help() string {
	return `Examples:
  codeferry run -c codeferry.yaml
  curl http://127.0.0.1:8080/readyz

It serves /metrics, /livez, /readyz and /healthz. If listen is not on loopback, run needs
http.token or client certificates to protect /metrics, and does not start without.

On SIGHUP, or when the configuration or a file that it names changes, run reads the
configuration again. If it has a mistake, the old one stays. Some settings need a
restart: the log and /readyz name them, and all others apply at once.

The first SIGTERM or Ctrl-C stops run within worker.grace (25s): it finishes what
it has begun, and puts the other messages back. The second ends it at once: what is in flight is in
doubt, and comes again after 30 s.`
}

// Run runs the worker until ctx ends.
func (c *runCmd) Run(ctx context.Context, s streams) error {
	file, err := c.file()
	if err != nil {
		return err
	}
	log, flush := c.logger(s.err)
	defer flush()
	tuneGC()
	source := config.NewSource(file, config.Env{})
	load := func() (*config.Config, error) { return c.load(source, log) }
	cfg, err := load()
	if err != nil {
		return err
	}
	unit := systemd{log}
	defer unit.watchdog(context.WithoutCancel(ctx))()
	defer context.AfterFunc(ctx, unit.stopping)()
	hangup := make(chan os.Signal, 1)
	signal.Notify(hangup, syscall.SIGHUP)
	defer signal.Stop(hangup)
	err = service.Run(ctx, service.Options{
		Config: cfg, Log: log, Build: service.Build{Version: version(), Revision: sources()},
		// A unit that waited for NATS would time out.
		Listening: func(string) { unit.ready("waiting for NATS") },
		Started: func(a service.Addresses) {
			e := log.Info().Str("config", file).Str("nats", broker.Redacted(a.NATS))
			if cfg.NATS.URL == "" {
				e = e.Str("dataDir", cfg.DataDir)
			}
			e.Str("listen", a.HTTP).Str("version", version()).Msg("codeferry runs")
			unit.status("running")
		},
		Reload: &service.Reload{Load: load, Changed: source.Changed, Hangup: hangup},
	})
	if err == nil {
		log.Info().Msg("codeferry has stopped")
	}
	return err
}

// load reads the configuration, logs its warnings, and applies the flags.
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

// tuneGC makes the garbage collector run half as often as by default, unless GOGC is
// set: a worker's heap is small and short-lived, and the collector would take a seventh
// of its time.
func tuneGC() {
	const percent = 200
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(percent)
	}
}
