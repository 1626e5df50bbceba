package service

import (
	"context"
	"testing"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/worker"
)

// TestStoppingDuringAReload: the service is told to stop while it takes a new configuration.
// What it logs then must not race with that; the race detector sees it.
func TestStoppingDuringAReload(t *testing.T) {
	t.Parallel()
	r := testrig.New(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	c := config.Default()
	c.NATS.URL = r.Server.URL()
	s := &running{
		config: c, log: zerolog.Nop(), target: broker.TargetOf(c.NATS, connectionName), nc: r.NC, metrics: worker.NewMetrics(nil),
		web: &web{conditions: NewConditions(nil)}, permissions: new(permissions), connected: natsConnected(nil),
	}
	s.web.admit(c.HTTP)
	s.permissions.conditions = s.web.conditions
	s.reload = &Reload{
		Every:   1,
		Changed: func() bool { return true },
		Load: func() (*config.Config, error) {
			stop()
			next := *c
			return &next, nil
		},
	}
	w, err := s.newWorker(c)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.watched(ctx, w); err != nil {
		t.Error(err)
	}
	if blocking, _ := s.web.conditions.texts(); len(blocking) != 1 {
		t.Errorf("while it stops, /readyz says %v", blocking)
	}
}
