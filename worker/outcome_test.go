package worker

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestOutcome(t *testing.T) {
	o := func(change func(d *delivery), v verdict, s messages.Status) messages.Outcome {
		d := fresh(t)
		d.history = attempts(2, sender.Unavailable)
		d.history[1].DurationMS = 30
		if change != nil {
			change(d)
		}
		return (&reporter{channel: messages.SMS, now: atNoon}).outcome(d, v, s)
	}
	e := &sender.Error{Class: sender.Throttled, Code: "E-1", Detail: "slow down", RequestID: "R-9"}

	sent := o(nil, verdict{action: actSent, connector: "a", receipt: sender.Receipt{ProviderID: "P-1", RequestID: "R-1"}}, messages.StatusSent)
	check.Equal(t, "sent: status", sent.Status, messages.StatusSent)
	check.Equal(t, "sent: id", sent.ID, "id-1")
	check.Equal(t, "sent: app", sent.App, "default")
	check.Equal(t, "sent: channel", sent.Channel, messages.SMS)
	check.Equal(t, "sent: type", sent.Type, messages.SignIn)
	check.Equal(t, "sent: key", sent.Key, "u1")
	check.Equal(t, "sent: to", sent.To, messages.Mask("+8613012345678"))
	check.Equal(t, "sent: connector", sent.Connector, "a")
	check.Equal(t, "sent: provider's id", sent.ProviderID, "P-1")
	check.Equal(t, "sent: request", sent.RequestID, "R-1")
	check.Equal(t, "sent: attempt", sent.Attempt, 2)
	check.Equal(t, "sent: it took (ms)", sent.DurationMS, 30)
	check.Equal(t, "sent: sequence", sent.Sequence, 7)
	check.Equal(t, "sent: stored at", sent.StoredAt, noon.Add(-time.Second))
	check.Equal(t, "sent: at", sent.At, noon)
	check.Equal(t, "sent: no retry", sent.RetryAt == nil, true)

	found := o(nil, verdict{action: actSent, connector: "b"}, messages.StatusSent)
	check.Equal(t, "found by asking another: connector", found.Connector, "b")
	check.Equal(t, "found by asking another: it took (ms)", found.DurationMS, 0)

	retrying := o(nil, verdict{action: actRetry, err: e, delay: 3 * time.Second}, messages.StatusRetrying)
	check.Equal(t, "retrying: connector", retrying.Connector, "a")
	check.Equal(t, "retrying: class", retrying.Class, "throttled")
	check.Equal(t, "retrying: code", retrying.Code, "E-1")
	check.Equal(t, "retrying: detail", retrying.Detail, "slow down")
	check.Equal(t, "retrying: request", retrying.RequestID, "R-9")
	check.Equal(t, "retrying: at", *retrying.RetryAt, noon.Add(3*time.Second))

	doubt := o(func(d *delivery) { d.doubtFor, d.doubtGrace = 3*time.Second, time.Minute }, verdict{action: actDoubt, delay: 3 * time.Second}, messages.StatusUnknown)
	check.Equal(t, "in doubt: not sent again before", *doubt.RetryAt, noon.Add(time.Minute))
	doubt = o(func(d *delivery) { d.doubtFor, d.doubtGrace = 3*time.Second, time.Second }, verdict{action: actDoubt, delay: 3 * time.Second}, messages.StatusUnknown)
	check.Equal(t, "in doubt, asked for shorter: not sent again before", *doubt.RetryAt, noon.Add(3*time.Second))

	newer := o(nil, verdict{action: actSuperseded, detail: "message 9 superseded it"}, messages.StatusSuperseded)
	check.Equal(t, "superseded: detail", newer.Detail, "message 9 superseded it")
	check.Equal(t, "superseded: connector of the last attempt", newer.Connector, "a")
	check.Equal(t, "superseded: no request was made", newer.DurationMS, 0)
	check.Equal(t, "superseded: no retry", newer.RetryAt == nil, true)

	dead := o(nil, verdict{action: actDead, reason: messages.ReasonRejected, detail: "why", err: e}, messages.StatusDead)
	check.Equal(t, "dead: reason", dead.Reason, messages.ReasonRejected)
	check.Equal(t, "dead: detail", dead.Detail, "why")
	check.Equal(t, "dead: no retry", dead.RetryAt == nil, true)

	none := o(func(d *delivery) { d.history = nil }, verdict{action: actDead, reason: messages.ReasonInvalid}, messages.StatusDead)
	check.Equal(t, "no attempt: connector", none.Connector, "")
	check.Equal(t, "no attempt: attempt", none.Attempt, 0)

	shown := o(func(d *delivery) { d.subject.Key = "k-13012345678" }, verdict{action: actSent}, messages.StatusSent)
	check.Equal(t, "a key that shows the recipient", shown.Key, "")
}

func TestLogLevel(t *testing.T) {
	for class, want := range map[sender.Class]zerolog.Level{
		sender.AccountDown: zerolog.WarnLevel, sender.Misconfigured: zerolog.WarnLevel,
		sender.Unknown: zerolog.InfoLevel, sender.Permanent: zerolog.InfoLevel, sender.Throttled: zerolog.InfoLevel, sender.Unavailable: zerolog.InfoLevel,
	} {
		check.Equal(t, class.String(), logLevel(verdict{action: actRetry, err: &sender.Error{Class: class}}), want)
	}
	check.Equal(t, "no error", logLevel(verdict{action: actSent}), zerolog.InfoLevel)
	check.Equal(t, "dead, without an error", logLevel(verdict{action: actDead}), zerolog.WarnLevel)
	check.Equal(t, "dead", logLevel(verdict{action: actDead, err: &sender.Error{Class: sender.Permanent}}), zerolog.WarnLevel)
}
