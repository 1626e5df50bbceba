package worker

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// connector is a configured Sender, and what the stages know of its state.
type connector struct {
	name     string
	sender   sender.Sender
	onDoubt  config.OnDoubt
	askGrace time.Duration
	pace     *pace

	// account opens at once: the account is out, or the configuration wrong.
	// health opens by rate: the provider can't be reached, throttles, or leaves
	// what it was given in doubt.
	account, health *gobreaker.TwoStepCircuitBreaker[struct{}]
	// accountUntil and healthUntil are when an open one lets a request through
	// again (Unix, in nanoseconds).
	accountUntil, healthUntil atomic.Int64

	trial   trial
	share   *share
	metrics connectorMetrics
}

// How breakers open and close.
const (
	// healthWindow is how far back the rate is looked at; of at least healthLeast
	// requests in it half have to fail.
	healthWindow = 10 * time.Second
	healthLeast  = 20
)

func newConnector(name string, c config.Connector, s sender.Sender, w config.Worker, changed func(), log zerolog.Logger, open func(bool)) *connector {
	conn := &connector{name: name, sender: s, onDoubt: c.OnDoubt, askGrace: c.AskGrace, pace: newPace(c.RateLimit), share: newShare(w.Concurrency)}
	log = log.With().Str("connector", name).Logger()
	watch := func(pause time.Duration, until *atomic.Int64, why string) func(string, gobreaker.State, gobreaker.State) {
		return func(_ string, _, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				until.Store(time.Now().Add(pause).UnixNano())
				log.Warn().Stringer("for", pause).Str("why", why).Msg("connector closed off; one request will try it again")
				open(true)
			case gobreaker.StateClosed:
				log.Info().Msg("connector works again")
				open(false)
			case gobreaker.StateHalfOpen:
			}
			changed()
		}
	}
	conn.account = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      w.AccountPause,
		ReadyToTrip:  func(n gobreaker.Counts) bool { return n.TotalFailures > 0 },
		IsSuccessful: func(err error) bool { return !operatorsFault(err) },
		IsExcluded: func(err error) bool { // errNotMade among them
			return classOf(err) == sender.Unavailable || classOf(err) == sender.Unknown && err != nil
		},
		OnStateChange: watch(w.AccountPause, &conn.accountUntil, "its account or its configuration is at fault"),
	})
	conn.health = gobreaker.NewTwoStepCircuitBreaker[struct{}](gobreaker.Settings{
		Timeout:      w.HealthPause,
		Interval:     healthWindow,
		BucketPeriod: healthWindow / 10,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			return n.Requests >= healthLeast && 2*n.TotalFailures >= n.Requests
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNotMade) },
		IsSuccessful: func(err error) bool {
			class := classOf(err)
			return err == nil || class != sender.Unavailable && class != sender.Throttled && class != sender.Unknown
		},
		OnStateChange: watch(w.HealthPause, &conn.healthUntil, "too many requests failed"),
	})
	return conn
}

// errNotMade stands for a request that was admitted and not made after all: it
// says nothing of the connector.
var errNotMade = &sender.Error{Class: sender.Unavailable, Code: "not made"}

func classOf(err error) sender.Class {
	if err == nil {
		return sender.Unknown
	}
	var e *sender.Error
	if errors.As(err, &e) {
		return e.Class
	}
	return sender.Unknown
}

func operatorsFault(err error) bool {
	if err == nil {
		return false
	}
	c := classOf(err)
	return c == sender.Misconfigured || c == sender.AccountDown
}

// admit asks whether a request may be made now; it waits where the connector has
// still to show that it works. ok is false while it is open. done has to be
// called with what came of the request.
func (c *connector) admit(ctx context.Context) (done func(*sender.Error), ok bool) {
	if c.open() || !c.trial.begin(ctx) {
		return nil, false
	}
	account, err := c.account.Allow()
	if err != nil {
		c.trial.end(false)
		return nil, false
	}
	health, err := c.health.Allow()
	if err != nil {
		account(errNotMade)
		c.trial.end(false)
		return nil, false
	}
	return func(e *sender.Error) {
		var err error // a nil *sender.Error is not a nil error
		if e != nil {
			err = e
		}
		account(err)
		health(err)
		c.trial.end(err == nil)
		if operatorsFault(err) {
			c.trial.reset()
		}
		if e != errNotMade {
			c.pace.answered(e)
		}
	}, true
}

// open tells whether no request may be made.
func (c *connector) open() bool {
	return c.account.State() == gobreaker.StateOpen || c.health.State() == gobreaker.StateOpen
}

// closed tells whether requests may be made freely, as far as is known.
func (c *connector) closed() bool {
	return c.account.State() == gobreaker.StateClosed && c.health.State() == gobreaker.StateClosed
}

// reopens returns how long it takes until a request may be made again.
func (c *connector) reopens() time.Duration {
	var until int64
	if c.account.State() == gobreaker.StateOpen {
		until = c.accountUntil.Load()
	}
	if c.health.State() == gobreaker.StateOpen {
		until = max(until, c.healthUntil.Load())
	}
	if until == 0 {
		return 0
	}
	return max(0, time.Until(time.Unix(0, until)))
}

// spread lets what waits for the same moment come a little apart.
func spread(d time.Duration) time.Duration {
	return d + time.Duration(rand.Int64N(int64(d/4+100*time.Millisecond))) //nolint:gosec // no secret
}

// trial keeps the requests few until one has shown that the connector works: a
// worker that starts before a full stream finds an empty account by a handful of
// requests, not by one a slot.
type trial struct {
	passed atomic.Bool

	mu      sync.Mutex
	trying  int
	changed chan struct{}
}

// maxTrying is how many requests try a connector at once.
const maxTrying = 4

// begin waits for its turn; false where ctx ends first.
func (t *trial) begin(ctx context.Context) bool {
	for !t.passed.Load() {
		t.mu.Lock()
		if t.passed.Load() { // while this one waited for the lock
			t.mu.Unlock()
			return true
		}
		if t.trying < maxTrying {
			t.trying++
			t.mu.Unlock()
			return true
		}
		if t.changed == nil {
			t.changed = make(chan struct{})
		}
		changed := t.changed
		t.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// end tells what came of a request that began.
func (t *trial) end(passed bool) {
	if t.passed.Load() {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.trying = max(0, t.trying-1)
	if passed {
		t.passed.Store(true)
		t.trying = 0
	}
	if t.changed != nil {
		close(t.changed)
		t.changed = nil
	}
}

// reset lets the connector show anew that it works.
func (t *trial) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.passed.Store(false)
}
