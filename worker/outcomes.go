package worker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/messages"
)

// story tells of a step of a message's way, once in each place where somebody
// looks for it: the outcomes, the metrics and the log.
func (l *lane) story(d *delivery, v verdict) {
	o := l.outcome(d, v)
	l.publish(o)
	m := l.opts.Metrics
	m.messages.WithLabelValues(string(l.channel), string(v.status), string(v.reason), o.Connector).Inc()
	if v.status == messages.StatusSent {
		l.deliverySeconds.Observe(o.At.Sub(d.storedAt).Seconds())
	}
	e := l.log.Info().Str("id", o.ID).Str("app", o.App).Str("type", string(o.Type)).
		Str("to", o.To).Int("attempt", o.Attempt)
	for _, f := range []struct{ name, value string }{
		{"connector", o.Connector},
		{"providerId", o.ProviderID},
		{"requestId", o.RequestID},
		{"reason", string(o.Reason)},
		{"class", o.Class},
		{"code", o.Code},
		{"detail", o.Detail},
	} {
		if f.value != "" {
			e = e.Str(f.name, f.value)
		}
	}
	if o.RetryAt != nil {
		e = e.Time("retryAt", *o.RetryAt)
	}
	e.Int64("ms", o.DurationMS).Msg(string(o.Status))
}

func (l *lane) outcome(d *delivery, v verdict) messages.Outcome {
	o := messages.Outcome{
		ID: d.id, Epoch: d.epoch, App: d.subject.App, Channel: l.channel, Type: d.code.Type, Key: shownKey(d.subject.Key, d.code.To), Status: v.status, To: masked(d.code.To),
		ProviderID: v.receipt.ProviderID, RequestID: v.receipt.RequestID, Attempt: len(d.history),
		Reason: v.reason, Detail: v.detail, StoredAt: d.storedAt.UTC(), At: l.opts.Now().UTC(),
	}
	if n := len(d.history); n > 0 {
		o.Connector, o.DurationMS = d.history[n-1].Connector, d.history[n-1].DurationMS
	}
	if v.connector != "" {
		o.Connector, o.DurationMS = v.connector, 0
	}
	if v.err != nil {
		o.Class, o.Code, o.RequestID = v.err.Class.String(), v.err.Code, v.err.RequestID
		if o.Detail == "" {
			o.Detail = v.err.Detail
		}
	}
	if v.status == messages.StatusRetrying || v.status == messages.StatusUnknown {
		at := o.At.Add(v.delay)
		if d.doubtUntil.After(at) {
			at = d.doubtUntil // until then the provider is asked
		}
		o.RetryAt = &at
	}
	return o
}

// publish hands an outcome to the stream, and does not wait for it: one that is
// lost is counted, and loses no code. A doubt is waited for: whoever may get a
// code twice is to be found in the outcomes, also when this worker dies next.
func (l *lane) publish(o messages.Outcome) {
	subject := messages.OutcomeSubject(o.App, o.Channel, o.Status)
	body, err := json.Marshal(o)
	switch {
	case err != nil:
	case o.Status == messages.StatusUnknown:
		ctx, cancel := context.WithTimeout(context.Background(), doubtTimeout)
		defer cancel()
		_, err = l.js.Publish(ctx, subject, body, jetstream.WithRetryAttempts(int(doubtTimeout/jetstream.DefaultPubRetryWait)))
	default:
		l.feed.publish(subject, body)
	}
	if err != nil {
		l.opts.Metrics.outcomesLost.Inc()
	}
}

// doubtTimeout is how long a doubt's outcome is tried to be stored: longer than a
// cluster takes to elect a leader.
const doubtTimeout = 10 * time.Second
