package worker

import (
	"fmt"
	"slices"
	"time"

	"github.com/cenkalti/backoff/v4"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// policy decides what happens to a message after its attempts failed: retry, defer, dead
// letter, or ask. The decision depends only on the configuration, the delivery, the
// connectors' answers, and the time.
type policy struct {
	retry  config.Retry
	spread spread
}

// answer is the result of one connector of a message's route.
type answer struct {
	connector string
	// err is why the connector did not send the message; nil if it was not called.
	err *sender.Error
	// open is true if its breaker, or that of the template, let the message not pass. If a
	// connector was not called and open is false, its share of the slots is used up.
	open bool
	// opensIn is after how long it may be called, or the message should check again
	// whether it may; 0 means now.
	opensIn time.Duration
	// unmade is true if err is that of Render: no request was made, and no breaker opens.
	unmade bool

	// askable is true if its provider can be asked about a message, for as long as
	// askGrace. If it can't be asked, onDoubt decides.
	askable  bool
	askGrace time.Duration
	onDoubt  config.OnDoubt
}

// shortWindow is the longest flow-control window whose end a message waits for.
const shortWindow = time.Minute

// Bounds of how long a message waits for a connector that could not be called.
const (
	leastDeferral = time.Second
	mostDeferral  = 30 * time.Second
)

// decide returns the verdict about a message that no connector has surely accepted. If the
// last answer ends the attempts (Permanent, Unknown), it decides. Otherwise the connector
// that can accept the message soonest decides.
func (p policy) decide(d *delivery, answers []answer, now time.Time) verdict {
	last := answers[len(answers)-1]
	if last.err != nil {
		switch last.err.Class {
		case sender.Permanent:
			return p.refused(d, last.err)
		case sender.Unknown:
			return p.doubt(d, last, now)
		case sender.RecipientLimited, sender.Throttled, sender.Unavailable, sender.Misconfigured, sender.AccountDown:
		}
	}
	wait := backoffAfter(p.retry, len(d.history), p.spread)
	var (
		soonest time.Duration = -1
		why     *sender.Error // of the connector that can accept it soonest
		called  *sender.Error
		limited verdict
	)
	for _, a := range answers {
		if a.err != nil {
			called = a.err
		}
		delay, v, chance := p.after(d, a, wait, now)
		switch {
		case chance == ended:
			return v
		case chance == refuses:
			limited = v
		case soonest < 0 || delay < soonest:
			soonest, why = delay, a.err
		}
	}
	switch {
	case called == nil:
		return uncalled(answers, soonest)
	case soonest < 0:
		return limited
	case why == nil:
		why = called
	}
	if next := now.Add(soonest); d.expired(next) {
		return dead(d, messages.ReasonExpired, noTime(d, why)).because(why)
	}
	switch {
	case anyRequest(answers):
		return verdict{action: actRetry, delay: soonest, err: why}
	case slices.ContainsFunc(answers, func(a answer) bool { return !a.unmade }):
		return uncalled(answers, soonest) // the others can perhaps fill in their template
	case d.unfilled: // an outcome has told it
		return verdict{action: actDefer, delay: soonest, detail: "no connector can fill in its template", why: ledger.WhyTemplate}
	}
	return verdict{action: actRetry, delay: soonest, err: why, unfilled: true}
}

// uncalled is the verdict about a message that no connector could be called for, because of
// its breaker or its share of the slots.
func uncalled(answers []answer, delay time.Duration) verdict {
	v := verdict{action: actDefer, delay: delay, detail: "no connector could be called", why: ledger.WhySlots, open: openAmong(answers)}
	if len(v.open) > 0 {
		v.why = ledger.WhyBreaker
	}
	return v
}

// anyRequest reports whether a request was made, or failed before it was made for another
// reason than Render.
func anyRequest(answers []answer) bool {
	return slices.ContainsFunc(answers, func(a answer) bool { return a.err != nil && !a.unmade })
}

// openAmong returns the connectors whose circuit breakers are open.
func openAmong(answers []answer) (names []string) {
	for _, a := range answers {
		if a.open {
			names = append(names, a.connector)
		}
	}
	return names
}

// chance says whether a message can still be accepted after a connector's answer.
type chance int

const (
	// serves: the connector may accept it after a delay.
	serves chance = iota
	// refuses: this connector will not accept it; another one may.
	refuses
	// ended: no connector may be tried any more.
	ended
)

// after returns what follows from a connector's answer: after how long it may accept the
// message, or the verdict if it will not.
func (p policy) after(d *delivery, a answer, wait time.Duration, now time.Time) (delay time.Duration, v verdict, c chance) {
	if a.err == nil {
		wait = a.opensIn
		if !a.open {
			// Its share of the slots is used up. Frequent tries would use up the slots of
			// the others.
			wait = min(now.Sub(d.msg.StoredAt), mostDeferral)
		}
		return p.spread.of(max(wait, leastDeferral)), v, serves
	}
	switch a.err.Class {
	case sender.Throttled, sender.Unavailable:
		if p.attemptsUsed(d.history) {
			return 0, dead(d, messages.ReasonUndeliverable, p.exhausted(providerText(a.err))).because(a.err), ended
		}
		return max(wait, a.err.RetryAfter), v, serves
	case sender.RecipientLimited:
		if a.err.RetryAfter <= 0 || a.err.RetryAfter > shortWindow {
			return 0, dead(d, messages.ReasonLimited, providerText(a.err)).because(a.err), refuses
		}
		return a.err.RetryAfter, v, serves
	case sender.Misconfigured, sender.AccountDown:
		// These cost no attempt: the message is valid, and waits for an operator. The open
		// breaker, of the connector or the template, sets the delay.
		switch {
		case a.opensIn > 0:
			wait = p.spread.of(a.opensIn)
		case a.unmade:
			// Only a new configuration can help.
			wait = p.spread.of(mostDeferral)
		}
		return wait, v, serves
	case sender.Permanent, sender.Unknown: // decide has handled them
	}
	return 0, dead(d, messages.ReasonUndeliverable, providerText(a.err)).because(a.err), ended
}

// refused is the verdict about a message that will never be accepted.
func (policy) refused(d *delivery, err *sender.Error) verdict {
	if err.Code == sender.CodeInvalid {
		return dead(d, messages.ReasonInvalid, err.Detail).because(err)
	}
	return dead(d, messages.ReasonRejected, providerText(err)).because(err)
}

// doubt returns the verdict about a message that a connector may have accepted.
func (p policy) doubt(d *delivery, a answer, now time.Time) verdict {
	wait := max(backoffAfter(p.retry, len(d.history), p.spread), a.err.RetryAfter)
	v := verdict{action: actDoubt, err: a.err, delay: wait, suspects: with(d.suspects, a.connector)}
	deadBecause := func(why string) verdict {
		return verdict{action: actDead, reason: messages.ReasonDoubt, detail: fmt.Sprintf("connector %s may have sent it, %s; its error: %s", a.connector, why, providerText(a.err)), err: a.err}
	}
	switch {
	case a.askable:
		// The provider is asked regardless of the number of attempts, and even if the code
		// expires meanwhile. The next attempt comes after the grace and the backoff.
		v.doubtGrace = a.askGrace + wait
		v.delay = askFirst(a.askGrace)
	case a.onDoubt == config.Dead:
		return deadBecause("and its onDoubt is dead")
	case p.attemptsUsed(d.history):
		if p.retry.MaxAttempts == 1 {
			return deadBecause("and its only attempt is used")
		}
		return deadBecause(fmt.Sprintf("and all %d attempts are used", p.retry.MaxAttempts))
	case d.expired(now.Add(wait)):
		return deadBecause("and its code expires at " + d.expiresAt.UTC().Format(time.RFC3339) + ", before another attempt could be made")
	}
	return v
}

// with returns the names, with name added if it is missing.
func with(names []string, name string) []string {
	if slices.Contains(names, name) {
		return names
	}
	return append(append([]string(nil), names...), name)
}

// attemptsUsed reports whether a message has used its attempts. Attempts that failed
// because of the configuration or the account do not count.
func (p policy) attemptsUsed(history []messages.Attempt) bool {
	n := 0
	for _, a := range history {
		if a.Class != sender.Misconfigured.String() && a.Class != sender.AccountDown.String() {
			n++
		}
	}
	return n >= p.retry.MaxAttempts
}

func (p policy) exhausted(last string) string {
	if p.retry.MaxAttempts == 1 {
		return "its only attempt failed; the error: " + last
	}
	return fmt.Sprintf("all %d attempts failed; the last error: %s", p.retry.MaxAttempts, last)
}

// noTime returns the detail of a message for which no attempt can come in time.
func noTime(d *delivery, err *sender.Error) string {
	return fmt.Sprintf("the code expires at %s, before another attempt could be made; the last error: %s", d.expiresAt.UTC().Format(time.RFC3339), providerText(err))
}

// providerText returns the provider's code and text, without the class.
func providerText(err *sender.Error) string {
	if err.Code == "" {
		return err.Detail
	}
	return err.Code + ": " + err.Detail
}

// backoffAfter returns the wait after the nth failure: exponential, made longer or shorter
// at random by worker.retry.randomizationFactor.
func backoffAfter(r config.Retry, n int, s spread) time.Duration {
	b := backoff.NewExponentialBackOff(
		backoff.WithInitialInterval(r.InitialInterval), backoff.WithMultiplier(r.Multiplier),
		backoff.WithMaxInterval(r.MaxInterval), backoff.WithRandomizationFactor(0),
		backoff.WithMaxElapsedTime(0))
	wait := b.NextBackOff()
	for range n - 1 {
		wait = b.NextBackOff()
	}
	return wait + time.Duration((2*s.random()-1)*r.RandomizationFactor*float64(wait))
}

// spread adds random time to delays, so that messages do not all come again at the same
// moment.
type spread struct {
	// random returns a number in [0, 1).
	random func() float64
}

// of returns d plus a random part of d/4 + 100 ms.
func (s spread) of(d time.Duration) time.Duration {
	return d + time.Duration(s.random()*float64(d/4+100*time.Millisecond))
}
