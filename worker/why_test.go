package worker

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// TestDecideSaysWhoseBreaker: a message that no connector was called for is put back with the
// circuit breakers that let nothing pass.
func TestDecideSaysWhoseBreaker(t *testing.T) {
	for name, c := range map[string]struct {
		answers []answer
		why     ledger.Why
		open    []string
	}{
		"one breaker":           {[]answer{{connector: "a", open: true}}, ledger.WhyBreaker, []string{"a"}},
		"two breakers":          {[]answer{{connector: "a", open: true}, {connector: "b", open: true}}, ledger.WhyBreaker, []string{"a", "b"}},
		"a breaker and no slot": {[]answer{{connector: "a"}, {connector: "b", open: true}}, ledger.WhyBreaker, []string{"b"}},
		"no slot":               {[]answer{{connector: "a"}, {connector: "b"}}, ledger.WhySlots, nil},
		"one was called":        {[]answer{{connector: "a", open: true}, {connector: "b", err: &sender.Error{Class: sender.Throttled}}}, "", nil},
	} {
		d := fresh(t)
		d.expiresAt = noon.Add(time.Hour)
		v := policy{retry: retry, spread: steady}.decide(d, c.answers, noon)
		check.Equal(t, name+": why", v.why, c.why)
		check.Equal(t, name+": open", fmt.Sprint(v.open), fmt.Sprint(c.open))
	}
}

// TestTheLedgerSaysWhy: why a message was put back stands in the ledger, and only there
// where nothing has happened to the message.
func TestTheLedgerSaysWhy(t *testing.T) {
	for name, c := range map[string]struct {
		v    verdict
		why  ledger.Why
		open string
	}{
		"deferred":          {verdict{action: actDefer, delay: time.Second, why: ledger.WhyBreaker, open: []string{"a"}}, ledger.WhyBreaker, "[a]"},
		"newer ones first":  {verdict{action: actDefer, delay: time.Second, why: ledger.WhyNewerFirst}, ledger.WhyNewerFirst, "[]"},
		"released":          {verdict{action: actRelease, state: ledger.Released, why: ledger.WhyNotBegun}, ledger.WhyNotBegun, "[]"},
		"released in doubt": {verdict{action: actRelease, state: ledger.InDoubt, why: ledger.WhyNotBegun}, "", "[]"},
		"retried":           {verdict{action: actRetry, delay: time.Second, why: ledger.WhyBreaker, open: []string{"a"}}, "", "[]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newSettling(t)
				d := r.arrives(t)
				r.settles(t.Context(), d, c.v)
				e := entryOf(t, r.bucket, d)
				check.Equal(t, "why", e.Why, c.why)
				check.Equal(t, "open", fmt.Sprint(e.Open), c.open)
			})
		})
	}
}
