package worker

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// breaker is a connector's circuit breaker. If it is closed, requests pass; if it is open,
// none does; if it is half-open, a probe tests whether the connector works again. Only
// errors about the connector or its account change its state: an answer about a recipient
// shows that the connector works. A template has its own breaker.
type breaker struct {
	// account opens at the first error: the account is suspended, or the configuration is
	// wrong. health opens at a rate of errors: the provider can't be reached, throttles,
	// or its answers do not come. It opens at once if every domain refuses.
	account, health *circuit
	// requests counts the requests that were admitted and have no answer yet.
	requests atomic.Int64

	templates templateBreakers
	domains   refusingDomains
	// allRefuse is true while the failure being counted is that every domain refuses.
	allRefuse atomic.Bool

	warmup  warmup
	limiter *rateLimiter
}

// How breakers open.
const (
	// healthWindow is the time over which the rate is measured. At least healthLeast
	// requests have to be made in it, and half of them have to fail.
	healthWindow = 10 * time.Second
	healthLeast  = 20
)

// breakerOptions configure a breaker.
type breakerOptions struct {
	pauses config.Worker
	// limiter learns from the answers.
	limiter *rateLimiter
	log     zerolog.Logger
	// changed is called whenever a state changes; open is false if the new state is
	// closed.
	changed func(open bool)
	// templates is called whenever a template's breaker changes, with the number of the
	// connector's template breakers that are not closed.
	templates func(notClosed int)
}

func newBreaker(o breakerOptions) *breaker {
	b := &breaker{limiter: o.limiter, templates: templateBreakers{pause: o.pauses.AccountPause, log: o.log, changed: o.templates}}
	watch := func(c **circuit, pause time.Duration, why func() string) func(from, to gobreaker.State) {
		return func(from, to gobreaker.State) {
			switch to {
			case gobreaker.StateOpen:
				(*c).opened(&o.log, from, pause).Str("why", why()).Msg("circuit breaker opened; one request will try the connector again")
			case gobreaker.StateClosed:
				(*c).closed(&o.log).Msg("circuit breaker closed; the connector works again")
			case gobreaker.StateHalfOpen:
			}
			o.changed(to != gobreaker.StateClosed)
		}
	}
	b.account = newCircuit(gobreaker.Settings{
		Timeout:      o.pauses.AccountPause,
		ReadyToTrip:  func(gobreaker.Counts) bool { return true },
		IsSuccessful: func(err error) bool { return !operatorsFault(err) },
		IsExcluded: func(err error) bool { // errNotMade among them
			return classOf(err) == sender.Unavailable || classOf(err) == sender.Unknown && err != nil
		},
	}, watch(&b.account, o.pauses.AccountPause, func() string { return "its account or its configuration is at fault" }))
	b.health = newCircuit(gobreaker.Settings{
		Timeout:      o.pauses.HealthPause,
		Interval:     healthWindow,
		BucketPeriod: healthWindow / 10,
		ReadyToTrip: func(n gobreaker.Counts) bool {
			made := int(n.Requests) - int(n.TotalExclusions)
			return b.allRefuse.Load() || made >= healthLeast && 2*int(n.TotalFailures) >= made
		},
		IsExcluded: func(err error) bool { return errors.Is(err, errNotMade) || errors.Is(err, errInDoubt) },
		IsSuccessful: func(err error) bool {
			class := classOf(err)
			return err == nil || class != sender.Unavailable && class != sender.Throttled && class != sender.Unknown
		},
	}, watch(&b.health, o.pauses.HealthPause, func() string {
		if b.allRefuse.Load() {
			return "several domains in a row refused with the same code, and no message was accepted"
		}
		return "too many requests failed"
	}))
	return b
}

var (
	// errNotMade stands for a request that was admitted but not made: it says nothing
	// about the connector.
	errNotMade = &sender.Error{Class: sender.Unavailable, Code: "not made"}
	// errInDoubt stands for a missing answer that says nothing about the connector.
	errInDoubt = &sender.Error{Class: sender.Unknown, Code: "in doubt"}
	// errAllRefuse stands for an answer that several domains in a row have given.
	errAllRefuse = &sender.Error{Class: sender.Unavailable, Code: "refused by all"}
)

func classOf(err error) sender.Class {
	if e, ok := errors.AsType[*sender.Error](err); ok {
		return e.Class
	}
	return sender.Unknown
}

func operatorsFault(err error) bool {
	c := classOf(err)
	return c == sender.Misconfigured || c == sender.AccountDown
}

// request is what a breaker has to know about a request before it is made.
type request struct {
	// to is the recipient; template is the template that the provider fills in.
	to, template string
	// tried is true if the message has failed at the connector before.
	tried bool
}

// admit asks to make a request now. It blocks while the connector has not shown yet that
// it works and enough other requests try it. ok is false if the breaker, or that of the
// template, is open. If ok, the caller has to call done with the request's result; nil is
// success.
func (b *breaker) admit(ctx context.Context, r request) (done func(*sender.Error), ok bool) {
	if _, ok := b.may(r); !ok || !b.warmup.begin(ctx) {
		return nil, false
	}
	account, ok := b.account.admit(r.tried)
	if !ok {
		b.warmup.end(false)
		return nil, false
	}
	health, ok := b.health.admit(r.tried)
	if !ok {
		account(errNotMade)
		b.warmup.end(false)
		return nil, false
	}
	template, ok := b.templates.admit(r)
	if !ok {
		account(errNotMade)
		health(errNotMade)
		b.warmup.end(false)
		return nil, false
	}
	b.requests.Add(1)
	return func(e *sender.Error) {
		b.requests.Add(-1)
		err := b.ofConnector(r, e)
		// If this request opens one of them, e is why. It is redacted.
		b.account.cause.Store(e)
		b.health.cause.Store(e)
		account(err)
		if err == errAllRefuse { //nolint:errorlint // it is made here
			b.allRefuse.Store(true)
			defer b.allRefuse.Store(false)
		}
		health(err)
		b.templates.answered(template, r, e)
		b.warmup.end(err == nil)
		if operatorsFault(err) {
			b.warmup.reset()
		}
		if e != errNotMade {
			b.limiter.answered(e)
		}
	}, true
}

// ofConnector returns what an answer says about the connector: nil if it works, errNotMade
// if the answer says nothing.
func (b *breaker) ofConnector(r request, e *sender.Error) error {
	switch {
	case e == nil:
		b.domains.accepted()
	case ofConnectors(e):
		return e
	case e.SpeaksOf() == sender.ScopeDomain && b.domains.refused(r.to, e.Code):
		return errAllRefuse
	case e.Class == sender.Unknown:
		return errInDoubt
	}
	return nil
}

// ofConnectors reports whether an error is about the connector or its account.
func ofConnectors(e *sender.Error) bool {
	s := e.SpeaksOf()
	return s == sender.ScopeConnector || s == sender.ScopeAccount
}

// may reports whether a request may be made, and if not, after how long one may.
func (b *breaker) may(r request) (in time.Duration, ok bool) {
	own, may := b.mayAny(r.tried)
	in, ok = b.templates.may(r)
	return max(in, own), ok && may
}

// mayAny is may without the template's breaker.
func (b *breaker) mayAny(tried bool) (in time.Duration, ok bool) {
	account, first := b.account.may(tried)
	health, second := b.health.may(tried)
	return max(account, health), first && second
}

// closed reports whether requests may be made without a limit, as far as is known.
func (b *breaker) closed() bool { return !b.account.notClosed.Load() && !b.health.notClosed.Load() }

// open reports whether no request may be made to the connector.
func (b *breaker) open() bool { return b.account.open() || b.health.open() }
