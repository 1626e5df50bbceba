package worker

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// sending returns the stage of a pool of 16 slots, for two connectors and one app.
func sending() sendStage {
	return sendStage{
		bulkhead: newBulkhead(16, 2, 1), newest: lastIs(7, nil), policy: policy{retry: retry, spread: steady},
		quota: newQuota(new(backlog), 1, time.Now), backlog: new(backlog), mine: leased, now: time.Now,
	}
}

// trip opens a connector's breaker.
func trip(t *testing.T, c *connector) {
	t.Helper()
	done, ok := c.breaker.admit(t.Context(), request{})
	if !ok {
		t.Fatal("the breaker is already open")
	}
	done(&sender.Error{Class: sender.AccountDown})
	if c.breaker.lets() {
		t.Fatal("the breaker did not open")
	}
}

// idle checks that no place in the bulkhead and no try of the warmup is held.
func idle(t *testing.T, s sendStage, all ...*connector) {
	t.Helper()
	check.Equal(t, "places held in the bulkhead", s.bulkhead.total, 0)
	for _, c := range all {
		check.Equal(t, "tries of "+c.name, c.breaker.warmup.trying, 0)
	}
}

func TestSendThroughTheRoute(t *testing.T) {
	says := func(c sender.Class) *fakeSender { return failing(&sender.Error{Class: c, Code: "E", Detail: "failed"}) }
	for name, c := range map[string]struct {
		a, b     *fakeSender
		openA    bool
		openB    bool
		action   action
		reason   messages.Reason
		by       string
		requests [2]int
		classes  []string // of the attempts
		// answers is true if a's error is about the message alone.
		answers bool
	}{
		"the first accepts":              {a: new(fakeSender), b: new(fakeSender), action: actSent, by: "a", requests: [2]int{1, 0}, classes: []string{"ok"}},
		"the first is away":              {a: says(sender.Unavailable), b: new(fakeSender), action: actSent, by: "b", requests: [2]int{1, 1}, classes: []string{"unavailable", "ok"}},
		"the first throttles":            {a: says(sender.Throttled), b: new(fakeSender), action: actSent, by: "b", requests: [2]int{1, 1}, classes: []string{"throttled", "ok"}},
		"the first is misconfigured":     {a: says(sender.Misconfigured), b: new(fakeSender), action: actSent, by: "b", requests: [2]int{1, 1}, classes: []string{"misconfigured", "ok"}},
		"the first's account is down":    {a: says(sender.AccountDown), b: new(fakeSender), action: actSent, by: "b", requests: [2]int{1, 1}, classes: []string{"account-down", "ok"}},
		"the first limits the recipient": {a: says(sender.RecipientLimited), b: new(fakeSender), action: actSent, by: "b", requests: [2]int{1, 1}, classes: []string{"recipient-limited", "ok"}, answers: true},
		"the first refuses it for good":  {a: says(sender.Permanent), b: new(fakeSender), action: actDead, reason: messages.ReasonRejected, requests: [2]int{1, 0}, classes: []string{"permanent"}, answers: true},
		"the first may have sent it":     {a: says(sender.Unknown), b: new(fakeSender), action: actDoubt, requests: [2]int{1, 0}, classes: []string{"unknown"}},
		"the first fails in no known way": {
			a: &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) {
				return sender.Receipt{}, errors.New("?")
			}},
			b: new(fakeSender), action: actDoubt, requests: [2]int{1, 0}, classes: []string{"unknown"},
		},
		"the first has no template for it": {
			a: &fakeSender{render: func(*messages.SendCode) (*sender.Message, error) { return nil, errWrongTemplate }},
			b: new(fakeSender), action: actSent, by: "b", requests: [2]int{0, 1}, classes: []string{"ok"},
		},
		"the first is open":               {a: new(fakeSender), openA: true, b: new(fakeSender), action: actSent, by: "b", requests: [2]int{0, 1}, classes: []string{"ok"}},
		"both are open":                   {a: new(fakeSender), openA: true, b: new(fakeSender), openB: true, action: actDefer},
		"both are away":                   {a: says(sender.Unavailable), b: says(sender.Unavailable), action: actRetry, requests: [2]int{1, 1}, classes: []string{"unavailable", "unavailable"}},
		"one is away, the other open":     {a: says(sender.Unavailable), b: new(fakeSender), openB: true, action: actRetry, requests: [2]int{1, 0}, classes: []string{"unavailable"}},
		"one is open, the other in doubt": {a: new(fakeSender), openA: true, b: says(sender.Unknown), action: actDoubt, requests: [2]int{0, 1}, classes: []string{"unknown"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := connect("a", c.a), connect("b", c.b)
				for conn, open := range map[*connector]bool{a: c.openA, b: c.openB} {
					if open {
						trip(t, conn)
					}
				}
				s, d := sending(), arrives(t, nowhere())
				d.chain = []*connector{a, b}
				v, ok := s.handle(t.Context(), d)
				check.Equal(t, "it decided", ok, true)
				check.Equal(t, "action", v.action, c.action)
				check.Equal(t, "reason", v.reason, c.reason)
				check.Equal(t, "connector", v.connector, c.by)
				check.Equal(t, "requests to a", c.a.requests(), c.requests[0])
				check.Equal(t, "requests to b", c.b.requests(), c.requests[1])
				var classes []string
				for _, at := range d.history {
					classes = append(classes, at.Class)
				}
				same(t, "attempts", classes, c.classes)
				if c.action == actSent {
					check.Equal(t, "receipt", v.receipt, sender.Receipt{ProviderID: "P-1", RequestID: "R-1"})
				}
				// Each breaker gets the result of its own request only.
				for _, conn := range []*connector{a, b} {
					failed := uint32(0)
					for _, at := range d.history {
						if at.Connector == conn.name && (at.Class == "unavailable" || at.Class == "throttled" || at.Class == "unknown") {
							failed = 1
						}
					}
					works := conn.name == c.by || conn == a && c.answers
					check.Equal(t, "known to work: "+conn.name, conn.breaker.warmup.passed.Load(), works)
					check.Equal(t, "failures that the breaker counts: "+conn.name, conn.breaker.health.cb.Counts().TotalFailures, failed)
				}
				if c.openA && c.openB {
					check.Equal(t, "delay", v.delay, lookAfter)
				}
				idle(t, s, a, b)
			})
		})
	}
}

// TestSendASecondTime: the detail of a sent message says that it may arrive twice, if a
// connector that can't be asked may have sent it before, and nothing otherwise.
func TestSendASecondTime(t *testing.T) {
	t.Parallel()
	for want, suspects := range map[string][]string{
		"": nil,
		"it may arrive twice: connector a may have sent it before and can't be asked, and onDoubt is resend":                 {"a"},
		"it may arrive twice: one of the connectors [a b] may have sent it before and can't be asked, and onDoubt is resend": {"a", "b"},
	} {
		s, d := sending(), arrives(t, nowhere())
		d.chain, d.suspects = []*connector{connect("b", new(fakeSender))}, suspects
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actSent)
		check.Equal(t, fmt.Sprintf("detail with the suspects %v", suspects), v.detail, want)
	}
}

// TestSendHandsOver: the connector gets the message's name at the provider, and the time
// by which it has to be handed over.
func TestSendHandsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) {
			after(1500 * time.Millisecond)
			return sender.Receipt{RequestID: "R-1"}, nil
		}}
		s, d := sending(), arrives(t, nowhere())
		// The clock by which codes expire can differ from the machine's.
		began := time.Now()
		s.now = func() time.Time { return time.Now().Add(time.Hour) }
		d.expiresAt = began.Add(time.Hour + 5*time.Second)
		d.first = ledger.Place{Sequence: 3, StoredAt: 4}
		d.chain = []*connector{connect("a", provider)}
		s.handle(t.Context(), d)
		m := provider.sent[0]
		check.Equal(t, "its name", m.ID, providerID("id-1", d.msg, ledger.Place{Sequence: 3, StoredAt: 4}))
		check.Equal(t, "to be handed over before", m.NotAfter.Sub(began), 5*time.Second)
		at := d.lastAttempt()
		check.Equal(t, "the attempt's connector", at.Connector, "a")
		check.Equal(t, "the attempt's time", at.At.Sub(began), time.Hour)
		check.Equal(t, "how long it took (ms)", at.DurationMS, 1500)
		check.Equal(t, "the request's id", at.RequestID, "R-1")
	})
}

// TestSendIsStillDue: directly before the request the stage checks whether the code has
// expired or was superseded.
func TestSendIsStillDue(t *testing.T) {
	for name, c := range map[string]struct {
		inHand time.Duration // since it arrived
		late   time.Duration // how much earlier it may have been handed out
		left   time.Duration // until it expires
		last   uint64
		err    error
		action action
		reason messages.Reason
	}{
		"good and new":                             {left: time.Second, last: 7, action: actSent},
		"good, in hand for long, and the newest":   {inHand: time.Second, left: time.Second, last: 7, action: actSent},
		"in hand for long, and superseded":         {inHand: time.Second, left: time.Second, last: 9, action: actSuperseded},
		"superseded, and has just arrived":         {inHand: recentlyHandedOut - 1, left: time.Second, last: 9, action: actSent},
		"superseded, and arrived a bit before":     {inHand: recentlyHandedOut, left: time.Second, last: 9, action: actSuperseded},
		"superseded, and held back by the network": {late: recentlyHandedOut, left: time.Second, last: 9, action: actSuperseded},
		"superseded, held back, and in hand":       {inHand: recentlyHandedOut / 2, late: recentlyHandedOut / 2, left: time.Second, last: 9, action: actSuperseded},
		"superseded, and held back a bit less":     {late: recentlyHandedOut - 1, left: time.Second, last: 9, action: actSent},
		"in hand for long, and nobody says":        {inHand: time.Second, left: time.Second, err: errors.New("away"), action: actDefer},
		"expires while it waits for the connector": {left: 0, last: 7, action: actDead, reason: messages.ReasonExpired},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := new(fakeSender)
				a := connect("a", provider)
				s, d := sending(), arrives(t, nowhere())
				s.newest = lastIs(c.last, c.err)
				d.chain, d.msg.Late = []*connector{a}, c.late
				after(c.inHand)
				d.expiresAt = time.Now().Add(c.left)
				v, ok := s.handle(t.Context(), d)
				check.Equal(t, "it decided", ok, true)
				check.Equal(t, "action", v.action, c.action)
				check.Equal(t, "reason", v.reason, c.reason)
				check.Equal(t, "requests", provider.requests(), map[bool]int{true: 1}[c.action == actSent])
				check.Equal(t, "attempts", len(d.history), provider.requests())
				idle(t, s, a)
				if c.action != actSent { // it says nothing about the connector
					check.Equal(t, "it is known to work", a.breaker.warmup.passed.Load(), false)
					check.Equal(t, "requests that its rate counts", a.limiter.calls.Load(), 0)
				}
			})
		})
	}
}

// TestSendWaitsForTheRate: it does not wait for a turn that would come too late.
func TestSendWaitsForTheRate(t *testing.T) {
	for name, c := range map[string]struct {
		left   time.Duration
		action action
		waited time.Duration
	}{
		"the turn comes in time":     {left: 2*time.Second + 1, action: actSent, waited: 2 * time.Second},
		"the turn comes as it ends":  {left: 2 * time.Second, action: actRetry}, // it leaves its turn to another message
		"the turn comes after it":    {left: time.Second, action: actDead},
		"it is good for long enough": {left: time.Hour, action: actSent, waited: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := new(fakeSender)
				a := connect("a", provider)
				a.limiter = newRateLimiter(0.5)
				a.breaker.limiter = a.limiter
				s := sending()
				first := arrives(t, nowhere())
				first.chain = []*connector{a}
				s.handle(t.Context(), first) // takes the turn of now
				d := arrives(t, nowhere())
				d.chain, d.expiresAt = []*connector{a}, time.Now().Add(c.left)
				began := time.Now()
				v, _ := s.handle(t.Context(), d)
				check.Equal(t, "action", v.action, c.action)
				check.Equal(t, "waited", time.Since(began), c.waited)
				if c.action != actSent {
					check.Equal(t, "reason", v.reason, map[action]messages.Reason{actDead: messages.ReasonExpired}[c.action])
					check.Equal(t, "requests", provider.requests(), 1)
					check.Equal(t, "the attempt's code", d.lastAttempt().Code, "RateLimit")
				}
				idle(t, s, a)
			})
		})
	}
}

// TestSendDoesNotWaitForOneThatIsOpen: the message takes no turn of that connector's rate.
func TestSendDoesNotWaitForOneThatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect("a", new(fakeSender))
		trip(t, a)
		a.limiter = newRateLimiter(0.5)
		a.limiter.limiter.Allow()
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{a}
		began := time.Now()
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actDefer)
		check.Equal(t, "waited", time.Since(began), 0)
	})
}

// TestSendAtTheShutdown: a request that was not begun is not an attempt.
func TestSendAtTheShutdown(t *testing.T) {
	for name, prepare := range map[string]func(*connector){
		"before the request":          func(*connector) {},
		"while it waits for its rate": func(a *connector) { a.limiter = newRateLimiter(0.1); a.limiter.limiter.Allow() },
		"while the connector is tried": func(a *connector) {
			for range maxTrying {
				a.breaker.warmup.begin(context.Background())
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := new(fakeSender)
				a := connect("a", provider)
				prepare(a)
				tries := a.breaker.warmup.trying
				s, d := sending(), arrives(t, nowhere())
				d.chain = []*connector{a}
				ctx, cancel := context.WithCancel(t.Context())
				cancel()
				v, ok := s.handle(ctx, d)
				check.Equal(t, "it decided", ok, true)
				check.Equal(t, "action", v.action, actDefer)
				check.Equal(t, "requests", provider.requests(), 0)
				check.Equal(t, "attempts", len(d.history), 0)
				check.Equal(t, "places held in the bulkhead", s.bulkhead.total, 0)
				check.Equal(t, "tries", a.breaker.warmup.trying, tries)
				check.Equal(t, "requests that its rate counts", a.limiter.calls.Load(), 0)
			})
		})
	}
}

// TestSendWithoutAPlace: a connector that holds its share of the slots is not called.
func TestSendWithoutAPlace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := new(fakeSender), new(fakeSender)
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{connect("a", a), connect("b", b)}
		for range 12 {
			if _, ok := s.bulkhead.enter(t.Context(), "default", "a"); !ok {
				t.Fatal("the first twelve messages got no place")
			}
		}
		after(time.Second) // they hang
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actSent)
		check.Equal(t, "connector", v.connector, "b")
		check.Equal(t, "requests to a", a.requests(), 0)
		check.Equal(t, "places held", s.bulkhead.total, 12)
	})
}

// TestSendWhatCannotBeRendered: no provider is called, and the error shows nothing of the
// message.
func TestSendWhatCannotBeRendered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := &fakeSender{render: func(*messages.SendCode) (*sender.Message, error) {
			return nil, sender.Invalid("no template for +8613012345678")
		}}
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{connect("a", provider)}
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actDead)
		check.Equal(t, "reason", v.reason, messages.ReasonInvalid)
		check.Equal(t, "detail", v.detail, "connector a: no template for [hidden]")
		check.Equal(t, "requests", provider.requests(), 0)
		check.Equal(t, "attempts", len(d.history), 0)
		idle(t, s)
	})
}

// TestSendPanics: nothing stays held, and for the breaker the request is in doubt.
// TestSendWhatTheConfigurationCannotRender: no breaker tells when such a message may be tried
// again, so it waits as long as a message waits at most for a connector.
func TestSendWhatTheConfigurationCannotRender(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		provider := &fakeSender{render: func(*messages.SendCode) (*sender.Message, error) {
			return nil, &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "NoOverseasTemplate"}
		}}
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{connect("a", provider)}
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actRetry)
		if v.delay < mostDeferral {
			t.Errorf("it waits %v, want at least %v", v.delay, mostDeferral)
		}
		check.Equal(t, "requests", provider.requests(), 0)
		idle(t, s)
	})
}

func TestSendPanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect("a", &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) { panic("boom") }})
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{a}
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic was recovered, so it is not counted")
				}
			}()
			s.handle(t.Context(), d)
		}()
		idle(t, s, a)
		check.Equal(t, "failures that the breaker counts", a.breaker.health.cb.Counts().TotalFailures, 1)
	})
}

// TestSendIsReviewedByTheQuota: the quota can turn another wait into a dead letter.
func TestSendIsReviewedByTheQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, d := sending(), arrives(t, nowhere())
		full := new(backlog)
		full.limit.Store(2)
		full.pending.Store(2)
		s.quota = newQuota(full, 2, time.Now)
		s.quota.add("default", time.Now().Add(time.Minute), 1)
		d.chain = []*connector{connect("a", failing(&sender.Error{Class: sender.Unavailable}))}
		v, _ := s.handle(t.Context(), d)
		check.Equal(t, "action", v.action, actDead)
		check.Equal(t, "reason", v.reason, messages.ReasonUndeliverable)
	})
}

// untouched checks that a request that was admitted and not made says nothing about its
// connector.
func untouched(t *testing.T, c *connector) {
	t.Helper()
	for which, n := range map[string]gobreaker.Counts{"health": c.breaker.health.cb.Counts(), "account": c.breaker.account.cb.Counts()} {
		check.Equal(t, which+" of "+c.name+": requests that were made", n.Requests-n.TotalExclusions, 0)
		check.Equal(t, which+" of "+c.name+": failures", n.TotalFailures, 0)
	}
	check.Equal(t, c.name+" is known to work", c.breaker.warmup.passed.Load(), false)
	check.Equal(t, "requests that the rate of "+c.name+" counts", c.limiter.calls.Load(), 0)
}

// TestSendKeepsWhatHappenedBefore: another connector was tried before the stage noticed
// that the message does not belong to this worker any more.
func TestSendKeepsWhatHappenedBefore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := new(fakeSender)
		s, d := sending(), arrives(t, nowhere())
		d.chain = []*connector{connect("a", &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) {
			after(20 * time.Second)
			return sender.Receipt{}, &sender.Error{Class: sender.Unavailable, Code: "E"}
		}}), connect("b", b)}
		v, ok := s.handle(t.Context(), d)
		isNotMine(t, v, ok)
		check.Equal(t, "requests to b", b.requests(), 0)
		check.Equal(t, "attempts", len(d.history), 1)
		idle(t, s, d.chain...)
	})
}
