package worker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/sender"
)

// circuit is one circuit breaker. If it is closed, requests pass; if it is open, none
// does; if it is half-open, a few probes pass, and the first answer decides. The states
// are gobreaker's. This type chooses the probes: gobreaker does not know that a probe may
// never be answered, or that some messages are better probes than others.
type circuit struct {
	cb *gobreaker.TwoStepCircuitBreaker[struct{}]
	// excludes reports whether an error says nothing about the state.
	excludes func(error) bool
	// notClosed saves taking the lock and reading the clock while the breaker is closed.
	notClosed atomic.Bool
	// opening is when it opened after it was closed (Unix, in nanoseconds).
	opening atomic.Int64
	// logged is when the log last said that it has opened (Unix, in nanoseconds).
	logged atomic.Int64
	// until is when an open breaker becomes half-open, and since when it became half-open
	// (Unix, in nanoseconds).
	until, since atomic.Int64
	// cause is the error of the last request, for the log; nil for none. It is set before
	// the request is counted.
	cause atomic.Pointer[sender.Error]

	mu     sync.Mutex
	probes probes
}

// probes are the requests that try a half-open breaker.
type probes struct {
	// since is when the breaker became half-open; probes of an earlier half-open state do
	// not count.
	since int64
	// unanswered counts the probes that have no answer; began is when the last one began.
	unanswered int
	began      time.Time
	last       *probe
	// next is when the next probe may begin after one was lost.
	next time.Time
	// lost is true if the answer of a probe never came.
	lost bool
}

// probe is a request that tries a half-open breaker.
type probe struct {
	since int64
	done  func(error)
}

// How a half-open breaker is tried.
const (
	// freshFirst is how long the breaker waits for a message that has not failed before.
	// The server hands out failed messages first, and they may be the cause of the
	// failures.
	freshFirst = 2 * time.Second
	// probePatience is how long a probe may stay without an answer before another one
	// begins; mostProbes is the most probes at once.
	probePatience = 2 * time.Second
	mostProbes    = 4
	// lostPause is the pause before the next probe if the answer of one never came: the
	// cause may be its connection or its message.
	lostPause = time.Second
)

// newCircuit makes a breaker. The Settings must not have OnStateChange; changed is called
// instead.
func newCircuit(s gobreaker.Settings, changed func(from, to gobreaker.State)) *circuit {
	c := &circuit{excludes: s.IsExcluded}
	s.OnStateChange = func(_ string, from, to gobreaker.State) {
		if from == gobreaker.StateClosed {
			c.opening.Store(time.Now().UnixNano())
		}
		switch to {
		case gobreaker.StateOpen:
			c.until.Store(time.Now().Add(s.Timeout).UnixNano())
		case gobreaker.StateHalfOpen:
			c.since.Store(c.until.Load()) // no request has asked since then
		case gobreaker.StateClosed:
		}
		c.notClosed.Store(to != gobreaker.StateClosed)
		changed(from, to)
	}
	c.cb = gobreaker.NewTwoStepCircuitBreaker[struct{}](s)
	return c
}

// opened makes the log line of a breaker that has opened, with the provider's answer that
// opened it. After a failed probe the trouble goes on: then it is a warning once a minute, and
// otherwise for debugging.
func (c *circuit) opened(log *zerolog.Logger, from gobreaker.State, pause time.Duration) *zerolog.Event {
	line := log.Debug()
	if now := time.Now(); from == gobreaker.StateClosed || now.Sub(time.Unix(0, c.logged.Load())) >= logEvery {
		c.logged.Store(now.UnixNano())
		line = log.Warn()
	}
	line.Stringer("for", pause)
	if e := c.cause.Load(); e != nil {
		line.Stringer("class", e.Class).Str("code", e.Code).Str("detail", e.Detail)
	}
	return line
}

// closed makes the log line of a breaker that has closed, with how long it was not closed.
func (c *circuit) closed(log *zerolog.Logger) *zerolog.Event {
	return log.Info().Stringer("lasted", time.Since(time.Unix(0, c.opening.Load())).Round(time.Millisecond))
}

// open reports whether no request passes.
func (c *circuit) open() bool {
	return c.notClosed.Load() && c.cb.State() == gobreaker.StateOpen
}

// may reports whether a request may pass, and if not, after how long one may. tried is
// true if the message has failed here before.
func (c *circuit) may(tried bool) (in time.Duration, ok bool) {
	if c.notClosed.Load() {
		c.mu.Lock()
		defer c.mu.Unlock()
		switch c.cb.State() {
		case gobreaker.StateOpen:
			return time.Until(time.Unix(0, c.until.Load())), false
		case gobreaker.StateHalfOpen:
			in = c.probeIn(time.Now(), tried)
			return in, in == 0
		case gobreaker.StateClosed:
		}
	}
	return 0, true
}

// admit asks to make a request. If ok, the caller has to call done with the result.
func (c *circuit) admit(tried bool) (done func(error), ok bool) {
	if c.notClosed.Load() {
		return c.try(tried)
	}
	done, err := c.cb.Allow()
	return done, err == nil
}

// try is admit for a breaker that is not closed.
func (c *circuit) try(tried bool) (done func(error), ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.cb.State() // its pause may be over
	now := time.Now()
	if c.probeIn(now, tried) > 0 {
		return nil, false
	}
	if c.probes.last != nil {
		// gobreaker admits one probe at a time. The new probe takes its place; the answer
		// of the old one still counts.
		c.probes.last.done(errNotMade)
	}
	done, err := c.cb.Allow()
	if err != nil {
		return nil, false
	}
	p := &probe{since: c.probes.since, done: done}
	c.probes.unanswered++
	c.probes.last, c.probes.began = p, now
	return func(err error) { c.answered(p, err) }, true
}

// probeIn returns after how long the next probe may begin. c.mu is held.
func (c *circuit) probeIn(now time.Time, tried bool) time.Duration {
	since := c.since.Load()
	if c.probes.since != since {
		c.probes = probes{since: since}
	}
	in := c.probes.next.Sub(now)
	if tried {
		in = max(in, time.Unix(0, since).Add(freshFirst).Sub(now))
	}
	switch n := c.probes.unanswered; {
	case n >= mostProbes:
		in = max(in, probePatience)
	case n > 0:
		in = max(in, c.probes.began.Add(probePatience).Sub(now))
	}
	return max(0, in)
}

// answered takes the result of a probe. After a result that says nothing, the next probe
// decides. The same holds, once, if the answer never came.
func (c *circuit) answered(p *probe, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p.since != c.since.Load() {
		return // it belongs to an earlier half-open state
	}
	c.probes.unanswered--
	switch lost := err != nil && classOf(err) == sender.Unknown && !c.probes.lost; {
	case errors.Is(err, errNotMade):
	case lost, c.excludes(err):
		c.probes.lost = true
		c.probes.next = time.Now().Add(lostPause)
	default:
		p.done(err)
	}
}
