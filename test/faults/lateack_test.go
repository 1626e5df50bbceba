package faults

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/internal/fakes/relay"
	"github.com/codeferry/codeferry/internal/syncbuf"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestALateAckTakesNothingOfTheNextStream: a worker has sent a code, and its ack is on its way
// when the stream is deleted and made again. JetStream accepts an ack by its sequence only: if
// the new stream counted from 1, the ack would remove a message that is not sent yet.
func TestALateAckTakesNothingOfTheNextStream(t *testing.T) {
	t.Parallel()
	var log syncbuf.Buffer
	r := newRun(Plan{Seed: 1, Broker: R1, Apps: []string{slowApp}, Workers: 2, Times: Times{WorkerCut: 1}, Slots: 8, Messages: 1000}, t.TempDir(), &log)
	showLog(t, &log)
	t.Cleanup(r.end)
	if err := r.start(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	outcomes := r.outcomes(t)
	p, err := messages.NewPublisher(r.nc, messages.PublisherOptions{})
	if err != nil {
		t.Fatal(err)
	}
	publish := func(key string) uint64 {
		t.Helper()
		ack, err := p.Publish(t.Context(), messages.Subject{App: slowApp, Channel: messages.SMS, Key: key},
			&messages.SendCode{ID: key, To: "13000000001", Type: messages.SignIn, Payload: messages.Payload{"code": "123456"}})
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return ack.Sequence
	}
	eventually := func(what string, so func(context.Context) (bool, error)) {
		t.Helper()
		if err := within(t.Context(), time.Minute, what, func(ctx context.Context) error {
			ok, err := so(ctx)
			if err == nil && !ok {
				err = errors.New("not yet")
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	// waits reports whether the stream still has a message for SMS.
	waits := func(ctx context.Context) (bool, error) {
		s, err := r.js.Stream(ctx, wire.StreamName)
		if err != nil {
			return false, err
		}
		return s.CachedInfo().State.Msgs > 0, nil
	}

	r.provider.slow(time.Second)
	first := publish("old")
	var holder int
	eventually("the old code is with a worker", func(context.Context) (bool, error) {
		made := r.provider.made()
		if len(made) > 0 {
			holder = made[0].worker
		}
		return len(made) > 0, nil
	})
	r.ways[holder].set(relay.Held) // the ack can't come through
	if err := r.js.DeleteStream(t.Context(), wire.StreamName); err != nil {
		t.Fatal(err)
	}
	if err := r.provision(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := r.provider.box.SetFaults([]fakealiyun.Fault{{Action: "SendSms", Code: "ServiceUnavailable"}}); err != nil {
		t.Fatal(err)
	}
	r.provider.slow(0)
	if again := publish("new"); again <= first {
		t.Errorf("the new stream stores its first message as %d, and the old one had a message %d", again, first)
	}
	attempts := func(n int) func(context.Context) (bool, error) {
		return func(context.Context) (bool, error) { return len(r.provider.made()) >= n, nil }
	}
	eventually("the new code is tried, and waits for its retry", attempts(2))
	r.ways[holder].set(relay.Open)
	eventually("the old code is said to be sent", func(context.Context) (bool, error) {
		return slices.ContainsFunc(outcomes(), func(o messages.Outcome) bool { return o.ID == "old" && o.Status == messages.StatusSent }), nil
	})
	tried := len(r.provider.made()) // the ack comes right after the outcome
	eventually("the new code is tried some more times, or has gone", func(ctx context.Context) (bool, error) {
		if ok, err := attempts(tried + 4)(ctx); ok || err != nil {
			return ok, err
		}
		ok, err := waits(ctx)
		return !ok, err
	})
	if err := r.provider.box.SetFaults(nil); err != nil {
		t.Fatal(err)
	}
	eventually("the stream is empty", func(ctx context.Context) (bool, error) {
		ok, err := waits(ctx)
		return !ok, err
	})
	if n := len(r.provider.box.Inbox("13000000001")); n != 2 {
		t.Errorf("%d codes were sent, want the old one and the new one", n)
	}
}
