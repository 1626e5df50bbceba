package worker

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/config"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// connector is a configured Sender, with its breaker, rate limiter and metrics.
type connector struct {
	name     string
	sender   sender.Sender
	onDoubt  config.OnDoubt
	askGrace time.Duration
	limiter  *rateLimiter
	breaker  *breaker
	metrics  connectorMetrics
	unfilled *unfilled
}

// answer returns the connector's result, for decide; err is nil if it was not called.
func (c *connector) answer(r request, err *sender.Error) answer {
	_, askable := c.sender.(sender.Asker)
	in, _ := c.breaker.may(r)
	return answer{connector: c.name, err: err, opensIn: in, askable: askable, askGrace: c.askGrace, onDoubt: c.onDoubt}
}

// open returns the result for a message that its breaker, or the template's, did not let
// pass.
func (c *connector) open(r request) answer {
	a := c.answer(r, nil)
	a.open = true
	return a
}

// render fills in the connector's template.
func (c *connector) render(d *delivery) (*sender.Message, *sender.Error) {
	m, err := c.sender.Render(d.code)
	if err != nil {
		e := redacted(sender.AsError(err), d.code)
		e.Detail = "connector " + c.name + ": " + e.Detail
		return nil, e // not an attempt: no provider was called
	}
	m.ID = providerID(d.id, d.msg, d.firstPlace())
	if n := len(m.Missing); n > 0 {
		c.metrics.missing.Add(float64(n))
		c.unfilled.report(d.code.Type, m)
	}
	return m, nil
}

// errNotStarted means that the request was not made because the worker stops.
var errNotStarted = &sender.Error{Class: sender.Unavailable, Code: "not started"}

// send makes the request. It is handed over before the code expires and while this worker
// owns the message, or not at all. at is the current time of the clock by which codes
// expire; owned is when the lease ends.
func (c *connector) send(ctx context.Context, d *delivery, m *sender.Message, at, owned time.Time) (sender.Receipt, *sender.Error) {
	if ctx.Err() != nil {
		return sender.Receipt{}, errNotStarted
	}
	began := time.Now()
	m.NotAfter = began.Add(d.expiresAt.Sub(at))
	if owned.Before(m.NotAfter) {
		m.NotAfter = owned
	}
	receipt, err := c.sender.Send(ctx, m)
	took := time.Since(began)
	d.traced.observe(c.metrics.seconds, took)
	receipt = maskReceipt(receipt, d.code.To)
	if err != nil {
		return receipt, c.failed(d, at, took, sender.AsError(err))
	}
	c.metrics.ok.Inc()
	c.tried(d, attempt(c, at, took, nil, receipt.RequestID), took)
	return receipt, nil
}

// failed adds a failed attempt to the history. It redacts the provider's text, for all
// providers: after this, logs may hold the text.
func (c *connector) failed(d *delivery, at time.Time, took time.Duration, err *sender.Error) *sender.Error {
	e := redacted(err, d.code)
	c.metrics.attempts[e.Class].Inc()
	c.tried(d, attempt(c, at, took, e, ""), took)
	return e
}

// tried adds an attempt to the message's history and to its trace.
func (c *connector) tried(d *delivery, a messages.Attempt, took time.Duration) {
	d.history = append(d.history, a)
	d.traced.request(d.subject.Channel, a, took)
}
