package service

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/worker"
)

// Reload is the source of new configurations while the service runs.
type Reload struct {
	// Load reads the configuration. If it fails, the old one stays.
	Load func() (*config.Config, error)
	// Changed reports whether it may have changed since the last Load.
	Changed func() bool
	// Hangup requests a reload at once: SIGHUP.
	Hangup <-chan os.Signal
	// Every is how often the configuration is checked for changes. Default: 2s.
	Every time.Duration
}

// lookEvery is the default interval between checks for a new configuration.
const lookEvery = 2 * time.Second

// serve runs a worker until ctx ends. When there is a new configuration, a new worker replaces
// it: the new one begins before the old one has to finish.
func (s *running) serve(ctx context.Context, w *worker.Worker) error {
	present := s.begin(ctx, w)
	for {
		next, err := s.next(ctx, present.ended)
		if next == nil {
			present.stop()
			return err
		}
		open := startClosed(s.current.Load().worker.NotClosed(), s.config.Connectors)
		former := present
		present = s.begin(ctx, next)
		former.stop()
		if err := <-former.ended; err != nil {
			s.log.Error().Err(err).Msg("the worker of the old configuration has failed")
		}
		for name := range s.before.Connectors {
			if _, still := s.config.Connectors[name]; !still {
				s.metrics.Forget(name)
			}
		}
		s.log.Info().Msg("the new configuration is taken" + open)
	}
}

// startClosed says which circuit breakers a new worker closes, because it does not know them:
// no line says later that they have closed. It is "" if there are none. notClosed is what the
// old worker's NotClosed returns.
func startClosed(notClosed map[string][]string, connectors map[string]config.Connector) string {
	var names []string
	for connector, of := range notClosed {
		if _, still := connectors[connector]; !still {
			continue
		}
		for _, template := range of {
			if template == "" {
				names = append(names, connector)
			} else {
				names = append(names, connector+" (template "+template+")")
			}
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return "; circuit breakers that were open start closed: " + strings.Join(names, ", ")
}

// shift is a running worker.
type shift struct {
	stop  context.CancelFunc
	ended chan error
}

func (s *running) begin(ctx context.Context, w *worker.Worker) shift {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- work(ctx, w, s.log) }()
	s.current.Store(&current{w, s.config.Worker.Grace})
	s.web.setWorker(workerState{ready: func() error {
		if s.pulse.away.Load() {
			return nil // the condition reports it; the client itself would answer only after its dial
		}
		return w.Ready()
	}, blocked: w.Blocked, outcomesLost: w.OutcomesLost})
	return shift{stop, ended}
}

// next waits until the worker ends, and returns its error, or until there is a valid new
// configuration, and returns a worker for it.
func (s *running) next(ctx context.Context, ended <-chan error) (*worker.Worker, error) {
	if s.reload == nil {
		return nil, <-ended
	}
	every := s.reload.Every
	if every <= 0 {
		every = lookEvery
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case err := <-ended:
			return nil, err
		case <-ctx.Done():
			return nil, <-ended
		case <-s.reload.Hangup:
		case <-tick.C:
			if !s.reload.Changed() {
				continue
			}
		}
		w, err := s.take()
		s.taken(err)
		if err == nil {
			return w, nil
		}
	}
}

// taken reports whether a new configuration was accepted.
func (s *running) taken(err error) {
	if err == nil {
		s.web.conditions.Clear(conditionReload)
		return
	}
	s.web.conditions.Note(conditionReload, "the new configuration is not taken, and the log says why; the old one stays")
	s.log.Error().Err(err).Msg("the new configuration is not taken; the old one stays")
}

// take reads a new configuration and makes a worker for it. It takes everything except the
// settings that need a restart, or nothing at all.
func (s *running) take() (*worker.Worker, error) {
	loaded, err := s.reload.Load()
	if err != nil {
		return nil, err
	}
	c, restart := adopt(s.config, loaded)
	if err := exposed(c); err != nil {
		return nil, err
	}
	if s.embedded {
		if c, err = withOwnKey(c); err != nil {
			return nil, err
		}
	}
	w, err := s.newWorker(c)
	if err != nil {
		return nil, err
	}
	if err := s.renew(c); err != nil {
		return nil, err
	}
	s.web.admit(c.HTTP)
	s.needsRestart(restart)
	if text := SealingWarning(c); text != "" && SealingWarning(s.config) == "" {
		s.log.Warn().Msg(text)
	}
	s.before, s.config = s.config, c
	return w, nil
}

// renew gives the connection another user, password or token.
func (s *running) renew(c *config.Config) error {
	before, now := broker.TargetOf(s.config.NATS, connectionName), broker.TargetOf(c.NATS, connectionName)
	if now.SameLogin(before) {
		return nil
	}
	if err := broker.Renew(s.nc, now); err != nil {
		return err
	}
	what := "the credentials of nats.url"
	if now.URL == before.URL {
		what = "nats.user, nats.password or nats.token"
	}
	s.log.Info().Msg(what + " have changed; the next connection uses them")
	return nil
}

// reread takes a new configuration before there is a connection; then nats can change, too.
func (s *running) reread() {
	if s.reload == nil || s.embedded || !s.reload.Changed() {
		return
	}
	loaded, err := s.reload.Load()
	if err != nil {
		s.taken(err)
		return
	}
	c, restart := adopt(s.config, loaded)
	if loaded.NATS.URL != "" {
		c.NATS = loaded.NATS
		restart = slices.DeleteFunc(restart, func(name string) bool { return strings.HasPrefix(name, "nats.") })
	}
	if err := exposed(c); err != nil {
		s.taken(err)
		return
	}
	s.taken(nil)
	s.web.admit(c.HTTP)
	s.needsRestart(restart)
	s.config, s.target = c, broker.TargetOf(c.NATS, connectionName)
}

// needsRestart logs once, and shows in /readyz, the changed settings that need a restart.
func (s *running) needsRestart(settings []string) {
	if len(settings) == 0 {
		s.web.conditions.Clear(conditionRestart)
		return
	}
	names := strings.Join(settings, ", ")
	if s.web.conditions.Note(conditionRestart, names+" changed, which takes a restart; until then what was there before holds") {
		s.log.Warn().Str("settings", names).Msg("some changed settings need a restart; until then their old values stay, and all other changes are in effect")
	}
}

// adopt returns the configuration that a running service can change to: the next one, with the
// old values of the settings that need a restart. It names those of them that differ.
func adopt(old, next *config.Config) (c *config.Config, restart []string) {
	taken := *next
	c = &taken
	keep := func(name string, same bool, back func()) {
		if !same {
			restart = append(restart, name)
			back()
		}
	}
	keep("nats.url", (old.NATS.URL == "") == (c.NATS.URL == "") && broker.SameServers(old.NATS.URL, c.NATS.URL), func() { c.NATS.URL = old.NATS.URL })
	keep("nats.listen", old.NATS.Listen == c.NATS.Listen, func() { c.NATS.Listen = old.NATS.Listen })
	keep("nats.nkey", old.NATS.NKey == c.NATS.NKey, func() { c.NATS.NKey = old.NATS.NKey })
	keep("nats.tls", old.NATS.TLS == c.NATS.TLS, func() { c.NATS.TLS = old.NATS.TLS })
	keep("nats.creds", old.NATS.Creds == c.NATS.Creds, func() { c.NATS.Creds = old.NATS.Creds })
	keep("nats.inboxPrefix", old.NATS.InboxPrefix == c.NATS.InboxPrefix, func() { c.NATS.InboxPrefix = old.NATS.InboxPrefix })
	keep("nats.domain", old.NATS.Domain == c.NATS.Domain, func() { c.NATS.Domain = old.NATS.Domain })
	keep("nats.apiPrefix", old.NATS.APIPrefix == c.NATS.APIPrefix, func() { c.NATS.APIPrefix = old.NATS.APIPrefix })
	keep("dataDir", old.DataDir == c.DataDir, func() { c.DataDir = old.DataDir })
	keep("encryptionKey", old.EncryptionKey.Reveal() == c.EncryptionKey.Reveal(), func() { c.EncryptionKey = old.EncryptionKey })
	keep("listen", old.Listen == c.Listen, func() { c.Listen = old.Listen })
	keep("http.tls", old.HTTP.TLS == c.HTTP.TLS, func() { c.HTTP.TLS = old.HTTP.TLS })
	return c, restart
}
