package worker

import (
	"context"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

// attempt renders the message for a connector, waits for its rate and its turn,
// and sends it once. Whether it is still to be sent is asked last: the waits may
// have been long. Nothing is decided, and there is no error, where the connector
// lets nothing through.
func (l *lane) attempt(ctx context.Context, d *delivery, c *connector) (v verdict, decided bool, err *sender.Error) {
	m, err := l.render(d, c)
	if err != nil {
		return verdict{}, false, err
	}
	if err, ok := l.limit(ctx, d, c); !ok {
		return verdict{}, false, err
	}
	done, ok := c.admit(ctx)
	if !ok {
		return verdict{}, false, nil
	}
	came := &sender.Error{Class: sender.Unknown} // of a panic
	defer func() { done(came) }()
	if v, decided := l.stillDue(ctx, d); decided {
		came = errNotMade
		return v, true, nil
	}
	receipt, err := l.send(ctx, d, c, m)
	if came = err; err != nil {
		return verdict{}, false, err
	}
	return verdict{status: messages.StatusSent, receipt: receipt}, true, nil
}

// render fills the connector's template in.
func (l *lane) render(d *delivery, c *connector) (*sender.Message, *sender.Error) {
	m, err := c.sender.Render(d.code)
	if err != nil {
		e := *sender.AsError(err)
		e.Detail = scrub("connector "+c.name+": "+e.Detail, d.code)
		return nil, &e // no attempt: nobody was asked
	}
	if n := len(m.Missing); n > 0 {
		l.opts.Metrics.missingValues.WithLabelValues(c.name).Add(float64(n))
	}
	return m, nil
}

// send makes the request.
func (l *lane) send(ctx context.Context, d *delivery, c *connector, m *sender.Message) (sender.Receipt, *sender.Error) {
	at, began := l.opts.Now(), time.Now()
	receipt, err := c.sender.Send(ctx, m)
	took := time.Since(began)
	c.metrics.seconds.Observe(took.Seconds())
	if err != nil {
		return receipt, l.failed(d, c, at, took, err)
	}
	c.metrics.ok.Inc()
	d.history = append(d.history, messages.Attempt{
		Connector: c.name, At: at.UTC(), DurationMS: took.Milliseconds(), Class: "ok", RequestID: receipt.RequestID,
	})
	return receipt, nil
}

// failed keeps an attempt that failed. What the provider said is scrubbed here,
// once for all providers: from here on it may stand in a log.
func (l *lane) failed(d *delivery, c *connector, at time.Time, took time.Duration, err error) *sender.Error {
	e := *sender.AsError(err)
	e.Detail = scrub(e.Detail, d.code)
	c.metrics.attempts[e.Class].Inc()
	d.history = append(d.history, messages.Attempt{
		Connector: c.name, At: at.UTC(), DurationMS: took.Milliseconds(),
		Class: e.Class.String(), Code: e.Code, Detail: e.Detail, RequestID: e.RequestID,
	})
	return &e
}
