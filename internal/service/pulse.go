package service

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/internal/broker"
)

// Names of conditions.
const (
	conditionNATS        = "nats"
	conditionPermissions = "permissions"
	conditionReload      = "reload"
	conditionRestart     = "restart"
	conditionStopping    = "stopping"
)

const (
	// pulseEvery is the interval between checks of the connection to NATS, and pulsePatience the
	// time for an answer. It is shorter than the time after which the client leaves a silent
	// server (messages.Connect), so /readyz shows it first.
	pulseEvery    = 2 * time.Second
	pulsePatience = 4 * time.Second
)

// errClosed: the client has closed the connection for good, as it does after an unknown error
// of the server.
var errClosed = errors.New("the connection to NATS was closed for good; start codeferry again")

// pulse reports the state of the connection to NATS to /readyz. A connection that is open but
// silent counts as lost.
type pulse struct {
	nc *nats.Conn
	// target is what nc connects to.
	target      broker.Target
	conditions  *Conditions
	permissions *permissions
	// connected is codeferry_nats_connected.
	connected prometheus.Gauge
	log       zerolog.Logger
	// refusal returns why a server refuses the connection; nil if none does, or if nobody
	// knows.
	refusal func() error
	// refused says that this reason is reported. Only one goroutine uses it.
	refused bool
	// away says that there is no connection. To ask the client itself could block while it
	// dials.
	away atomic.Bool
}

// run checks the connection until ctx ends; then it returns nil. Its only error is errClosed.
func (p *pulse) run(ctx context.Context) error {
	changed := p.nc.StatusChanged(nats.CONNECTED, nats.RECONNECTING, nats.DISCONNECTED, nats.CLOSED)
	defer p.nc.RemoveStatusListener(changed)
	tick := time.NewTicker(pulseEvery)
	defer tick.Stop()
	for {
		if p.nc.IsClosed() {
			return p.closed()
		}
		select {
		case <-ctx.Done():
			return nil
		case status := <-changed:
			switch status {
			case nats.CONNECTED:
				p.here()
			case nats.CLOSED:
				return p.closed()
			default:
				p.gone(nil)
			}
		case now := <-tick.C:
			p.permissions.look(now)
			p.look(ctx)
		}
	}
}

func (p *pulse) here() {
	lasted, held := p.conditions.Clear(conditionNATS)
	if held && !p.away.Load() { // otherwise the connection logs that it is back
		p.log.Info().Stringer("lasted", lasted.Round(time.Millisecond)).Msg("NATS answers again")
	}
	p.away.Store(false)
	p.connected.Set(1)
}

// gone reports that there is no connection. Without a reason it keeps what was reported since
// the connection was lost: the client changes its status at each try, before it knows the
// reason. A refusal by any server counts more than another server that is down: a person has to
// act on it.
func (p *pulse) gone(why error) {
	refused := false
	if p.refusal != nil {
		if err := p.refusal(); err != nil {
			why, refused = err, true
		}
	}
	if why == nil && p.away.Load() && !p.refused {
		return
	}
	p.refused = refused
	words := "not connected; the servers of nats.url are tried again and again"
	switch d, ok := p.target.Diagnose(why); {
	case ok:
		words = fmt.Sprintf("the server %s (%v); %s", d.What, why, d.Remedy)
	case why != nil:
		words += fmt.Sprintf(" (%v)", why)
	}
	p.conditions.Block(conditionNATS, words)
	p.away.Store(true)
	p.connected.Set(0)
}

func (p *pulse) closed() error {
	p.gone(p.nc.LastError())
	return fmt.Errorf("%w (%w)", errClosed, p.nc.LastError())
}

// look asks the server for an answer.
func (p *pulse) look(ctx context.Context) {
	if !p.nc.IsConnected() {
		p.gone(p.nc.LastError())
		return
	}
	wait, cancel := context.WithTimeout(ctx, pulsePatience)
	defer cancel()
	switch err := p.nc.FlushWithContext(wait); {
	case err == nil:
		p.here()
	case ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded):
		server := p.nc.ConnectedAddr()
		if p.conditions.Block(conditionNATS, fmt.Sprintf("the server %s does not answer; if it stays silent, the connection goes to another server of nats.url", server)) {
			p.log.Warn().Str("server", server).Msg("NATS does not answer; if it stays silent, the connection goes to another server of nats.url")
		}
	}
	// Any other error comes with a new status.
}
