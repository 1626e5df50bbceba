package worker

import (
	"context"
	"encoding/json"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// reporter reports each step of a message in three places: the outcomes, the metrics and
// the log.
type reporter struct {
	channel   messages.Channel
	publisher *outcomePublisher
	doubts    doubtOutcomes
	now       func() time.Time
	log       zerolog.Logger
	messages  *prometheus.CounterVec
	seconds   prometheus.Observer
	// lost counts the outcomes that could not be stored. stored is called with the subject of
	// a stored doubt.
	lost   prometheus.Counter
	stored func(subject string)
}

// report reports a verdict, if it has an outcome. It blocks only for a doubt, until the
// outcome is stored or can't be; the end of ctx stops its retries.
func (t *reporter) report(ctx context.Context, d *delivery, v verdict) {
	status, published := v.status()
	if !published {
		return
	}
	o := t.outcome(d, v, status)
	t.publish(ctx, o)
	d.traced.outcome(o)
	t.messages.WithLabelValues(string(t.channel), string(status), string(v.reason), o.Connector).Inc()
	if status == messages.StatusSent {
		d.traced.observe(t.seconds, o.At.Sub(d.msg.StoredAt))
	}
	e := t.log.WithLevel(logLevel(v)).EmbedObject(d).Str("app", o.App).Str("type", string(o.Type)).
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

// logLevel is warn if a code is not sent, and if only an operator can fix the cause.
func logLevel(v verdict) zerolog.Level {
	if v.action == actDead || v.err != nil && operatorsFault(v.err) {
		return zerolog.WarnLevel
	}
	return zerolog.InfoLevel
}

func (t *reporter) outcome(d *delivery, v verdict, status messages.Status) messages.Outcome {
	o := messages.Outcome{
		ID: d.id, Epoch: d.epoch, App: d.subject.App, Channel: t.channel, Type: d.code.Type, Key: maskKey(d.subject.Key, d.code.To), Status: status, To: mask(d.code.To),
		ProviderID: v.receipt.ProviderID, RequestID: v.receipt.RequestID, Attempt: len(d.history),
		Reason: v.reason, Detail: v.detail, Sequence: d.place.Sequence, StoredAt: d.msg.StoredAt.UTC(), At: t.now().UTC(),
	}
	if last := d.lastAttempt(); last != nil {
		o.Connector, o.DurationMS = last.Connector, last.DurationMS
		if v.connector != "" && v.connector != last.Connector || status == messages.StatusSuperseded {
			o.DurationMS = 0 // the provider was only asked, or not called
		}
	}
	if v.connector != "" {
		o.Connector = v.connector
	}
	if status == messages.StatusSent {
		o.Publish = publishOf(d.msg).String()
	}
	if v.err != nil {
		o.Class, o.Code, o.RequestID = v.err.Class.String(), v.err.Code, v.err.RequestID
		if o.Detail == "" {
			o.Detail = v.err.Detail
		}
	}
	if status == messages.StatusRetrying || status == messages.StatusUnknown {
		at := o.At.Add(max(v.delay, d.doubtGrace-d.doubtFor+v.delay)) // until then the provider is only asked
		o.RetryAt = &at
	}
	return o
}

// publish hands an outcome to the stream, and does not wait for it: a lost outcome is
// counted, and loses no code. It waits only for a doubt.
func (t *reporter) publish(ctx context.Context, o messages.Outcome) {
	subject := wire.OutcomeSubject(o.App, o.Channel, o.Status)
	body, err := json.Marshal(o)
	switch {
	case err != nil:
	case o.Status == messages.StatusUnknown:
		if err = t.doubts.store(ctx, subject, body); err == nil {
			t.stored(subject)
		}
	default:
		t.publisher.publish(subject, body)
	}
	if err != nil {
		t.lost.Inc()
		t.log.Warn().Err(wire.Unsent(err)).Str("id", o.ID).Str("status", string(o.Status)).Msg("the outcome may be lost: it is not known that it was stored")
	}
}
