package worker

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v4"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
)

// keepPulling pulls messages until ctx ends, even if the connection to NATS, a leader, the
// consumer or the stream is lost. It waits while every connector's breaker is open.
func (p *pool) keepPulling(ctx context.Context) {
	pauses := backoff.NewExponentialBackOff(backoff.WithInitialInterval(leastPause),
		backoff.WithMaxInterval(5*time.Second), backoff.WithMaxElapsedTime(0))
	for ctx.Err() == nil {
		if p.allOpen() {
			p.waitForConnector(ctx)
			continue
		}
		if err := p.holds(); err != nil {
			p.waitFor(err)
			p.waitForKeeper(ctx)
			continue
		}
		p.opened = time.Time{}
		err := p.pull(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case errors.Is(err, errAllOpen), errors.Is(err, errHeld), errors.Is(err, jetpull.ErrStalled):
			continue
		}
		p.broken = true
		if errors.Is(err, jetpull.ErrRenew) {
			continue
		}
		err = wire.Unsent(err)
		p.waitFor(err)
		if wire.IsUnsent(err) { // it is logged that NATS is away
			p.waitForConnection(ctx)
			continue
		}
		if !p.opened.IsZero() && time.Since(p.opened) > 10*time.Second {
			pauses.Reset()
			p.troubles.forget()
		}
		p.troubles.add(p.log, err)
		sleep(ctx, max(leastPause, pauses.NextBackOff()))
	}
}

// waitForConnection waits until there is a connection to NATS, so that pulling begins again as
// soon as there is one.
func (p *pool) waitForConnection(ctx context.Context) {
	for sleep(ctx, leastPause); ctx.Err() == nil && !p.conn.IsConnected(); {
		sleep(ctx, leastPause)
	}
}

// pullTroubles logs why pulling has stopped: each error at once, and then once in logEvery
// while it lasts. Only the pulling goroutine uses it. The zero value is ready.
type pullTroubles struct {
	// began is when pulling stopped; zero while it works.
	began  time.Time
	logged map[string]time.Time
}

// maxLogged is the most errors that are remembered as logged.
const maxLogged = 20

func (t *pullTroubles) add(log zerolog.Logger, err error) {
	now := time.Now()
	if t.began.IsZero() {
		t.began = now
	}
	if last, before := t.logged[err.Error()]; before && now.Sub(last) < logEvery {
		return
	}
	if t.logged == nil || len(t.logged) > maxLogged {
		t.logged = make(map[string]time.Time)
	}
	t.logged[err.Error()] = now
	log.Warn().Err(err).Msg("pulling stopped; it is retried until it works")
}

// forget makes add log each error at once again.
func (t *pullTroubles) forget() { clear(t.logged) }

// ended logs that pulling works again, and after how long, if it had stopped.
func (t *pullTroubles) ended(log zerolog.Logger) {
	if t.began.IsZero() {
		return
	}
	log.Info().Stringer("lasted", time.Since(t.began).Round(time.Millisecond)).Msg("pulling works again")
	t.began = time.Time{}
	t.forget()
}

// waitForKeeper waits until something has changed, but for a second at most.
func (p *pool) waitForKeeper(ctx context.Context) {
	timer := time.NewTimer(time.Second)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.wake:
	case <-timer.C:
	}
}

// leastPause is the shortest time between the end of a consumer and the first message of
// the next one. It is longer than a Puller goes without asking about the consumer, so no
// worker mistakes one consumer for the other.
const leastPause = 200 * time.Millisecond

// waitForConnector pauses until a connector may be tried.
func (p *pool) waitForConnector(ctx context.Context) {
	wait := time.Minute
	for _, c := range p.routed {
		in, _ := c.breaker.mayAny(false)
		wait = min(wait, in)
	}
	timer := time.NewTimer(max(wait, time.Millisecond))
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-p.wake:
	case <-timer.C:
	}
}

// allOpen reports whether the breaker of every connector of the channel is open.
func (p *pool) allOpen() bool {
	for _, c := range p.routed {
		if !c.breaker.open() {
			return false
		}
	}
	return len(p.routed) > 0
}

// halfOpen reports whether no connector of the channel has a closed breaker. Then a
// message is wanted only if it may try one of them.
func (p *pool) halfOpen() bool {
	for _, c := range p.routed {
		if c.breaker.closed() {
			return false
		}
	}
	return len(p.routed) > 0
}
