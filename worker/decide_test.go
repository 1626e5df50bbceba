package worker

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// Exactly one rule applies to each combination of a connector's answer, the message's
// history, the time until its code expires and the kind of connector.
var (
	// saids are the answers of a connector; noCall means that it was not called.
	saids = map[string]*sender.Error{
		noCall:                      nil,
		"unknown":                   {Class: sender.Unknown, Code: "E", Detail: "failed"},
		"permanent":                 {Class: sender.Permanent, Code: "E", Detail: "failed"},
		"invalid":                   {Class: sender.Permanent, Code: sender.CodeInvalid, Detail: "failed"},
		"recipient-limited":         {Class: sender.RecipientLimited, Code: "E", Detail: "failed"},
		"recipient-limited shortly": {Class: sender.RecipientLimited, Code: "E", Detail: "failed", RetryAfter: 30 * time.Second},
		"recipient-limited at most": {Class: sender.RecipientLimited, Code: "E", Detail: "failed", RetryAfter: time.Minute},
		"recipient-limited long":    {Class: sender.RecipientLimited, Code: "E", Detail: "failed", RetryAfter: time.Minute + 1},
		"throttled":                 {Class: sender.Throttled, Code: "E", Detail: "failed"},
		"unavailable":               {Class: sender.Unavailable, Code: "E", Detail: "failed"},
		"misconfigured":             {Class: sender.Misconfigured, Code: "E", Detail: "failed"},
		"account-down":              {Class: sender.AccountDown, Code: "E", Detail: "failed"},
	}
	// pasts are the histories of a message, this attempt included.
	pasts = map[string]past{
		"first":    {history: attempts(1, sender.Unavailable)},
		"last":     {history: attempts(3, sender.Throttled)},
		"operator": {history: append(attempts(2, sender.Misconfigured), attempts(1, sender.AccountDown)...)},
		"doubted":  {history: attempts(1, sender.Unknown), suspects: []string{"b"}},
	}
	// lefts are the times until the code expires: little is less than any wait.
	lefts = map[string]time.Duration{"plenty": 10 * time.Minute, "little": 900 * time.Millisecond}
	kinds = map[string]answer{
		"askable":           {askable: true, askGrace: 8 * time.Second, onDoubt: config.Resend},
		"askable, dead":     {askable: true, askGrace: 8 * time.Second, onDoubt: config.Dead},
		"not askable":       {onDoubt: config.Resend},
		"not askable, dead": {onDoubt: config.Dead},
	}
)

const noCall = "not called"

// rule is the expected verdict in some of the combinations; an empty field stands for all
// values.
type rule struct {
	saids, pasts, lefts, kinds []string

	action action
	reason messages.Reason
	// delay is the delay after a first attempt; after the third it is four times as long
	// if grows is true.
	delay time.Duration
	grows bool
	// doubt is how long the provider is asked.
	doubt time.Duration
}

func (r rule) is(said, past, left, kind string) bool {
	for name, of := range map[string][]string{said: r.saids, past: r.pasts, left: r.lefts, kind: r.kinds} {
		if of != nil && !slices.Contains(of, name) {
			return false
		}
	}
	return true
}

var (
	askable   = []string{"askable", "askable, dead"}
	unaskable = []string{"not askable"}
	deadly    = []string{"not askable, dead"}
	undoubted = []string{"first", "last", "operator"}
	doubted   = []string{"doubted"}
	plenty    = []string{"plenty"}
	little    = []string{"little"}
)

var rules = []rule{
	{saids: []string{noCall}, action: actDefer, delay: leastDeferral},

	// In doubt: the provider is asked, for any history and any time until the expiry.
	{saids: []string{"unknown"}, kinds: askable, action: actDoubt, delay: time.Second, doubt: 9 * time.Second, pasts: []string{"first", "doubted"}},
	{saids: []string{"unknown"}, kinds: askable, action: actDoubt, delay: time.Second, doubt: 12 * time.Second, pasts: []string{"last", "operator"}},
	{saids: []string{"unknown"}, kinds: deadly, action: actDead, reason: messages.ReasonDoubt},
	{saids: []string{"unknown"}, kinds: unaskable, lefts: little, action: actDead, reason: messages.ReasonDoubt},
	{saids: []string{"unknown"}, kinds: unaskable, lefts: plenty, pasts: []string{"last"}, action: actDead, reason: messages.ReasonDoubt},
	{saids: []string{"unknown"}, kinds: unaskable, lefts: plenty, pasts: []string{"first", "doubted", "operator"}, action: actDoubt, delay: time.Second, grows: true},

	{saids: []string{"permanent"}, pasts: undoubted, action: actDead, reason: messages.ReasonRejected},
	{saids: []string{"invalid"}, pasts: undoubted, action: actDead, reason: messages.ReasonInvalid},
	{saids: []string{"permanent", "invalid"}, pasts: doubted, action: actDead, reason: messages.ReasonDoubt},

	{saids: []string{"recipient-limited", "recipient-limited long"}, pasts: undoubted, action: actDead, reason: messages.ReasonLimited},
	{saids: []string{"recipient-limited", "recipient-limited long"}, pasts: doubted, action: actDead, reason: messages.ReasonDoubt},
	{saids: []string{"recipient-limited shortly"}, lefts: plenty, action: actRetry, delay: 30 * time.Second},
	{saids: []string{"recipient-limited at most"}, lefts: plenty, action: actRetry, delay: time.Minute},
	{saids: []string{"recipient-limited shortly", "recipient-limited at most"}, lefts: little, pasts: undoubted, action: actDead, reason: messages.ReasonExpired},
	{saids: []string{"recipient-limited shortly", "recipient-limited at most"}, lefts: little, pasts: doubted, action: actDead, reason: messages.ReasonDoubt},

	{saids: []string{"throttled", "unavailable"}, pasts: []string{"last"}, action: actDead, reason: messages.ReasonUndeliverable},
	{saids: []string{"throttled", "unavailable"}, pasts: []string{"first", "operator"}, lefts: little, action: actDead, reason: messages.ReasonExpired},
	{saids: []string{"throttled", "unavailable"}, pasts: doubted, lefts: little, action: actDead, reason: messages.ReasonDoubt},
	{saids: []string{"throttled", "unavailable"}, pasts: []string{"first", "operator", "doubted"}, lefts: plenty, action: actRetry, delay: time.Second, grows: true},

	// An error that an operator has to fix costs no attempt.
	{saids: []string{"misconfigured", "account-down"}, lefts: plenty, action: actRetry, delay: time.Second, grows: true},
	{saids: []string{"misconfigured", "account-down"}, lefts: little, pasts: undoubted, action: actDead, reason: messages.ReasonExpired},
	{saids: []string{"misconfigured", "account-down"}, lefts: little, pasts: doubted, action: actDead, reason: messages.ReasonDoubt},
}

func TestDecideEveryCombination(t *testing.T) {
	p := policy{retry: retry, spread: steady}
	for said, err := range saids {
		for behind, past := range pasts {
			for left, good := range lefts {
				for kind, a := range kinds {
					t.Run(fmt.Sprintf("%s, %s, %s, %s", said, behind, left, kind), func(t *testing.T) {
						var want *rule
						for i := range rules {
							if rules[i].is(said, behind, left, kind) {
								if want != nil {
									t.Fatal("two rules apply")
								}
								want = &rules[i]
							}
						}
						if want == nil {
							t.Fatal("no rule applies")
						}
						d := fresh(t)
						d.past, d.expiresAt = past, noon.Add(good)
						a.connector, a.err = "a", err
						v := p.decide(d, []answer{a}, noon)
						wantIs(t, v, *want, len(past.history) == 3)
						wantDoubt(t, v, *want, past.suspects)
						if v.err != err {
							t.Errorf("the error of the verdict: got %v, want %v", v.err, err)
						}
						if v.action == actDead {
							contains(t, "the detail", v.detail, "failed") // the provider's text
						}
					})
				}
			}
		}
	}
}

func wantIs(t *testing.T, v verdict, want rule, third bool) {
	t.Helper()
	if third && want.grows {
		want.delay *= 4
	}
	check.Equal(t, "action", v.action, want.action)
	check.Equal(t, "reason", v.reason, want.reason)
	check.Equal(t, "delay", v.delay, want.delay)
}

func wantDoubt(t *testing.T, v verdict, want rule, before []string) {
	t.Helper()
	if want.action != actDoubt {
		same(t, "suspects", v.suspects, nil)
		return
	}
	same(t, "suspects", v.suspects, append(slices.Clone(before), "a"))
	check.Equal(t, "asked for", v.doubtGrace, want.doubt)
}

// TestDecideSeveralAnswers: an answer that ends the attempts decides. Otherwise the
// connector that can accept the message soonest decides.
func TestDecideSeveralAnswers(t *testing.T) {
	var (
		throttled = func(after time.Duration) answer {
			return answer{connector: "a", err: &sender.Error{Class: sender.Throttled, Code: "T", Detail: "slow down", RetryAfter: after}}
		}
		unavailable   = answer{connector: "b", err: &sender.Error{Class: sender.Unavailable, Code: "U", Detail: "away"}}
		misconfigured = answer{connector: "c", err: &sender.Error{Class: sender.Misconfigured, Code: "M", Detail: "wrong"}, opensIn: 20 * time.Second}
		limited       = answer{connector: "d", err: &sender.Error{Class: sender.RecipientLimited, Code: "L", Detail: "too many"}}
		shortly       = answer{connector: "d", err: &sender.Error{Class: sender.RecipientLimited, Code: "S", Detail: "too many", RetryAfter: 500 * time.Millisecond}}
		unknown       = answer{connector: "e", err: &sender.Error{Class: sender.Unknown, Code: "?", Detail: "no answer"}}
		permanent     = answer{connector: "e", err: &sender.Error{Class: sender.Permanent, Code: "P", Detail: "never"}}
		open          = func(in time.Duration) answer { return answer{connector: "f", open: true, opensIn: in} }
	)
	for name, c := range map[string]struct {
		answers []answer
		history int
		good    time.Duration // default: two hours
		action  action
		reason  messages.Reason
		delay   time.Duration
		code    string
	}{
		"one asks for an hour, the other is back at once": {answers: []answer{throttled(time.Hour), unavailable}, action: actRetry, delay: time.Second, code: "U"},
		"the same in the other order":                     {answers: []answer{unavailable, throttled(time.Hour)}, action: actRetry, delay: time.Second, code: "U"},
		"among equals the first":                          {answers: []answer{throttled(0), unavailable}, action: actRetry, delay: time.Second, code: "T"},
		"the hour is longer than the code is good, the other is back": {
			answers: []answer{throttled(time.Hour), unavailable}, good: time.Minute, action: actRetry, delay: time.Second, code: "U",
		},
		"nobody is back in time": {answers: []answer{throttled(time.Hour), misconfigured}, good: 20 * time.Second, action: actDead, reason: messages.ReasonExpired, code: "M"},
		"a limited recipient, and another connector may serve": {
			answers: []answer{limited, unavailable}, action: actRetry, delay: time.Second, code: "U",
		},
		"the same the other way round":               {answers: []answer{unavailable, limited}, action: actRetry, delay: time.Second, code: "U"},
		"a recipient limited by both":                {answers: []answer{limited, limited}, action: actDead, reason: messages.ReasonLimited, code: "L"},
		"limited for a moment is soonest":            {answers: []answer{unavailable, shortly}, action: actRetry, delay: 500 * time.Millisecond, code: "S"},
		"the operator's fault, and a blip":           {answers: []answer{misconfigured, unavailable}, action: actRetry, delay: time.Second, code: "U"},
		"the operator's fault waits for the breaker": {answers: []answer{misconfigured}, action: actRetry, delay: 20 * time.Second, code: "M"},
		"none was called: the one that opens first":  {answers: []answer{open(9 * time.Second), open(3 * time.Second), open(5 * time.Second)}, action: actDefer, delay: 3 * time.Second},
		"none was called, and one may be at once":    {answers: []answer{open(9 * time.Second), open(0)}, action: actDefer, delay: leastDeferral},
		"one was not called and is open soonest":     {answers: []answer{throttled(time.Hour), open(3 * time.Second)}, action: actRetry, delay: 3 * time.Second, code: "T"},
		"limited, and the other was not called":      {answers: []answer{limited, open(3 * time.Second)}, action: actRetry, delay: 3 * time.Second, code: "L"},
		"not called, then limited":                   {answers: []answer{open(3 * time.Second), limited}, action: actRetry, delay: 3 * time.Second, code: "L"},
		"the last attempt, and one was not called": {
			answers: []answer{open(3 * time.Second), unavailable}, history: 3, action: actDead, reason: messages.ReasonUndeliverable, code: "U",
		},
		"the last attempt, by two connectors":        {answers: []answer{throttled(0), unavailable}, history: 3, action: actDead, reason: messages.ReasonUndeliverable, code: "T"},
		"in doubt after another refused it":          {answers: []answer{throttled(0), unknown}, action: actDoubt, delay: time.Second, code: "?"},
		"refused for good after another was limited": {answers: []answer{limited, permanent}, action: actDead, reason: messages.ReasonRejected, code: "P"},
		"refused for good after one was not called":  {answers: []answer{open(time.Second), permanent}, action: actDead, reason: messages.ReasonRejected, code: "P"},
		"in doubt after one was not called":          {answers: []answer{open(time.Second), unknown}, action: actDoubt, delay: time.Second, code: "?"},
	} {
		t.Run(name, func(t *testing.T) {
			d := fresh(t)
			d.history = attempts(max(1, c.history), sender.Unavailable)
			if c.good == 0 {
				c.good = 2 * time.Hour
			}
			d.expiresAt = noon.Add(c.good)
			v := policy{retry: retry, spread: steady}.decide(d, c.answers, noon)
			check.Equal(t, "action", v.action, c.action)
			check.Equal(t, "reason", v.reason, c.reason)
			check.Equal(t, "delay", v.delay, c.delay)
			code := ""
			if v.err != nil {
				code = v.err.Code
			}
			check.Equal(t, "whose answer it is", code, c.code)
		})
	}
}

// TestDecideTheExpiryIsABound: there is no retry at or after the code's expiry.
func TestDecideTheExpiryIsABound(t *testing.T) {
	for _, c := range []struct {
		class  sender.Class
		good   time.Duration
		action action
	}{
		{sender.Throttled, time.Second, actDead},
		{sender.Throttled, time.Second + 1, actRetry},
		{sender.Misconfigured, time.Second, actDead},
		{sender.Misconfigured, time.Second + 1, actRetry},
		{sender.Unknown, time.Second, actDead},
		{sender.Unknown, time.Second + 1, actDoubt},
	} {
		d := fresh(t)
		d.history, d.expiresAt = attempts(1, c.class), noon.Add(c.good)
		v := policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: &sender.Error{Class: c.class}, onDoubt: config.Resend}}, noon)
		check.Equal(t, fmt.Sprintf("%v, good for %v: action", c.class, c.good), v.action, c.action)
	}
}

// TestDecideAShareIsUsedUp: the longer a message has waited for a place, the longer it
// waits before it tries again.
func TestDecideAShareIsUsedUp(t *testing.T) {
	for _, c := range []struct{ age, want time.Duration }{
		{0, leastDeferral},
		{time.Second, leastDeferral},
		{time.Second + 1, time.Second + 1},
		{10 * time.Second, 10 * time.Second},
		{30 * time.Second, mostDeferral},
		{time.Hour, mostDeferral},
	} {
		d := given{storedAt: noon.Add(-c.age)}.open(t, nowhere())
		p := policy{retry: retry, spread: steady}
		v := p.decide(d, []answer{{connector: "a"}}, noon)
		check.Equal(t, fmt.Sprintf("stored %v ago: action", c.age), v.action, actDefer)
		check.Equal(t, fmt.Sprintf("stored %v ago: delay", c.age), v.delay, c.want)
		v = p.decide(d, []answer{{connector: "a", open: true, opensIn: 40 * time.Second}}, noon)
		check.Equal(t, fmt.Sprintf("stored %v ago, the breaker is open: delay", c.age), v.delay, 40*time.Second)
	}
}

// TestDecideWithoutARequest: an operator has to fix what Render refuses, and no breaker
// delays the message.
func TestDecideWithoutARequest(t *testing.T) {
	d := fresh(t)
	v := policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: errWrongTemplate, unmade: true}}, noon)
	check.Equal(t, "action", v.action, actRetry)
	check.Equal(t, "delay", v.delay, mostDeferral)
	check.Equal(t, "the outcome says that no template fits", v.unfilled, true)
	check.Equal(t, "the outcome says why", v.err, errWrongTemplate)

	// Another connector can perhaps fill in its template, but could not be called.
	for _, told := range []bool{false, true} {
		d.unfilled = told
		v = policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: errWrongTemplate, unmade: true}, {connector: "b", open: true, opensIn: time.Second}}, noon)
		check.Equal(t, "one is open: action", v.action, actDefer)
		check.Equal(t, "one is open: delay", v.delay, time.Second)
		check.Equal(t, "one is open: why", v.why, ledger.WhyBreaker)
		check.Equal(t, "one is open: which", strings.Join(v.open, " "), "b")
		v = policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "b"}, {connector: "a", err: errWrongTemplate, unmade: true}}, noon)
		check.Equal(t, "one has no slot: action", v.action, actDefer)
		check.Equal(t, "one has no slot: why", v.why, ledger.WhySlots)
		check.Equal(t, "one has no slot: no outcome says that no template fits", v.unfilled, false)
	}

	d.unfilled = true
	v = policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: errWrongTemplate, unmade: true}, {connector: "b", err: errWrongTemplate, unmade: true}}, noon)
	check.Equal(t, "again: action", v.action, actDefer)
	check.Equal(t, "again: delay", v.delay, mostDeferral)
	check.Equal(t, "again: why", v.why, ledger.WhyTemplate)
	contains(t, "again: detail", v.detail, "no connector can fill in its template")
	check.Equal(t, "again: open", len(v.open), 0)

	v = policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: errWrongTemplate, unmade: true}, {connector: "b", err: &sender.Error{Class: sender.Throttled}}}, noon)
	check.Equal(t, "a request was made: action", v.action, actRetry)
	check.Equal(t, "a request was made: it is about that", v.unfilled, false)

	d.expiresAt = noon.Add(mostDeferral)
	v = policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: errWrongTemplate, unmade: true}}, noon)
	check.Equal(t, "no time is left: reason", v.reason, messages.ReasonExpired)
}

// TestDecideWaitsAsTheProviderAsks: the delay is what the provider asks for, but at least
// the backoff.
func TestDecideWaitsAsTheProviderAsks(t *testing.T) {
	for _, c := range []struct {
		class         sender.Class
		after, opens  time.Duration
		delay         time.Duration
		asked, doubts time.Duration
	}{
		{class: sender.Throttled, after: 7 * time.Second, delay: 7 * time.Second},
		{class: sender.Throttled, after: time.Millisecond, delay: time.Second},
		{class: sender.Unavailable, after: 7 * time.Second, delay: 7 * time.Second},
		{class: sender.Unavailable, opens: 7 * time.Second, delay: time.Second},
		{class: sender.AccountDown, opens: 7 * time.Second, delay: 7 * time.Second},
		{class: sender.AccountDown, opens: time.Millisecond, delay: time.Millisecond},
		{class: sender.AccountDown, delay: time.Second},
		{class: sender.Unknown, after: 7 * time.Second, delay: 7 * time.Second},
		{class: sender.Unknown, after: time.Millisecond, delay: time.Second},
		{class: sender.Unknown, after: 7 * time.Second, asked: 16 * time.Second, delay: 2 * time.Second, doubts: 23 * time.Second},
		{class: sender.Unknown, asked: time.Millisecond, delay: time.Millisecond, doubts: time.Second + time.Millisecond},
	} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			d := fresh(t)
			d.history = attempts(1, c.class)
			v := policy{retry: retry, spread: steady}.decide(d, []answer{{
				connector: "a", err: &sender.Error{Class: c.class, RetryAfter: c.after}, opensIn: c.opens,
				askable: c.asked > 0, askGrace: c.asked, onDoubt: config.Resend,
			}}, noon)
			check.Equal(t, "delay", v.delay, c.delay)
			if c.doubts > 0 {
				check.Equal(t, "asked for", v.doubtGrace, c.doubts)
			}
		})
	}
}

// TestDecideSaysWhy: the detail says what the operator has to know.
func TestDecideSaysWhy(t *testing.T) {
	e := func(c sender.Class) *sender.Error { return &sender.Error{Class: c, Code: "E-1", Detail: "no luck"} }
	for name, c := range map[string]struct {
		answer  answer
		history int
		good    time.Duration
		want    string
	}{
		"attempts used":     {answer{err: e(sender.Throttled)}, 3, time.Hour, "all 3 attempts failed; the last error: E-1: no luck"},
		"no time":           {answer{err: e(sender.Throttled)}, 1, time.Millisecond, "the code expires at 2026-06-01T12:00:00Z, before another attempt could be made; the last error: E-1: no luck"},
		"refused":           {answer{err: e(sender.Permanent)}, 1, time.Hour, "E-1: no luck"},
		"refused, no code":  {answer{err: &sender.Error{Class: sender.Permanent, Detail: "no luck"}}, 1, time.Hour, "no luck"},
		"invalid":           {answer{err: sender.Invalid("no luck")}, 0, time.Hour, "no luck"},
		"limited":           {answer{err: e(sender.RecipientLimited)}, 1, time.Hour, "E-1: no luck"},
		"onDoubt dead":      {answer{err: e(sender.Unknown), onDoubt: config.Dead}, 1, time.Hour, "connector a may have sent it, and its onDoubt is dead; its error: E-1: no luck"},
		"doubt, used":       {answer{err: e(sender.Unknown), onDoubt: config.Resend}, 3, time.Hour, "connector a may have sent it, and all 3 attempts are used; its error: E-1: no luck"},
		"doubt, no time":    {answer{err: e(sender.Unknown), onDoubt: config.Resend}, 1, 0, "connector a may have sent it, and its code expires at 2026-06-01T12:00:00Z, before another attempt could be made; its error: E-1: no luck"},
		"no connector open": {answer{}, 0, time.Hour, "no connector could be called"},
	} {
		d := fresh(t)
		d.history, d.expiresAt = attempts(c.history, sender.Throttled), noon.Add(c.good)
		c.answer.connector = "a"
		v := policy{retry: retry, spread: steady}.decide(d, []answer{c.answer}, noon)
		check.Equal(t, name, v.detail, c.want)
	}
}

// TestDecideAfterTheOnlyAttempt: with maxAttempts 1 there is no "all 1 attempts".
func TestDecideAfterTheOnlyAttempt(t *testing.T) {
	once := retry
	once.MaxAttempts = 1
	for class, want := range map[sender.Class]string{
		sender.Throttled: "its only attempt failed; the error: E-1: no luck",
		sender.Unknown:   "connector a may have sent it, and its only attempt is used; its error: E-1: no luck",
	} {
		d := fresh(t)
		d.history, d.expiresAt = attempts(1, class), noon.Add(time.Hour)
		a := answer{connector: "a", onDoubt: config.Resend, err: &sender.Error{Class: class, Code: "E-1", Detail: "no luck"}}
		check.Equal(t, class.String(), policy{retry: once, spread: steady}.decide(d, []answer{a}, noon).detail, want)
	}
}

// TestAttemptsUsed: attempts that failed because of the configuration or the account do
// not count.
func TestAttemptsUsed(t *testing.T) {
	for _, c := range []struct {
		history []messages.Attempt
		want    bool
	}{
		{nil, false},
		{attempts(2, sender.Unavailable), false},
		{attempts(3, sender.Unavailable), true},
		{attempts(4, sender.RecipientLimited), true},
		{append(attempts(2, sender.Unknown), attempts(5, sender.Misconfigured)...), false},
		{append(attempts(2, sender.Unknown), attempts(5, sender.AccountDown)...), false},
		{append(attempts(5, sender.AccountDown), attempts(3, sender.Throttled)...), true},
	} {
		if got := (policy{retry: retry}).attemptsUsed(c.history); got != c.want {
			t.Errorf("after %d attempts, the first %v: used is %v", len(c.history), c.history, got)
		}
	}
}

func TestBackoff(t *testing.T) {
	r := config.Retry{InitialInterval: time.Second, Multiplier: 3, MaxInterval: 20 * time.Second, RandomizationFactor: 0.5}
	for n, want := range map[int]time.Duration{
		0: time.Second, 1: time.Second, 2: 3 * time.Second, 3: 9 * time.Second, 4: 20 * time.Second, 9: 20 * time.Second,
	} {
		for random, factor := range map[float64]float64{0: 0.5, 0.5: 1, 1: 1.5} {
			got := backoffAfter(r, n, spread{func() float64 { return random }})
			check.Equal(t, fmt.Sprintf("after %d failures, random %v", n, random), got, time.Duration(float64(want)*factor))
		}
	}
}

func TestSpread(t *testing.T) {
	for random, want := range map[float64]time.Duration{
		0: 8 * time.Second, 0.5: 9*time.Second + 50*time.Millisecond, 1: 10*time.Second + 100*time.Millisecond,
	} {
		check.Equal(t, fmt.Sprintf("random %v", random), spread{func() float64 { return random }}.of(8*time.Second), want)
	}
}

// TestDecideWhenTheShareIsUsedUp: if no connector was called, the message is deferred for
// as long as it has waited already: frequent tries would use up the slots of the others.
func TestDecideWhenTheShareIsUsedUp(t *testing.T) {
	for _, c := range []struct{ waited, opens, want time.Duration }{
		{0, 0, leastDeferral},
		{time.Second, 0, time.Second},
		{10 * time.Second, 0, 10 * time.Second},
		{time.Hour, 0, mostDeferral},
		{10 * time.Second, 3 * time.Second, 3 * time.Second},
		{10 * time.Second, time.Millisecond, leastDeferral},
		{time.Second, 40 * time.Second, 40 * time.Second},
	} {
		d := given{storedAt: noon.Add(-c.waited)}.open(t, nowhere())
		v := policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", open: c.opens > 0, opensIn: c.opens}}, noon)
		check.Equal(t, fmt.Sprintf("delay after %v, open for %v", c.waited, c.opens), v.delay, c.want)
	}
}

// TestDecideSpreadsOnlyAPause: after an error that an operator has to fix, without an open
// breaker, the delay is the backoff alone.
func TestDecideSpreadsOnlyAPause(t *testing.T) {
	quick := retry
	quick.InitialInterval = 10 * time.Millisecond
	p := policy{retry: quick, spread: spread{func() float64 { return 1 }}}
	for opens, want := range map[time.Duration]time.Duration{0: 10 * time.Millisecond, time.Second: 1350 * time.Millisecond} {
		d := fresh(t)
		d.history = attempts(1, sender.Misconfigured)
		v := p.decide(d, []answer{{connector: "a", err: &sender.Error{Class: sender.Misconfigured}, opensIn: opens}}, noon)
		check.Equal(t, "delay, open for "+opens.String(), v.delay, want)
	}
}

// TestDecideASuspectOnce: a connector that is in doubt again is one suspect.
func TestDecideASuspectOnce(t *testing.T) {
	d := fresh(t)
	d.history, d.suspects = attempts(1, sender.Unknown), []string{"a", "b"}
	v := policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: &sender.Error{Class: sender.Unknown}, onDoubt: config.Resend}}, noon)
	same(t, "suspects", v.suspects, []string{"a", "b"})
}

// TestDecideByScope: the scope of an error decides which breaker opens, and so how long
// the message waits, but nothing else of the verdict.
func TestDecideByScope(t *testing.T) {
	for _, class := range sender.Classes() {
		for _, scope := range scopes {
			for opens, wait := range map[time.Duration]time.Duration{0: time.Second, 12 * time.Second: 12 * time.Second} {
				d := fresh(t)
				d.history = attempts(1, class)
				e := &sender.Error{Class: class, Scope: scope, Code: "E", Detail: "failed"}
				v := policy{retry: retry, spread: steady}.decide(d, []answer{{connector: "a", err: e, opensIn: opens, onDoubt: config.Resend}}, noon)
				what := fmt.Sprintf("%v of the %v, opens in %v: ", class, scope, opens)
				switch class {
				case sender.Permanent, sender.RecipientLimited:
					check.Equal(t, what+"action", v.action, actDead)
				case sender.Unknown:
					check.Equal(t, what+"action", v.action, actDoubt)
				case sender.Throttled, sender.Unavailable:
					check.Equal(t, what+"action", v.action, actRetry)
					check.Equal(t, what+"delay", v.delay, time.Second)
				case sender.Misconfigured, sender.AccountDown:
					check.Equal(t, what+"action", v.action, actRetry)
					check.Equal(t, what+"delay", v.delay, wait)
				}
			}
		}
	}
}

// TestDecideOpenIsNotUsedUp: a message that an open breaker delays waits for the breaker,
// however old the message is.
func TestDecideOpenIsNotUsedUp(t *testing.T) {
	d := given{storedAt: noon.Add(-time.Hour)}.open(t, nowhere())
	p := policy{retry: retry, spread: steady}
	check.Equal(t, "delay, if it may be tried by now", p.decide(d, []answer{{connector: "a", open: true}}, noon).delay, leastDeferral)
	check.Equal(t, "delay, if not", p.decide(d, []answer{{connector: "a", open: true, opensIn: 3 * time.Second}}, noon).delay, 3*time.Second)
}
