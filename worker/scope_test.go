package worker

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/rs/zerolog"
	"github.com/sony/gobreaker/v2"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/sender"
)

// scopes are the scopes of an error.
var scopes = []sender.Scope{
	sender.ScopeByClass, sender.ScopeMessage, sender.ScopeRecipient, sender.ScopeDomain,
	sender.ScopeTemplate, sender.ScopeConnector, sender.ScopeAccount,
}

// TestBreakerWhatAnAnswerMoves: what an answer of each scope and class changes in a connector's
// breakers, rate and warm-up.
func TestBreakerWhatAnAnswerMoves(t *testing.T) {
	for _, scope := range scopes {
		for _, class := range sender.Classes() {
			e := &sender.Error{Class: class, Scope: scope, Code: "E"}
			t.Run(fmt.Sprintf("%v, %v", scope, class), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					wide := e.SpeaksOf() == sender.ScopeConnector || e.SpeaksOf() == sender.ScopeAccount
					operators := class == sender.Misconfigured || class == sender.AccountDown
					unwell := class == sender.Unavailable || class == sender.Throttled || class == sender.Unknown
					b, tr := guarding()
					r := request{to: "u@example.com", template: "Register"}
					after(time.Second)
					done, _ := b.admit(t.Context(), r)
					done(e)
					check.Equal(t, "open", b.open(), wide && operators)
					check.Equal(t, "it is known to work", b.warmup.passed.Load(), !wide && class != sender.Unknown)
					check.Equal(t, "slower", b.limiter.lowered.Load(), wide && class == sender.Throttled)
					check.Equal(t, "requests that the rate counts", b.limiter.calls.Load(), 1)
					failed := uint32(0)
					if wide && unwell {
						failed = 1
					}
					check.Equal(t, "failures that its health counts", b.health.cb.Counts().TotalFailures, failed)
					_, ok := b.may(r)
					narrow := scope == sender.ScopeTemplate && operators
					check.Equal(t, "the template may be sent", ok, !(wide && operators) && !narrow)
					in, ok := b.may(request{template: "SignIn"})
					check.Equal(t, "another template may be sent", ok, !(wide && operators))
					check.Equal(t, "in", in, map[bool]time.Duration{true: 20 * time.Second}[wide && operators])
					check.Equal(t, "requests without an answer", b.requests.Load(), 0)
					want := ""
					switch {
					case narrow:
						want = "templates 1"
					case wide && operators:
						want = "open true"
					}
					check.Equal(t, "changes", tr.empty(), want)
					check.Equal(t, "breakers of templates that are kept", len(b.templates.all), map[bool]int{true: 1}[narrow])
				})
			})
		}
	}
}

// TestBreakerManyNarrowAnswers: any number of them changes nothing, even after the
// rate was lowered.
func TestBreakerManyNarrowAnswers(t *testing.T) {
	for _, scope := range scopes[1:5] {
		for _, class := range sender.Classes() {
			synctest.Test(t, func(t *testing.T) {
				b, _ := guarding()
				for range 80 {
					b.limiter.answered(nil)
				}
				after(time.Second)
				b.limiter.answered(throttled)
				limit := b.limiter.limiter.Limit()
				for i := range 5 * healthLeast {
					after(rateStep)
					done, ok := b.admit(t.Context(), request{template: fmt.Sprint(i)})
					if !ok {
						t.Fatalf("scope %v, class %v: the request was not admitted", scope, class)
					}
					done(&sender.Error{Class: class, Scope: scope})
				}
				check.Equal(t, fmt.Sprintf("%v, %v: closed", scope, class), b.closed(), true)
				check.Equal(t, fmt.Sprintf("%v, %v: rate", scope, class), b.limiter.limiter.Limit(), limit)
			})
		}
	}
}

// TestBreakerNarrowAnswerCloses: such an answer shows that the connector works.
func TestBreakerNarrowAnswerCloses(t *testing.T) {
	for _, scope := range scopes[1:5] {
		for class, closes := range map[sender.Class]bool{sender.Unavailable: true, sender.Permanent: true, sender.Misconfigured: true, sender.Unknown: false} {
			synctest.Test(t, func(t *testing.T) {
				b, _ := guarding()
				requests(t, b, 1, errNoMoney)
				requests(t, b, 0, nil)
				after(20*time.Second + 1)
				requests(t, b, 1, &sender.Error{Class: class, Scope: scope})
				check.Equal(t, fmt.Sprintf("%v, %v: closed", scope, class), b.closed(), closes)
				check.Equal(t, fmt.Sprintf("%v, %v: open", scope, class), b.open(), false)
				check.Equal(t, fmt.Sprintf("%v, %v: it is known to work", scope, class), b.warmup.passed.Load(), closes)
			})
		}
	}
}

// errWrongTemplate is a provider's answer about a template that it does not have.
var errWrongTemplate = &sender.Error{Class: sender.Misconfigured, Scope: sender.ScopeTemplate, Code: "isv.SMS_TEMPLATE_ILLEGAL"}

// TestTemplateBreaker: from open to closed.
func TestTemplateBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := new(strings.Builder)
		tr := new(trace)
		b := newBreaker(breakerOptions{
			pauses: config.Worker{AccountPause: 20 * time.Second, HealthPause: 5 * time.Second}, limiter: newRateLimiter(0),
			log: zerolog.New(log), changed: func(open bool) { tr.add("open %v", open) }, templates: func(n int) { tr.add("templates %d", n) },
		})
		register, other := request{template: "Register"}, request{template: "Generic"}
		may := func(r request) bool { _, ok := b.may(r); return ok }
		admit := func(r request) func(*sender.Error) {
			t.Helper()
			done, ok := b.admit(t.Context(), r)
			if !ok {
				t.Fatalf("the template %s was not admitted", r.template)
			}
			return done
		}
		before := admit(register)
		second := admit(register)
		admit(register)(errWrongTemplate)
		second(errWrongTemplate) // the request was made earlier
		admit(other)(errWrongTemplate)
		check.Equal(t, "changes", tr.empty(), "templates 1, templates 2")
		contains(t, "log", log.String(), `"template":"Register"`)
		contains(t, "log", log.String(), "circuit breaker of a template opened")
		contains(t, "log", log.String(), `"class":"misconfigured","code":"isv.SMS_TEMPLATE_ILLEGAL"`)
		check.Equal(t, "Register may be sent", may(register), false)
		if _, ok := b.admit(t.Context(), register); ok {
			t.Error("the template Register was admitted")
		}
		check.Equal(t, "the connector is closed", b.closed(), true)
		check.Equal(t, "requests that its health counts", b.health.cb.Counts().Requests-b.health.cb.Counts().TotalExclusions, 4)
		check.Equal(t, "tries", b.warmup.trying, 0)
		before(nil) // an old answer says nothing about the current state
		in, _ := b.may(register)
		check.Equal(t, "Register may be sent in", in, 20*time.Second)

		after(20*time.Second + 1)
		check.Equal(t, "Register may be tried", may(register), true)
		check.Equal(t, "Register may be tried by what has failed", may(request{template: "Register", tried: true}), false)
		probe := admit(register)
		check.Equal(t, "by another one as well", may(register), false)
		probe(errWrongTemplate)
		in, _ = b.may(register)
		check.Equal(t, "Register may be sent in", in, 20*time.Second)

		after(20*time.Second + 1)
		for _, e := range []*sender.Error{
			{Class: sender.Permanent, Scope: sender.ScopeRecipient},
			{Class: sender.Throttled},
			{Class: sender.Unknown},
			{Class: sender.Unavailable, Scope: sender.ScopeTemplate},
		} {
			admit(register)(e)
			check.Equal(t, "Register may be tried after "+e.Error(), may(register), false)
			after(lostPause)
		}
		admit(register)(errNotMade)
		admit(register)(nil)
		check.Equal(t, "Register may be sent", may(request{template: "Register", tried: true}), true)
		check.Equal(t, "changes", tr.empty(), "templates 1")
		contains(t, "log", log.String(), "circuit breaker of a template closed")
		check.Equal(t, "breakers that are kept", len(b.templates.all), 1)
		admit(register)(nil)
		admit(register)(errWrongTemplate)
		check.Equal(t, "changes", tr.empty(), "templates 2")
	})
}

// TestTemplateHearsOfItself: an answer that is not about the template leaves a half-open
// breaker as it is.
func TestTemplateHearsOfItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		r := request{template: "Register"}
		b.templates.open("Register", errWrongTemplate)
		after(20*time.Second + 1)
		done, ok := b.templates.admit(r)
		check.Equal(t, "admitted", ok, true)
		b.templates.answered(done, r, errNoMoney) // the account's
		in, _ := b.may(r)
		check.Equal(t, "it may be tried in", in, lostPause)
		requests(t, b, 1, nil)
		check.Equal(t, "breakers that are kept", len(b.templates.all), 1)
	})
}

// TestAdmitOpensMeanwhile: a request that waits to try the connector is not admitted if one
// of the breakers has opened meanwhile, and leaves no trace.
func TestAdmitOpensMeanwhile(t *testing.T) {
	r := request{template: "Register"}
	for name, open := range map[string]func(b *breaker){
		"the account": func(b *breaker) {
			done, _ := b.account.admit(false)
			done(errNoMoney)
		},
		"its health": func(b *breaker) {
			for range healthLeast {
				done, _ := b.health.admit(false)
				done(errAway)
			}
		},
		"the template": func(b *breaker) { b.templates.open(r.template, errWrongTemplate) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b, _ := guarding()
				for range maxTrying {
					b.warmup.begin(t.Context())
				}
				admitted := make(chan bool)
				go func() {
					_, ok := b.admit(t.Context(), r)
					admitted <- ok
				}()
				synctest.Wait()
				open(b)
				b.warmup.end(false)
				check.Equal(t, "admitted", <-admitted, false)
				check.Equal(t, "tries", b.warmup.trying, maxTrying-1)
				check.Equal(t, "requests without an answer", b.requests.Load(), 0)
				for which, c := range map[string]*circuit{"account": b.account, "health": b.health} {
					if n := c.cb.Counts(); c.cb.State() == gobreaker.StateClosed && n.Requests != n.TotalSuccesses+n.TotalFailures+n.TotalExclusions {
						t.Errorf("%s: %+v: a request is still waited for", which, n)
					}
				}
			})
		})
	}
}

// TestAdmitDoesNotWaitForOneThatIsOpen: other requests try the connector, and admit does
// not wait for them.
func TestAdmitDoesNotWaitForOneThatIsOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		requests(t, b, 1, errNoMoney)
		for range maxTrying {
			b.warmup.begin(t.Context())
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		began := time.Now()
		_, ok := b.admit(ctx, request{})
		check.Equal(t, "admitted", ok, false)
		check.Equal(t, "waited", time.Since(began), 0)
	})
}

// TestBreakerHealthLooksBack: the window is always the last ten seconds, not a fixed
// period.
func TestBreakerHealthLooksBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		after(healthWindow - time.Second)
		requests(t, b, healthLeast/2, errAway)
		after(2 * time.Second)
		requests(t, b, healthLeast/2, errAway)
		check.Equal(t, "open", b.open(), true)
	})
}

// TestTemplateOfNoName: a connector that names no templates counts as having one.
func TestTemplateOfNoName(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, _ := guarding()
		requests(t, b, 1, errWrongTemplate)
		_, ok := b.may(request{})
		check.Equal(t, "it may be sent", ok, false)
		check.Equal(t, "the connector is open", b.open(), false)
	})
}

// TestConnectorAnswerOfATemplate: decide learns how long the template's own breaker stays
// open.
func TestConnectorAnswerOfATemplate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := connect("a", new(fakeSender))
		done, _ := c.breaker.admit(t.Context(), request{template: "Register"})
		done(errWrongTemplate)
		after(5 * time.Second)
		check.Equal(t, "of the template", c.answer(request{template: "Register"}, errWrongTemplate).opensIn, 15*time.Second)
		check.Equal(t, "of another one", c.answer(request{template: "SignIn"}, nil).opensIn, 0)
		trip(t, c)
		check.Equal(t, "if both are open", c.open(request{template: "Register"}).opensIn, 20*time.Second)
		after(19 * time.Second)
		check.Equal(t, "of another one", c.open(request{template: "SignIn"}).opensIn, time.Second)
		check.Equal(t, "open", c.open(request{}).open, true)
		check.Equal(t, "open, if it was called", c.answer(request{}, nil).open, false)
	})
}
