package worker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// sends lets the stage handle a fresh message of a type, with these connectors.
func sends(t *testing.T, s sendStage, kind messages.Type, all ...*connector) verdict {
	t.Helper()
	d := arrives(t, nowhere())
	d.chain, d.code.Type = all, kind
	v, ok := s.handle(t.Context(), d)
	check.Equal(t, "it decided", ok, true)
	return v
}

// byType is a provider that names its templates by the message's type.
func byType(send func(m *sender.Message) *sender.Error) *fakeSender {
	return &fakeSender{
		render: func(code *messages.SendCode) (*sender.Message, error) {
			return &sender.Message{To: code.To, Template: string(code.Type)}, nil
		},
		send: func(_ context.Context, m *sender.Message) (sender.Receipt, error) {
			if e := send(m); e != nil {
				return sender.Receipt{}, e
			}
			return sender.Receipt{}, nil
		},
	}
}

// TestSendAWrongTemplate: the messages of a wrong template wait, or go to the next
// connector; the others are sent. Those that wait take no turn of the rate, and cost no
// attempt.
func TestSendAWrongTemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		wrong := true
		provider := byType(func(m *sender.Message) *sender.Error {
			if wrong && m.Template == "Register" {
				return errWrongTemplate
			}
			return nil
		})
		a, b := connect("a", provider), connect("b", new(fakeSender))
		s := sending()
		v := sends(t, s, messages.Register, a)
		check.Equal(t, "the first: action", v.action, actRetry)
		check.Equal(t, "the first: delay", v.delay, lookAfter)
		check.Equal(t, "another type: action", sends(t, s, messages.SignIn, a).action, actSent)
		v = sends(t, s, messages.Register, a)
		check.Equal(t, "the second: action", v.action, actDefer)
		check.Equal(t, "the second: delay", v.delay, lookAfter)
		check.Equal(t, "requests", provider.requests(), 2)
		check.Equal(t, "requests that the rate counts", a.limiter.calls.Load(), 2)
		check.Equal(t, "with another connector: action", sends(t, s, messages.Register, a, b).action, actSent)
		a.limiter = newRateLimiter(0.1)
		a.limiter.limiter.Allow()
		began := time.Now()
		check.Equal(t, "while others wait for their turn: action", sends(t, s, messages.Register, a).action, actDefer)
		check.Equal(t, "waited for a turn", time.Since(began), 0)
		a.limiter = newRateLimiter(0)
		wrong = false
		after(20*time.Second + 1)
		check.Equal(t, "when it is fixed: action", sends(t, s, messages.Register, a).action, actSent)
		check.Equal(t, "the next one: action", sends(t, s, messages.Register, a).action, actSent)
		idle(t, s, a, b)
	})
}

// TestSendLooksAgain: a message that waits for a breaker checks it every few seconds. If
// many wait, each checks less often.
func TestSendLooksAgain(t *testing.T) {
	for pending, want := range map[int64]time.Duration{0: lookAfter, 400: lookAfter, 401: lookAfter + 10*time.Millisecond, 1000: 10 * time.Second, 100_000: 20 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			a := connect("a", failing(errNoMoney))
			s := sending()
			s.backlog.pending.Store(pending)
			check.Equal(t, "delay of the one that failed", sends(t, s, messages.SignIn, a).delay, want)
			check.Equal(t, "delay of the next one", sends(t, s, messages.SignIn, a).delay, want)
		})
	}
}

// TestSendProbesWithWhatHasNotFailed: a message that failed at the connector is not the
// first probe. It goes to the next connector, or waits, and another message is the probe.
func TestSendProbesWithWhatHasNotFailed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := new(fakeSender)
		a, b := connect("a", provider), connect("b", new(fakeSender))
		trip(t, a)
		after(20*time.Second + 1)
		s := sending()
		failed := func() *delivery {
			d := arrives(t, nowhere())
			d.history = attempts(1, sender.AccountDown) // at a
			return d
		}
		d := failed()
		d.chain = []*connector{a}
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "what has failed: action", v.action, actDefer)
		check.Equal(t, "what has failed: delay", v.delay, freshFirst-1)
		d = failed()
		d.chain = []*connector{a, b}
		v, _ = s.handle(t.Context(), d)
		check.Equal(t, "with another connector: it was sent by", v.connector, "b")
		d = failed()
		d.history[0].Connector = "b"
		d.chain = []*connector{a}
		v, _ = s.handle(t.Context(), d)
		check.Equal(t, "what has failed elsewhere: action", v.action, actSent)
		check.Equal(t, "closed", a.breaker.closed(), true)
	})
}

// TestSendToAnOpenConnectorTakesNoPlace: it also does not wait for a place.
func TestSendToAnOpenConnectorTakesNoPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect("a", new(fakeSender))
		trip(t, a)
		s := sending()
		for range 12 {
			s.bulkhead.enter(t.Context(), "default", "a")
		}
		began := time.Now()
		v := sends(t, s, messages.SignIn, a)
		check.Equal(t, "action", v.action, actDefer)
		check.Equal(t, "delay", v.delay, lookAfter)
		check.Equal(t, "waited", time.Since(began), 0)
	})
}

// TestSendWhenAllDomainsRefuse: five recipients' domains in a row that refuse with the
// same code open the connector's breaker. It stays closed if a message was accepted in
// between, or if the errors are about the recipients.
func TestSendWhenAllDomainsRefuse(t *testing.T) {
	for name, c := range map[string]struct {
		scope    sender.Scope
		accepted bool
		open     bool
	}{
		"the domains":                             {scope: sender.ScopeDomain, open: true},
		"the domains, but for one":                {scope: sender.ScopeDomain, accepted: true},
		"the recipients, in five domains as well": {scope: sender.ScopeRecipient},
		"the messages":                            {scope: sender.ScopeMessage},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := connect("a", byType(func(m *sender.Message) *sender.Error {
					if m.To == "u@good.example" {
						return nil
					}
					return &sender.Error{Class: sender.Permanent, Scope: c.scope, Code: "554 5.7.1"}
				}))
				s := sending()
				mail := func(to string) {
					d := arrives(t, nowhere())
					d.chain, d.code.To = []*connector{a}, to
					s.handle(t.Context(), d)
				}
				for i := range domainsInARow {
					mail(fmt.Sprintf("u@d%d.example", i))
				}
				after(domainsFor)
				if c.accepted {
					mail("u@good.example")
				}
				mail("u@d0.example")
				check.Equal(t, "open", a.breaker.open(), c.open)
			})
		})
	}
}
