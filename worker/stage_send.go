package worker

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker/internal/jetpull"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// sendStage tries the connectors of the route until one accepts the message, may have
// accepted it, or refuses it permanently. It always decides.
type sendStage struct {
	bulkhead *bulkhead
	newest   newest
	policy   policy
	quota    *quota
	// backlog has how many messages wait.
	backlog *backlog
	// mine reports whether a message still belongs to this worker, and until when.
	mine func(m *jetpull.Message) (until time.Time, ok bool)
	now  func() time.Time
}

func (s sendStage) handle(ctx context.Context, d *delivery) (verdict, bool) {
	var answers []answer
	for _, c := range d.chain {
		a, v, ok := s.try(ctx, d, c)
		if ok {
			return v, true
		}
		a.opensIn = min(a.opensIn, s.lookAgain())
		answers = append(answers, a)
		if a.err != nil && !passesOn(a.err.Class) {
			break
		}
	}
	return decided(s.quota.review(d, s.policy.decide(d, answers, s.now())))
}

// How soon a message checks again whether the breaker that it waits for lets it pass. This
// can be long before the breaker's pause is over, because another worker's message may
// have closed it, or the configuration may have changed. Each check costs a delivery and a
// write to the ledger: with the server's part, nearly a millisecond of a core. So if many
// messages wait, each checks less often.
const (
	lookAfter      = 4 * time.Second
	looksPerSecond = 100
)

func (s sendStage) lookAgain() time.Duration {
	return max(lookAfter, time.Duration(s.backlog.pending.Load())*time.Second/looksPerSecond)
}

// passesOn reports whether another connector may be tried: this one has surely not
// accepted the message, and another one may.
func passesOn(c sender.Class) bool {
	switch c {
	case sender.Unknown, sender.Permanent:
		return false
	case sender.RecipientLimited, sender.Throttled, sender.Unavailable, sender.Misconfigured, sender.AccountDown:
	}
	return true
}

// try sends the message through one connector: it takes a place in the bulkhead, renders,
// waits for the rate limiter, asks the breaker, and makes the request. It decides if the
// message was sent or must no longer be sent. Otherwise the answer says why the connector
// did not accept it, or says that it was not called.
func (s sendStage) try(ctx context.Context, d *delivery, c *connector) (a answer, v verdict, ok bool) {
	r := request{to: d.code.To, tried: d.failedAt(c.name)}
	if _, may := c.breaker.mayAny(r.tried); !may {
		return c.open(r), verdict{}, false
	}
	leave, entered := s.bulkhead.enter(ctx, d.subject.App, c.name)
	if !entered {
		return c.answer(r, nil), verdict{}, false
	}
	defer leave()
	m, err := c.render(d)
	if err != nil {
		a := c.answer(r, err)
		a.unmade = true
		return a, verdict{}, false
	}
	r.template = m.Template
	if _, may := c.breaker.may(r); !may {
		return c.open(r), verdict{}, false
	}
	if err, ok := s.wait(ctx, d, c); !ok {
		return c.answer(r, err), verdict{}, false
	}
	done, admitted := c.breaker.admit(ctx, r)
	if !admitted {
		return c.open(r), verdict{}, false
	}
	err, v, ok = s.request(ctx, d, c, m, done)
	if ok {
		return answer{}, v, true
	}
	return c.answer(r, err), verdict{}, false
}

// request makes a request that was admitted, if the message is still due, and calls done
// with the result. It decides if the message was sent or must no longer be sent. Otherwise
// err says why it was not accepted; err is nil if the worker stops.
func (s sendStage) request(ctx context.Context, d *delivery, c *connector, m *sender.Message, done func(*sender.Error)) (err *sender.Error, v verdict, ok bool) {
	result := &sender.Error{Class: sender.Unknown} // if the connector panics
	defer func() { done(result) }()
	if v, ok := s.stillDue(ctx, d); ok {
		result = errNotMade
		return nil, v, true
	}
	owned, ok := s.mine(d.msg)
	if !ok {
		result = errNotMade
		return nil, notMine(), true
	}
	receipt, err := c.send(ctx, d, m, s.now(), owned)
	result = err
	switch {
	case err == nil:
	case err == errNotStarted:
		result = errNotMade
		return nil, verdict{}, false
	case notHandedOver(err) && !d.expired(s.now()):
		result = errNotMade
		return nil, notMine(), true
	case notHandedOver(err):
		result = errNotMade // it says something about the message, and nothing about the connector
		return nil, tooLate(d, s.now()).because(err), true
	default:
		return err, verdict{}, false
	}
	return nil, verdict{action: actSent, receipt: receipt, connector: c.name, detail: secondSend(d)}, true
}

// secondSend returns the detail of a message that was sent although a connector may have
// sent it before; empty if none can have.
func secondSend(d *delivery) string {
	if len(d.suspects) == 0 {
		return ""
	}
	return "it may arrive twice: " + connectorList(d.suspects) + " may have sent it before and can't be asked, and onDoubt is resend"
}

// wait waits for the connector's rate limiter. If the message's turn would come only after
// its code expires, it does not wait, and leaves its turn to another message. ok is false
// if the message can't be sent now; err says why, and is nil if the worker stops.
func (s sendStage) wait(ctx context.Context, d *delivery, c *connector) (err *sender.Error, ok bool) {
	wait, failed := c.limiter.wait(ctx, s.now(), d.expired)
	switch {
	case failed != nil:
		return c.failed(d, s.now(), 0, failed), false
	case wait && ctx.Err() != nil:
		return nil, false //nolint:nilerr // the worker stops: nothing has happened to the message
	}
	return nil, true
}

// recentlyHandedOut is how long a message may be in flight before its attempt and still
// count as the newest of its subject without a check. In less time a newer message is
// hardly published, handed out and sent.
const recentlyHandedOut = 20 * time.Millisecond

// stillDue checks, directly before the request, whether the code has expired or was
// superseded: the waits may have been long.
func (s sendStage) stillDue(ctx context.Context, d *delivery) (verdict, bool) {
	now := s.now()
	if d.expired(now) {
		return decided(tooLate(d, now))
	}
	if time.Since(d.msg.Arrived)+d.msg.Late < recentlyHandedOut {
		return pass()
	}
	return s.newest.check(ctx, d)
}

// notMine is the verdict about a message that was not sent here and that another worker
// may have by now. It is not put back: it comes again without that, and may be in flight
// already.
func notMine() verdict {
	return verdict{action: actDrop, state: ledger.Released, detail: "it waited here for so long that another worker may have it"}
}

// notHandedOver reports whether the request was not made because NotAfter was over. A
// provider can use the same code for something else, but not with this class.
func notHandedOver(err *sender.Error) bool {
	return err.Code == sender.CodeExpired && err.Class == sender.Unavailable
}

// attempt returns what the history keeps of a request.
func attempt(c *connector, at time.Time, took time.Duration, err *sender.Error, requestID string) messages.Attempt {
	a := messages.Attempt{Connector: c.name, At: at.UTC(), DurationMS: took.Milliseconds(), Class: "ok", RequestID: requestID}
	if err != nil {
		a.Class, a.Code, a.Detail, a.RequestID = err.Class.String(), err.Code, err.Detail, err.RequestID
	}
	return a
}
