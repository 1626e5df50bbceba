package worker

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// isNotMine checks the verdict about a message that another worker may have.
func isNotMine(t *testing.T, v verdict, ok bool) {
	t.Helper()
	check.Equal(t, "it decided", ok, true)
	check.Equal(t, "action", v.action, actDrop)
	check.Equal(t, "state", v.state, ledger.Released)
	contains(t, "detail", v.detail, "another worker may have it")
}

// TestSendOnlyWhatIsMine: the stage checks the lease directly before the request, after
// all waits.
func TestSendOnlyWhatIsMine(t *testing.T) {
	for name, c := range map[string]struct {
		inHand time.Duration
		// rate is the connector's rateLimit; its current turn is taken.
		rate float64
		// taken: another worker has the message although its lease holds.
		taken bool
		sent  bool
	}{
		"it has just come":                           {sent: true},
		"its lease is nearly over":                   {inHand: 17*time.Second - 1, sent: true},
		"its lease is over":                          {inHand: 17 * time.Second},
		"its turn comes while its lease holds":       {rate: 0.1, sent: true}, // in 10 s
		"its lease ends while it waits for its turn": {rate: 0.05},            // in 20 s
		"its turn comes as its lease ends":           {rate: 0.1, inHand: 7 * time.Second},
		"its consumer was made again":                {taken: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				providers := []*fakeSender{new(fakeSender), new(fakeSender)}
				a, b := connect("a", providers[0]), connect("b", providers[1])
				s, d := sending(), arrives(t, nowhere())
				if c.taken {
					s.mine = mine(d.msg.OwnedUntil(), false)
				}
				d.chain = []*connector{a, b}
				after(c.inHand)
				if c.rate > 0 {
					a.limiter = newRateLimiter(c.rate)
					a.breaker.limiter = a.limiter
					a.limiter.limiter.Allow()
				}
				v, ok := s.handle(t.Context(), d)
				idle(t, s, a, b)
				check.Equal(t, "requests to b", providers[1].requests(), 0)
				if c.sent {
					check.Equal(t, "action", v.action, actSent)
					check.Equal(t, "requests to a", providers[0].requests(), 1)
					return
				}
				isNotMine(t, v, ok)
				check.Equal(t, "requests to a", providers[0].requests(), 0)
				check.Equal(t, "attempts", len(d.history), 0)
				untouched(t, a)
			})
		})
	}
}

// TestSendNotAfter: a request is handed over before the code expires, and while the
// message is this worker's.
func TestSendNotAfter(t *testing.T) {
	for name, c := range map[string]struct {
		// good and owned are how long the code and the lease last after the request.
		good, owned time.Duration
		ahead       time.Duration // of the clock that codes expire by
		want        time.Duration
	}{
		"it expires first":                             {good: 5 * time.Second, owned: 17 * time.Second, want: 5 * time.Second},
		"its lease ends first":                         {good: 10 * time.Minute, owned: 17 * time.Second, want: 17 * time.Second},
		"both at once":                                 {good: 17 * time.Second, owned: 17 * time.Second, want: 17 * time.Second},
		"it expires a moment before its lease ends":    {good: 17*time.Second - 1, owned: 17 * time.Second, want: 17*time.Second - 1},
		"its lease is nearly over":                     {good: 10 * time.Minute, owned: 1, want: 1},
		"it expires first, by another clock":           {good: 5 * time.Second, owned: 17 * time.Second, ahead: time.Hour, want: 5 * time.Second},
		"its lease ends first, by the machine's clock": {good: 10 * time.Minute, owned: 17 * time.Second, ahead: time.Hour, want: 17 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				provider := new(fakeSender)
				s, d := sending(), arrives(t, nowhere())
				d.chain = []*connector{connect("a", provider)}
				after(17*time.Second - c.owned)
				s.now = func() time.Time { return time.Now().Add(c.ahead) }
				d.expiresAt = s.now().Add(c.good)
				v, _ := s.handle(t.Context(), d)
				check.Equal(t, "action", v.action, actSent)
				check.Equal(t, "handed over within", time.Until(provider.sent[0].NotAfter), c.want)
			})
		})
	}
}

// TestSendNotHandedOver: a connector that could not hand a message over in time has not
// sent it. That says something about the message, and nothing about the connector.
func TestSendNotHandedOver(t *testing.T) {
	for name, c := range map[string]struct {
		// good is how long the code lasts; the connector notices after took that the time
		// is over.
		good, took time.Duration
		suspects   []string
		history    int
		action     action
		reason     messages.Reason
		detail     string
	}{
		"the code has expired": {
			good: 5 * time.Second, took: 5 * time.Second, action: actDead, reason: messages.ReasonExpired, detail: "0s before its turn",
		},
		"the code has expired for a while": {
			good: 5 * time.Second, took: 6500 * time.Millisecond, action: actDead, reason: messages.ReasonExpired, detail: "1.5s before its turn",
		},
		"the code has expired, and all attempts are used": {
			good: 5 * time.Second, took: 5 * time.Second, history: 3, action: actDead, reason: messages.ReasonExpired,
		},
		"the code has expired, and another connector may have sent it": {
			good: 5 * time.Second, took: 5 * time.Second, suspects: []string{"b"}, action: actDead, reason: messages.ReasonDoubt,
			detail: "connector b may have sent it; since then: the code expired",
		},
		"the lease is over": {
			good: 10 * time.Minute, took: 17 * time.Second, action: actDrop, detail: "another worker may have it",
		},
		"the lease is over, and another connector may have sent it": {
			good: 10 * time.Minute, took: 17 * time.Second, suspects: []string{"b"}, action: actDrop, detail: "another worker may have it",
		},
		"neither is over, and the connector says so": {
			good: 10 * time.Minute, took: time.Second, action: actDrop, detail: "another worker may have it",
		},
		"the code expires while the lease is over": {
			good: 18 * time.Second, took: 18 * time.Second, action: actDead, reason: messages.ReasonExpired,
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := connect("a", &fakeSender{send: func(context.Context, *sender.Message) (sender.Receipt, error) {
					after(c.took)
					return sender.Receipt{}, sender.Expired("it was not handed over")
				}})
				second := new(fakeSender)
				b := connect("b", second)
				s, d := sending(), arrives(t, nowhere())
				d.chain, d.suspects, d.history = []*connector{a, b}, c.suspects, attempts(c.history, sender.Unavailable)
				d.expiresAt = time.Now().Add(c.good)
				v, ok := s.handle(t.Context(), d)
				if c.action == actDrop {
					isNotMine(t, v, ok)
				}
				check.Equal(t, "it decided", ok, true)
				check.Equal(t, "action", v.action, c.action)
				check.Equal(t, "reason", v.reason, c.reason)
				contains(t, "detail", v.detail, c.detail)
				check.Equal(t, "requests to b", second.requests(), 0)
				check.Equal(t, "requests that b was asked to admit", b.breaker.health.cb.Counts().Requests, 0)
				check.Equal(t, "attempts", len(d.history), c.history+1)
				check.Equal(t, "the attempt's code", d.lastAttempt().Code, sender.CodeExpired)
				same(t, "suspects", d.suspects, c.suspects)
				if c.action == actDead && (v.err == nil || v.err.Code != sender.CodeExpired) {
					t.Errorf("the verdict's error: got %v, want one of code %s", v.err, sender.CodeExpired)
				}
				untouched(t, a)
				idle(t, s, a, b)
			})
		})
	}
}

// TestSendAProvidersOwnWord: a provider can use the code for expired for something else. A
// message that it has refused, or may have accepted, was handed over.
func TestSendAProvidersOwnWord(t *testing.T) {
	for class, want := range map[sender.Class]action{sender.Permanent: actDead, sender.Unknown: actDoubt, sender.Misconfigured: actRetry} {
		t.Run(class.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a := connect("a", failing(&sender.Error{Class: class, Code: sender.CodeExpired, Detail: "the template has expired"}))
				s, d := sending(), arrives(t, nowhere())
				d.chain, d.expiresAt = []*connector{a}, time.Now().Add(10*time.Minute)
				v, _ := s.handle(t.Context(), d)
				check.Equal(t, "action", v.action, want)
			})
		})
	}
}

// TestSendNotHandedOverOpensNothing: the breaker of a slow connector does not open because
// codes expire, however many.
func TestSendNotHandedOverOpensNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := connect("a", failing(sender.Expired("it was not handed over")))
		s := sending()
		for range 3 * healthLeast {
			d := arrives(t, nowhere())
			d.chain = []*connector{a}
			s.handle(t.Context(), d)
		}
		check.Equal(t, "it may be called", a.breaker.lets(), true)
		untouched(t, a)
	})
}
