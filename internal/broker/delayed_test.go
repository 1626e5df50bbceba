package broker_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestProvisionWhileDelayedNaksWait provisions consumers again, unchanged or with another
// AckWait. They lose no message that waits for its retry, and still take the ack of a message
// in flight. If they are unchanged, the delay stays. With another AckWait the server moves the
// delay by the difference, because it stores a delay as an AckWait that began later;
// docs/operation.md says so.
func TestProvisionWhileDelayedNaksWait(t *testing.T) {
	t.Parallel()
	const delay = 2 * time.Second
	for name, c := range map[string]struct {
		before, after time.Duration
	}{
		"the same":         {before: 30 * time.Second, after: 30 * time.Second},
		"a longer AckWait": {before: 5 * time.Second, after: 7 * time.Second},
		"a shorter one":    {before: 12 * time.Second, after: 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, js := connect(t, start(t, t.TempDir()).URL())
			if err := broker.Provision(deadline(t), js, wire.StreamOptions{AckWait: c.before}); err != nil {
				t.Fatal(err)
			}
			publish := func(key string) {
				if _, err := js.Publish(deadline(t), "codeferry.send.default.sms.SignIn."+key, []byte(`{}`)); err != nil {
					t.Fatal(err)
				}
			}
			publish("delayed")
			delayed := next(t, js)
			if err := delayed.NakWithDelay(delay); err != nil {
				t.Fatal(err)
			}
			asked := time.Now()
			publish("held")
			held := next(t, js)
			if err := broker.Provision(deadline(t), js, wire.StreamOptions{AckWait: c.after}); err != nil {
				t.Fatal(err)
			}
			if err := held.DoubleAck(deadline(t)); err != nil {
				t.Errorf("the ack of a message that was handed out before: %v", err)
			}
			again := next(t, js)
			waited := time.Since(asked)
			t.Logf("the delayed message came after %s", waited)
			if again.Subject() != delayed.Subject() {
				t.Fatalf("%s came", again.Subject())
			}
			if least := delay + c.after - c.before; waited < least-100*time.Millisecond {
				t.Errorf("it came after %s, before its delay of %s was over, AckWait %s instead of %s", waited, delay, c.after, c.before)
			}
			if err := again.DoubleAck(deadline(t)); err != nil {
				t.Error(err)
			}
			info, err := js.Stream(deadline(t), wire.StreamName)
			if err != nil {
				t.Fatal(err)
			}
			if n := info.CachedInfo().State.Msgs; n != 0 {
				t.Errorf("%d messages are left", n)
			}
		})
	}
}

// next waits for the SMS consumer's next message.
func next(t *testing.T, js jetstream.JetStream) jetstream.Msg {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	consumer, err := js.Consumer(ctx, wire.StreamName, string(messages.SMS))
	if err != nil {
		t.Fatal(err)
	}
	m, err := consumer.Next(jetstream.FetchMaxWait(30 * time.Second))
	if err != nil {
		t.Fatal(err)
	}
	return m
}
