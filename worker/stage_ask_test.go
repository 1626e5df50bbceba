package worker

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// asking returns the stage over connectors; it reports to a trace.
func asking(tr *trace, all ...*connector) askStage {
	return askStage{
		routes: routes{channel: messages.SMS, connectors: named(all...)}, policy: policy{retry: retry, spread: steady}, now: atNoon, bulkhead: newBulkhead(8, 1, 1),
		report: func(_ context.Context, _ *delivery, v verdict) {
			s, _ := v.status()
			tr.add("tell %s: %s", s, v.detail)
		},
	}
}

// answers makes a provider that can be asked and gives an answer.
func answers(found bool, err error) *fakeAsker {
	return &fakeAsker{ask: func(*sender.Message, time.Time) (bool, error) { return found, err }}
}

// unrenderable makes a provider that can be asked and has no template for a message.
func unrenderable() *fakeAsker {
	a := answers(false, nil)
	a.render = func(*messages.SendCode) (*sender.Message, error) { return nil, sender.Invalid("no template") }
	return a
}

// routed sets the message's route to connectors, in their order.
func (d *delivery) routed(connectors ...string) *delivery {
	d.app = config.App{SMS: steps(connectors...), CodeTTL: config.DefaultCodeTTL}
	return d
}

func TestAskPassesWhatIsNotInDoubt(t *testing.T) {
	tr, provider := new(trace), answers(true, nil)
	d := fresh(t)
	d.suspects = []string{"a"}
	if v, ok := asking(tr, connect("a", provider)).handle(t.Context(), d); ok {
		t.Errorf("it decided on action %d", v.action)
	}
	check.Equal(t, "asked", len(provider.asked), 0)
	check.Equal(t, "told", tr.String(), "")
}

// TestQuestionsLeaveSlotsToOthers: questions that hang take no more slots than sends. A message
// that could not be asked about stays in doubt, also after its code has expired.
func TestQuestionsLeaveSlotsToOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		shared := newBulkhead(8, 2, 1)
		hanging := func() askStage {
			s := asking(new(trace), connect("a", &fakeAsker{ask: func(*sender.Message, time.Time) (bool, error) {
				<-release
				return true, nil
			}}))
			s.bulkhead = shared
			return s
		}
		doubtful := func() *delivery {
			d := fresh(t).routed("a")
			d.inDoubt, d.suspects, d.doubtFor = true, []string{"a"}, 4*time.Second
			return d
		}
		var asked sync.WaitGroup
		for range 6 {
			asked.Go(func() { hanging().handle(t.Context(), doubtful()) })
		}
		synctest.Wait()
		<-time.After(time.Second) // they took their slots a while ago
		for name, edit := range map[string]func(d *delivery){
			"its code is valid":    func(*delivery) {},
			"its code has expired": func(d *delivery) { d.expiresAt = noon.Add(-time.Second) },
		} {
			d := doubtful()
			edit(d)
			v, ok := hanging().handle(t.Context(), d)
			check.True(t, name+": the stage decides", ok, v)
			check.Equal(t, name+": action", v.action, actAskAgain)
			check.Equal(t, name+": delay", v.delay, 4*time.Second)
		}
		leave, ok := shared.enter(t.Context(), "default", "b")
		check.True(t, "another connector has a slot", ok, shared.total)
		leave()
		close(release)
		asked.Wait()
		check.Equal(t, "places that are taken in the end", shared.total, 0)
	})
}

// TestAskOneSuspect: a message in doubt at one connector, whose grace is 8 s.
func TestAskOneSuspect(t *testing.T) {
	var (
		found    = func() sender.Sender { return answers(true, nil) }
		notFound = func() sender.Sender { return answers(false, nil) }
		silent   = func() sender.Sender { return answers(false, errors.New("no answer")) }
		mute     = func() sender.Sender { return new(fakeSender) }
	)
	const passed = action(0)
	for name, c := range map[string]struct {
		provider func() sender.Sender
		onDoubt  config.OnDoubt
		// since is how long it has been in doubt; the providers are asked for 10 s.
		since   time.Duration
		expired bool
		history int
		action  action
		reason  messages.Reason
		delay   time.Duration
		// suspect is true if the connector stays a suspect, inDoubt if the message stays in doubt.
		suspect bool
		inDoubt bool
		detail  string
	}{
		"found": {provider: found, action: actSent, detail: "found by asking the provider"},
		"found, though the code has expired and no attempt is left": {provider: found, expired: true, history: 3, since: time.Hour, action: actSent},

		"not found at once":                         {provider: notFound, action: actAskAgain, delay: time.Second, suspect: true},
		"not found after 4 s":                       {provider: notFound, since: 4 * time.Second, action: actAskAgain, delay: 4 * time.Second, suspect: true},
		"not found after 7 s: to the end":           {provider: notFound, since: 7 * time.Second, action: actAskAgain, delay: 3 * time.Second, suspect: true},
		"not found a moment before the end":         {provider: notFound, since: 10*time.Second - 1, action: actAskAgain, delay: 1, suspect: true},
		"not found at the end":                      {provider: notFound, since: 10 * time.Second, action: passed},
		"not found, and the code has expired":       {provider: notFound, since: time.Second, expired: true, action: actAskAgain, delay: time.Second, suspect: true},
		"not found at the end, no attempt is left":  {provider: notFound, since: 10 * time.Second, history: 3, action: actDead, reason: messages.ReasonUndeliverable, detail: "all 3 attempts failed; the last error: E: failed"},
		"not found at the end, onDoubt is dead":     {provider: notFound, onDoubt: config.Dead, since: 10 * time.Second, action: passed},
		"not found at the end, one attempt is left": {provider: notFound, since: 10 * time.Second, history: 2, action: passed},

		"no answer":                            {provider: silent, since: time.Second, action: actAskAgain, delay: time.Second, suspect: true},
		"no answer, long after the end":        {provider: silent, since: 20 * time.Second, action: actAskAgain, delay: 20 * time.Second, suspect: true},
		"no answer for hours":                  {provider: silent, since: 2 * time.Hour, action: actAskAgain, delay: maxAskInterval, suspect: true},
		"no answer, and the code has expired":  {provider: silent, since: time.Second, expired: true, action: actDead, reason: messages.ReasonDoubt, suspect: true, inDoubt: true, detail: "connector a may have sent it, and could not be asked before the code expired: no answer"},
		"no answer, though no attempt is left": {provider: silent, history: 3, action: actAskAgain, delay: time.Second, suspect: true},

		"can't be asked":                       {provider: mute, action: passed, suspect: true},
		"can't be asked, no attempt is left":   {provider: mute, history: 3, action: actDead, reason: messages.ReasonDoubt, suspect: true, detail: "connector a may have sent it; since then: all 3 attempts failed; the last error: E: failed"},
		"can't be asked, one attempt is left":  {provider: mute, history: 2, action: passed, suspect: true},
		"can't be asked and its onDoubt: dead": {provider: mute, onDoubt: config.Dead, action: actDead, reason: messages.ReasonDoubt, suspect: true, inDoubt: true, detail: "it is not known whether connector a has sent it, and its onDoubt is dead"},
	} {
		t.Run(name, func(t *testing.T) {
			tr := new(trace)
			a := connect("a", c.provider())
			if c.onDoubt != "" {
				a.onDoubt = c.onDoubt
			}
			d := fresh(t).routed("a")
			d.inDoubt, d.suspects, d.history = true, []string{"a"}, attempts(c.history, sender.Unavailable)
			d.doubtFor, d.doubtGrace = c.since, 10*time.Second
			if c.expired {
				d.expiresAt = noon
			}
			v, ok := asking(tr, a).handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.action != passed)
			check.Equal(t, "action", v.action, c.action)
			check.Equal(t, "reason", v.reason, c.reason)
			check.Equal(t, "delay", v.delay, c.delay)
			contains(t, "detail", v.detail, c.detail)
			check.Equal(t, "told", tr.String(), "")
			if c.action == actSent {
				check.Equal(t, "connector", v.connector, "a")
				check.Equal(t, "receipt", v.receipt.ProviderID, "found")
				return
			}
			same(t, "suspects", d.suspects, map[bool][]string{true: {"a"}}[c.suspect])
			check.Equal(t, "still in doubt", d.inDoubt, c.action == actAskAgain || c.inDoubt)
			if c.action == passed {
				check.Equal(t, "in doubt for", d.doubtFor, 0)
				check.Equal(t, "asked for", d.doubtGrace, 0)
			}
		})
	}
}

// TestAskAfterALostWorker: every connector of the route may have sent it, and the onDoubt
// of each counts.
func TestAskAfterALostWorker(t *testing.T) {
	for name, c := range map[string]struct {
		a, b     *connector
		route    []string
		before   []string
		elapsed  time.Duration
		action   action
		reason   messages.Reason
		delay    time.Duration
		suspects []string
		told     string
		detail   string
	}{
		"the second has sent it": {
			a: connect("a", answers(false, nil)), b: connect("b", answers(true, nil)), route: []string{"a", "b"}, action: actSent, suspects: []string{"a", "b"},
		},
		"the first does not know, and the second has sent it": {
			a: connect("a", answers(false, errors.New("no answer"))), b: connect("b", answers(true, nil)), route: []string{"a", "b"}, action: actSent, suspects: []string{"a", "b"},
		},
		"none has it yet": {
			a: connect("a", answers(false, nil)), b: connect("b", answers(false, nil)), route: []string{"a", "b"},
			action: actDoubt, delay: time.Second, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"the one that is asked again sooner counts": {
			a: connect("a", answers(false, nil)), b: connect("b", answers(false, nil), func(c *connector) { c.askGrace = 800 * time.Millisecond }), route: []string{"a", "b"},
			action: actDoubt, delay: 100 * time.Millisecond, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"none has it, the longest grace is over": {
			a: connect("a", answers(false, nil), func(c *connector) { c.askGrace = time.Second }), b: connect("b", answers(false, nil)), route: []string{"a", "b"},
			elapsed: 8 * time.Second, told: "tell unknown: " + lostWorkerDetail,
		},
		"none has it, the shortest grace is over": {
			a: connect("a", answers(false, nil), func(c *connector) { c.askGrace = time.Second }), b: connect("b", answers(false, nil)), route: []string{"a", "b"},
			elapsed: 7 * time.Second, action: actDoubt, delay: time.Second, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"one is asked again, the other has surely not sent it": {
			a: connect("a", answers(false, nil)), b: connect("b", unrenderable()), route: []string{"a", "b"},
			action: actDoubt, delay: time.Second, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"none can have sent it": {
			b: connect("b", unrenderable()), route: []string{"b"}, told: "tell unknown: " + lostWorkerDetail,
		},
		"the one that is asked again sooner counts, in the other order": {
			a: connect("a", answers(false, nil), func(c *connector) { c.askGrace = 800 * time.Millisecond }), b: connect("b", answers(false, nil)), route: []string{"a", "b"},
			action: actDoubt, delay: 100 * time.Millisecond, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"neither can be asked: both may send again, and it is told": {
			a: connect("a", new(fakeSender)), b: connect("b", new(fakeSender)), route: []string{"a", "b"},
			suspects: []string{"a", "b"}, told: "tell unknown: " + lostWorkerDetail + "; one of the connectors [a b] may have sent it and can't be asked, so it is sent again if the code is still valid: onDoubt is resend",
		},
		"onDoubt dead counts after a lost worker": {
			a: connect("a", new(fakeSender), onDoubtDead), route: []string{"a"},
			action: actDead, reason: messages.ReasonDoubt, suspects: []string{"a"}, detail: "it is not known whether connector a has sent it, and its onDoubt is dead",
		},
		"onDoubt dead of any connector of the route": {
			a: connect("a", new(fakeSender)), b: connect("b", new(fakeSender), onDoubtDead), route: []string{"a", "b"},
			action: actDead, reason: messages.ReasonDoubt, suspects: []string{"a", "b"}, detail: "it is not known whether connector b has sent it, and its onDoubt is dead",
		},
		"onDoubt dead, though an older doubt names another": {
			a: connect("a", new(fakeSender)), b: connect("b", new(fakeSender), onDoubtDead), route: []string{"a", "b"}, before: []string{"a"},
			action: actDead, reason: messages.ReasonDoubt, suspects: []string{"a", "b"}, detail: "connector b",
		},
		"onDoubt dead waits for what can be asked": {
			a: connect("a", answers(false, nil)), b: connect("b", new(fakeSender), onDoubtDead), route: []string{"a", "b"},
			action: actDoubt, delay: time.Second, suspects: []string{"a", "b"}, detail: lostWorkerDetail,
		},
		"and then it counts": {
			a: connect("a", answers(false, nil)), b: connect("b", new(fakeSender), onDoubtDead), route: []string{"a", "b"}, elapsed: 8 * time.Second,
			action: actDead, reason: messages.ReasonDoubt, suspects: []string{"a", "b"}, detail: "connector b",
		},
		"what is found counts more than onDoubt dead": {
			a: connect("a", new(fakeSender), onDoubtDead), b: connect("b", answers(true, nil)), route: []string{"a", "b"},
			action: actSent, suspects: []string{"a", "b"},
		},
		"those that can't be asked stay suspects": {
			a: connect("a", answers(false, nil)), b: connect("b", new(fakeSender)), route: []string{"a", "b"}, elapsed: 8 * time.Second,
			suspects: []string{"b"}, told: "tell unknown: " + lostWorkerDetail + "; connector b may have sent it and can't be asked, so it is sent again if the code is still valid: onDoubt is resend",
		},
		"a suspect that left the route is asked too": {
			a: connect("a", answers(true, nil)), b: connect("b", answers(false, nil)), route: []string{"b"}, before: []string{"a"},
			action: actSent, suspects: []string{"a", "b"},
		},
		"a suspect that left the configuration": {
			b: connect("b", answers(true, nil)), route: []string{"b"}, before: []string{"a"},
			action: actDead, reason: messages.ReasonDoubt, suspects: []string{"a", "b"}, detail: "connector a may have sent it, and is no longer in the configuration",
		},
		"no route is left": {
			a:      connect("a", answers(true, nil)),
			action: actDead, reason: messages.ReasonDoubt, detail: "a lost worker may have sent it, and now app default has no connector for sms",
		},
	} {
		t.Run(name, func(t *testing.T) {
			tr := new(trace)
			var all []*connector
			for _, conn := range []*connector{c.a, c.b} {
				if conn != nil {
					all = append(all, conn)
				}
			}
			d := fresh(t).routed(c.route...)
			d.inDoubt, d.lost, d.suspects = true, true, c.before
			d.doubtFor = c.elapsed
			v, ok := asking(tr, all...).handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.action != 0)
			check.Equal(t, "action", v.action, c.action)
			check.Equal(t, "reason", v.reason, c.reason)
			check.Equal(t, "delay", v.delay, c.delay)
			contains(t, "detail", v.detail, c.detail)
			same(t, "suspects", d.suspects, c.suspects)
			check.Equal(t, "told", tr.String(), c.told)
		})
	}
}

// TestAskAndSendAtOnce: the outcome of a message that is sent again at once does not name the
// time until which providers would be asked.
func TestAskAndSendAtOnce(t *testing.T) {
	d := fresh(t).routed("a")
	d.inDoubt, d.lost = true, true
	s := asking(new(trace), connect("a", new(fakeSender)))
	var said *time.Time
	s.report = func(_ context.Context, d *delivery, v verdict) {
		said = (&reporter{channel: messages.SMS, now: atNoon}).outcome(d, v, messages.StatusUnknown).RetryAt
	}
	_, ok := s.handle(t.Context(), d)
	check.Equal(t, "it decided", ok, false)
	check.Equal(t, "it is sent again at", *said, noon)
}

// TestAskWithoutASuspect: no provider can be asked, so nothing more is tried.
func TestAskWithoutASuspect(t *testing.T) {
	d := fresh(t).routed("a")
	d.inDoubt = true
	v, ok := asking(new(trace), connect("a", answers(false, nil))).handle(t.Context(), d)
	check.Equal(t, "it decided", ok, true)
	check.Equal(t, "action", v.action, actDead)
	check.Equal(t, "reason", v.reason, messages.ReasonDoubt)
	contains(t, "detail", v.detail, "nor through which connector")
}

// TestAskKeepsTheBoundsOfADoubt: the time for which providers are asked is fixed when the
// doubt begins.
func TestAskKeepsTheBoundsOfADoubt(t *testing.T) {
	provider := answers(false, nil)
	s := asking(new(trace), connect("a", provider))
	d := fresh(t).routed("a")
	d.inDoubt, d.suspects, d.doubtFor = true, []string{"a"}, time.Second
	s.handle(t.Context(), d)
	check.Equal(t, "asked for", d.doubtGrace, 8*time.Second)
	s.routes.connectors["a"].askGrace = time.Hour
	s.handle(t.Context(), d)
	check.Equal(t, "asked for, after the grace was changed", d.doubtGrace, 8*time.Second)
}

// TestAskAboutTheSameMessage: the question has the name with which the message was sent,
// and the earliest time at which it can have been sent.
func TestAskAboutTheSameMessage(t *testing.T) {
	stored := noon.Add(-time.Second)
	for name, c := range map[string]struct {
		history []messages.Attempt
		lost    bool
		first   time.Time // when the first of equal publishes was stored
		want    time.Time
	}{
		"the attempt in doubt":         {history: attempts(2, sender.Unknown), want: noon},
		"another attempt is the last":  {history: attempts(2, sender.Unavailable), want: stored},
		"no attempt":                   {want: stored},
		"a lost worker":                {history: attempts(2, sender.Unknown), lost: true, want: stored},
		"stored twice: since the fist": {lost: true, first: noon.Add(-time.Minute), want: noon.Add(-time.Minute)},
		"never later than stored":      {lost: true, first: noon.Add(time.Minute), want: stored},
	} {
		t.Run(name, func(t *testing.T) {
			var id string
			provider := &fakeAsker{ask: func(m *sender.Message, _ time.Time) (bool, error) {
				id = m.ID
				return true, nil
			}}
			d := fresh(t).routed("a")
			d.inDoubt, d.suspects, d.history, d.lost = true, []string{"a"}, c.history, c.lost
			if !c.first.IsZero() {
				d.first = ledger.Place{Sequence: 5, StoredAt: c.first.UnixNano()}
			}
			asking(new(trace), connect("a", provider)).handle(t.Context(), d)
			if len(provider.asked) != 1 {
				t.Fatalf("asked %d times, want once", len(provider.asked))
			}
			if got := provider.asked[0]; !got.Equal(c.want) {
				t.Errorf("asked since %v, want %v", got.UTC(), c.want)
			}
			check.Equal(t, "its name", id, providerID("id-1", d.msg, d.firstPlace()))
		})
	}
}

// TestAskWhatCannotBeRendered: a connector that has no template for it has not sent it.
func TestAskWhatCannotBeRendered(t *testing.T) {
	provider := answers(true, nil)
	provider.render = func(*messages.SendCode) (*sender.Message, error) { return nil, sender.Invalid("no template") }
	d := fresh(t).routed("a", "b")
	d.inDoubt, d.lost = true, true
	v, _ := asking(new(trace), connect("a", provider), connect("b", answers(true, nil))).handle(t.Context(), d)
	check.Equal(t, "asked", len(provider.asked), 0)
	check.Equal(t, "action", v.action, actSent)
	check.Equal(t, "connector", v.connector, "b")
}

// TestAskLeaksNothing: a dead letter may hold a provider's text about a message.
func TestAskLeaksNothing(t *testing.T) {
	e := &sender.Error{Code: "E", Detail: "no record of 13012345678 with 123456"}
	d := fresh(t).routed("a")
	d.inDoubt, d.suspects, d.expiresAt = true, []string{"a"}, noon
	v, _ := asking(new(trace), connect("a", answers(false, e))).handle(t.Context(), d)
	contains(t, "detail", v.detail, "E: no record of [hidden] with [hidden]")
	check.Equal(t, "the provider's own error", e.Detail, "no record of 13012345678 with 123456")
}

func TestAskFirst(t *testing.T) {
	for grace, want := range map[time.Duration]time.Duration{8 * time.Second: time.Second, 0: time.Millisecond, time.Millisecond: time.Millisecond, 16 * time.Millisecond: 2 * time.Millisecond} {
		check.Equal(t, "grace "+grace.String(), askFirst(grace), want)
	}
}
