package worker

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// askStage finds out whether a message in doubt was sent. It asks the providers that can
// be asked, for as long as the connector's askGrace. For any other connector, its onDoubt
// decides.
type askStage struct {
	routes routes
	policy policy
	now    func() time.Time
	// bulkhead is that of the sends: a provider that hangs does not answer questions either,
	// and they must not take the slots of the others.
	bulkhead *bulkhead
	// report reports a doubt, and returns once its outcome is stored: the outcomes must
	// show a message that may arrive twice, even if this worker dies next.
	report func(ctx context.Context, d *delivery, v verdict)
}

// maxAskInterval is the longest wait between two questions to a provider.
const maxAskInterval = time.Minute

func (s askStage) handle(ctx context.Context, d *delivery) (verdict, bool) {
	if !d.inDoubt {
		return pass()
	}
	suspects, why := s.suspects(d)
	if len(suspects) == 0 {
		return decided(dead(d, messages.ReasonDoubt, why))
	}
	if d.doubtGrace == 0 {
		d.doubtGrace = longestGrace(suspects)
	}
	silent, wait, v, ok := s.askAll(ctx, d, suspects)
	if ok {
		return v, true
	}
	if wait > 0 {
		if d.lost {
			return decided(verdict{action: actDoubt, delay: wait, detail: lostWorkerDetail})
		}
		return decided(verdict{action: actAskAgain, delay: wait})
	}
	// The connectors that are left can't be asked, and may send again.
	d.inDoubt, d.suspects, d.doubtFor, d.doubtGrace = false, silent, 0, 0
	if d.lost {
		s.report(ctx, d, verdict{action: actDoubt, detail: lostWorkerDetail + resends(silent)})
	}
	if last := d.lastAttempt(); last != nil && s.policy.attemptsUsed(d.history) {
		return decided(dead(d, messages.ReasonUndeliverable, s.policy.exhausted(last.Code+": "+last.Detail)))
	}
	return pass()
}

// resends continues lostWorkerDetail if connectors that can't be asked may have sent the
// message, and it is sent again all the same.
func resends(silent []string) string {
	if len(silent) == 0 {
		return ""
	}
	return "; " + connectorList(silent) + " may have sent it and can't be asked, so it is sent again if the code is still valid: onDoubt is resend"
}

const lostWorkerDetail = "the worker that had the message before was lost"

// suspects returns the connectors that may have sent the message: those whose answer never
// came, and after a lost worker every connector of the route. If one of them is not in the
// configuration, it returns none, and why.
func (s askStage) suspects(d *delivery) (all []*connector, why string) {
	if d.lost {
		chain, gone := s.routes.of(d)
		if len(chain) == 0 {
			return nil, "a lost worker may have sent it, and now " + gone
		}
		for _, c := range chain {
			if !slices.Contains(d.suspects, c.name) {
				d.suspects = append(d.suspects, c.name)
			}
		}
	}
	for _, name := range d.suspects {
		c, ok := s.routes.connectors[name]
		if !ok {
			return nil, "connector " + name + " may have sent it, and is no longer in the configuration"
		}
		all = append(all, c)
	}
	return all, "it is not known whether it was sent, nor through which connector"
}

// askAll asks all suspects that can be asked. It returns the names of those that can't be,
// and how long to wait for those that do not know yet. ok is true if an answer decides.
func (s askStage) askAll(ctx context.Context, d *delivery, suspects []*connector) (silent []string, wait time.Duration, v verdict, ok bool) {
	var unaskable *connector
	for _, c := range suspects {
		asker, asked := c.sender.(sender.Asker)
		if !asked {
			silent = append(silent, c.name)
			if c.onDoubt == config.Dead {
				unaskable = c
			}
			continue
		}
		askIn, v, ok := s.ask(ctx, d, c, asker)
		if ok {
			return nil, 0, v, true
		}
		if askIn > 0 && (wait == 0 || askIn < wait) {
			wait = askIn
		}
	}
	if unaskable != nil && wait == 0 {
		return nil, 0, dead(d, messages.ReasonDoubt, fmt.Sprintf("it is not known whether connector %s has sent it, and its onDoubt is dead", unaskable.name)), true
	}
	return silent, wait, verdict{}, false
}

// ask asks one provider. It decides if the message was sent. askIn is how long to wait
// before the next question; 0 if the provider has not sent the message. If the message is
// not found before the grace is over, that proves nothing: no provider promises how soon a
// message appears.
func (s askStage) ask(ctx context.Context, d *delivery, c *connector, asker sender.Asker) (askIn time.Duration, v verdict, ok bool) {
	m, err := c.sender.Render(d.code)
	if err != nil {
		return 0, verdict{}, false // it can't have been sent
	}
	leave, entered := s.bulkhead.enter(ctx, d.subject.App, c.name)
	if !entered {
		return askAgainIn(d, c), verdict{}, false
	}
	defer leave()
	m.ID = providerID(d.id, d.msg, d.firstPlace())
	began := s.now()
	receipt, found, err := asker.Ask(ctx, m, s.since(d))
	now := s.now()
	d.traceQuestion(c, began, now.Sub(began), found, err)
	switch {
	case found:
		return 0, verdict{action: actSent, receipt: maskReceipt(receipt, d.code.To), connector: c.name, detail: "found by asking the provider"}, true
	case err != nil && d.expired(now):
		return 0, dead(d, messages.ReasonDoubt, fmt.Sprintf("connector %s may have sent it, and could not be asked before the code expired: %s", c.name, providerText(redacted(sender.AsError(err), d.code)))), true
	case err == nil && d.doubtFor >= d.doubtGrace:
		return 0, verdict{}, false
	}
	askIn = askAgainIn(d, c)
	if err == nil {
		askIn = min(askIn, d.doubtGrace-d.doubtFor)
	}
	return askIn, verdict{}, false
}

// askAgainIn returns after how long a provider is asked again that did not know, or could not be
// asked.
func askAgainIn(d *delivery, c *connector) time.Duration {
	return min(max(askFirst(c.askGrace), d.doubtFor), maxAskInterval)
}

// longestGrace returns how long the connectors are asked.
func longestGrace(suspects []*connector) time.Duration {
	longest := time.Duration(0)
	for _, c := range suspects {
		longest = max(longest, c.askGrace)
	}
	return longest
}

// since returns the earliest time at which the message can have been sent.
func (s askStage) since(d *delivery) time.Time {
	if last := d.lastAttempt(); last != nil && !d.lost && last.Class == sender.Unknown.String() {
		return last.At
	}
	return time.Unix(0, min(d.firstPlace().StoredAt, d.place.StoredAt))
}

// askFirst returns after how long a provider is first asked about a message in doubt. Each
// later wait is twice as long, up to the grace.
func askFirst(grace time.Duration) time.Duration { return max(grace/8, time.Millisecond) }
