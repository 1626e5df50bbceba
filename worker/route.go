package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// route returns the connectors for a message, in the order to try them; none
// where the configuration has no way for it, and why.
func (l *lane) route(d *delivery) (chain []*connector, why string) {
	if !d.appKnown {
		return nil, "the configuration has no app " + d.subject.App
	}
	for _, name := range d.app.Chain(l.channel, d.code.To, d.code.Type) {
		chain = append(chain, l.connectors[name])
	}
	switch {
	case len(chain) > 0:
		return chain, ""
	case len(d.app.Route(l.channel)) == 0:
		return nil, fmt.Sprintf("app %s has no connector for %s", d.subject.App, l.channel)
	}
	return nil, fmt.Sprintf("no step of app %s for %s takes this recipient and type", d.subject.App, l.channel)
}

// deliver tries the connectors of the route until one accepts the message, or
// may have done so, or refuses it for good. It always decides.
func (l *lane) deliver(ctx context.Context, d *delivery) (verdict, bool) {
	chain, why := l.route(d)
	if len(chain) == 0 {
		return dead(messages.ReasonMisconfigured, why), true
	}
	if c := l.mayHaveSent(d); c != nil { // no other one is given it
		if !slices.Contains(chain, c) {
			return dead(messages.ReasonDoubt, fmt.Sprintf("connector %s may have sent it, and is no longer on its route", c.name)), true
		}
		chain = []*connector{c}
	}
	var best *sender.Error
	for i, c := range chain {
		v, decided, err := l.try(ctx, d, c, another(chain[i+1:]))
		if decided {
			return v, true
		}
		if err != nil && (best == nil || hope(err) > hope(best)) {
			best = err
		}
	}
	if best == nil {
		return verdict{status: statusParked, delay: spread(max(reopens(chain), time.Second))}, true
	}
	return l.decide(d, best), true
}

// try sends the message through one connector. Nothing is decided where that
// surely has not accepted it: then err says why, or nothing where the connector
// was not even called. It keeps to its share of the slots where another one could
// serve.
func (l *lane) try(ctx context.Context, d *delivery, c *connector, others bool) (v verdict, decided bool, err *sender.Error) {
	if c.open() || others && !c.share.enter(ctx) {
		return verdict{}, false, nil
	}
	if others {
		defer c.share.leave()
	}
	v, decided, err = l.attempt(ctx, d, c)
	if err != nil && !notAccepted(err) {
		return l.decide(d, err), true, nil
	}
	return v, decided, err
}

// another tells whether one of the connectors could serve.
func another(rest []*connector) bool {
	for _, c := range rest {
		if !c.open() {
			return true
		}
	}
	return false
}

// reopens returns how long it takes until the first of them may be tried again.
func reopens(chain []*connector) time.Duration {
	wait := chain[0].reopens()
	for _, c := range chain[1:] {
		wait = min(wait, c.reopens())
	}
	return wait
}

// notAccepted tells whether another connector may be tried: this one surely has
// not accepted the message, and another may.
func notAccepted(err *sender.Error) bool {
	switch err.Class {
	case sender.Unknown, sender.Permanent:
		return false
	case sender.RecipientLimited, sender.Throttled, sender.Unavailable, sender.Misconfigured, sender.AccountDown:
	}
	return true
}

// hope ranks what several connectors answered by how soon one of them may
// accept the message after all.
func hope(err *sender.Error) int {
	switch err.Class {
	case sender.Throttled, sender.Unavailable:
		return 3
	case sender.RecipientLimited:
		if err.RetryAfter > 0 && err.RetryAfter <= shortWindow {
			return 2
		}
		return 0
	case sender.Misconfigured, sender.AccountDown:
		return 1
	case sender.Unknown, sender.Permanent:
	}
	return 0
}
