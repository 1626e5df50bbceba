package service

import (
	"context"
	"errors"
	"os"
	"reflect"
	"strings"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/worker"
)

// Reload says where a new configuration comes from while the service runs.
type Reload struct {
	// Load reads it. Its error says what is wrong: then the old one stays.
	Load func() (*config.Config, error)
	// Changed tells whether it may read differently from the last time.
	Changed func() bool
	// Hangup asks for it at once: SIGHUP.
	Hangup <-chan os.Signal
	// Every is how often is looked whether it has changed. Default: 2s.
	Every time.Duration
}

// lookEvery is how often is looked for a new configuration.
const lookEvery = 2 * time.Second

// serve runs a worker until ctx ends, and another in its place when there is a new
// configuration. The new one begins before the old one is told to finish.
func (s *running) serve(ctx context.Context, w *worker.Worker) error {
	present := s.begin(ctx, w)
	for {
		next, err := s.next(ctx, present.ended)
		if next == nil {
			present.stop()
			return err
		}
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
		s.log.Info().Msg("the new configuration is taken")
	}
}

// shift is a worker at work.
type shift struct {
	stop  context.CancelFunc
	ended chan error
}

func (s *running) begin(ctx context.Context, w *worker.Worker) shift {
	ctx, stop := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- work(ctx, w, s.log) }()
	s.web.ready.Store(w)
	return shift{stop, ended}
}

// next waits for the worker's end, and returns what it ended with, or for a
// configuration that can take the place of the present one, and returns a worker
// for it.
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
		if err == nil {
			return w, nil
		}
		s.log.Error().Err(err).Msg("the new configuration is not taken; the old one stays")
	}
}

// take reads a new configuration and makes a worker for it: all of it is taken, or
// none.
func (s *running) take() (*worker.Worker, error) {
	c, err := s.reload.Load()
	if err != nil {
		return nil, err
	}
	if err := replaces(s.config, c); err != nil {
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
	s.before, s.config = s.config, c
	return w, nil
}

// replaces tells why a configuration can't take another's place without a restart.
func replaces(old, c *config.Config) error {
	var fixed []string
	for _, f := range []struct {
		name     string
		old, new any
	}{
		{"nats", old.NATS, c.NATS},
		{"dataDir", old.DataDir, c.DataDir},
		{"encryptionKey", old.EncryptionKey, c.EncryptionKey},
		{"listen", old.Listen, c.Listen},
		{"http", old.HTTP, c.HTTP},
	} {
		if !reflect.DeepEqual(f.old, f.new) {
			fixed = append(fixed, f.name)
		}
	}
	if len(fixed) > 0 {
		return errors.New(strings.Join(fixed, ", ") + " can't change while codeferry runs; start it again")
	}
	return nil
}
