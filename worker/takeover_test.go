package worker_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/config"
	fakealiyun "github.com/codeferry/codeferry/internal/fakes/aliyun"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
	"github.com/codeferry/codeferry/sender"
	"github.com/codeferry/codeferry/worker"
)

// TestAWorkerThatWasCutOffLosesItsMessage: a worker sends, is cut off from NATS for longer
// than AckWait, and comes back while another one has the message in flight. It does not
// overwrite the other's claim, and puts nothing back.
func TestAWorkerThatWasCutOffLosesItsMessage(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		first, second := newBarrier(t), newBarrier(t)
		calls := make(chan int, 100)
		calls <- 1
		r := newRig(t, "", claims, grace("aliyun-sms", config.Connector{AskGrace: 200 * time.Millisecond}), script("aliyun-sms", func(ctx context.Context, m *sender.Message) error {
			n := <-calls
			calls <- n + 1
			if n == 1 {
				_ = first.hold(ctx, m)
				return &sender.Error{Class: sender.Throttled, Code: "Throttling.User", Detail: "too fast"}
			}
			return second.hold(ctx, m)
		}))
		r.shortAckWait(time.Second)
		g := newGate(t, r.nc.ConnectedAddr())
		nc, _ := r.startVia(g)
		id := r.sms(1, "")
		first.wait(r, 1)
		g.set(true)
		r.start()
		second.wait(r, 1) // the second worker asked, waited, and sends
		g.set(false)
		r.eventually("the first worker is connected again", nc.IsConnected)
		first.lift()
		r.eventually("the first worker has noticed the takeover", func() bool {
			return strings.Contains(r.log.String(), "another worker has taken the message over")
		})
		second.lift()
		story := r.story(id)
		r.empty()
		if last := story[len(story)-1]; last.Status != messages.StatusSent {
			t.Errorf("the last outcome is %s, want sent", last.Status)
		}
		if n := len(r.box.Inbox("")); n != 1 {
			t.Errorf("the provider accepted it %d times, want once", n)
		}
	})
}

// TestAWorkerThatWasCutOffDoesNotBegin: the worker waits for the rate limiter when it is
// cut off, and its turn comes after another worker has sent the message.
func TestAWorkerThatWasCutOffDoesNotBegin(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		slow := func(c *config.Config) {
			conn := c.Connectors["aliyun-sms"]
			conn.RateLimit = 0.3 // one, and the next in 3.3 s
			c.Connectors["aliyun-sms"] = conn
		}
		r := newRig(t, "", claims, slow)
		r.shortAckWait(time.Second)
		g := newGate(t, r.nc.ConnectedAddr())
		_, stop := r.startVia(g)
		r.story(r.sms(1, ""))
		id := r.sms(2, "")
		r.eventually("it waits for its turn", func() bool { return r.consumer("sms").NumAckPending == 1 })
		g.set(true)
		r.start() // its rate limiter has not been used
		r.story(id)
		r.empty()
		g.set(false)
		stop() // once it has finished with the message
		if n := len(r.box.Inbox("13000000002")); n != 1 {
			t.Errorf("the provider accepted it %d times, want once", n)
		}
	})
}

// TestAConsumerMadeAgain: the consumer is deleted while messages are in flight. The new
// one begins to count at 1, and hands them out as if no worker had tried them.
func TestAConsumerMadeAgain(t *testing.T) {
	t.Parallel()
	const n = 5
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		held := newBarrier(t)
		r := newRig(t, "", claims, script("aliyun-sms", held.hold))
		r.shortAckWait(2 * time.Second)
		r.start()
		for i := range n {
			r.sms(i, "")
		}
		held.wait(r, 4) // no more may try a connector that has not shown that it works
		r.deleteConsumer("sms")
		r.eventually("the consumer was made again", func() bool {
			c, err := r.js.Consumer(r.ctx(), wire.StreamName, "sms")
			return err == nil && c.CachedInfo().NumAckPending > 0
		})
		held.lift()
		r.empty()
		for i := range n {
			if got := len(r.box.Inbox(fmt.Sprintf("130%08d", i))); got != 1 {
				t.Errorf("message %d was accepted %d times, want once", i, got)
			}
		}
	})
}

// TestABacklogThatWaitedForTheFirstWorkerIsFresh: no worker can have tried a message that
// was stored before the first consumer was made.
func TestABacklogThatWaitedForTheFirstWorkerIsFresh(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		r := newRig(t, "", claims)
		r.deleteConsumer("sms")
		for i := range 5 {
			r.sms(i, "")
		}
		r.start()
		r.empty()
		if got := r.box.Requests(); got["SendSms"] != 5 || got["QuerySendDetails"] != 0 {
			t.Errorf("%d messages were sent and %d asked about; want 5 and 0", got["SendSms"], got["QuerySendDetails"])
		}
	})
}

// TestADoubtOutlivesItsConsumer: the ledger says that a message is in doubt, and the
// consumer is made again.
func TestADoubtOutlivesItsConsumer(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		r := newRig(t, "", claims, grace("aliyun-sms", config.Connector{AskGrace: 30 * time.Second}))
		r.shortAckWait(time.Second)
		r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 1})
		r.start()
		id := r.sms(1, "")
		if o := r.next(id); o.Status != messages.StatusUnknown {
			t.Fatalf("the first outcome is %s, want unknown", o.Status)
		}
		r.deleteConsumer("sms")
		r.empty()
		if n := len(r.box.Inbox("13000000001")); n != 1 {
			t.Errorf("the provider accepted it %d times, and was asked %d times", n, r.box.Requests()["QuerySendDetails"])
		}
	})
}

// TestADoubtOutlivesItsLedgerEntry: the bucket's TTL deletes the entry while no worker
// runs.
func TestADoubtOutlivesItsLedgerEntry(t *testing.T) {
	t.Parallel()
	withClaims(t, func(t *testing.T, claims func(*config.Config)) {
		r := newRig(t, "", claims, grace("aliyun-sms", config.Connector{AskGrace: 10 * time.Second}))
		r.fault(fakealiyun.Fault{Action: "SendSms", Drop: fakealiyun.DropAfter, Count: 1})
		stop := r.start()
		id := r.sms(1, `,"expiresAt":"`+time.Now().Add(72*time.Hour).UTC().Format(time.RFC3339)+`"`)
		if o := r.next(id); o.Status != messages.StatusUnknown {
			t.Fatalf("the first outcome is %s, want unknown", o.Status)
		}
		stop()
		bucket, err := r.js.KeyValue(r.ctx(), wire.LedgerName)
		if err != nil {
			t.Fatal(err)
		}
		if err := bucket.Purge(r.ctx(), worker.LedgerKey(r.stored(1))); err != nil {
			t.Fatal(err)
		}
		r.start()
		r.empty()
		if n := len(r.box.Inbox("")); n != 1 {
			t.Errorf("the provider accepted it %d times, and was asked %d times", n, r.box.Requests()["QuerySendDetails"])
		}
	})
}

func (r *rig) deleteConsumer(name string) {
	r.t.Helper()
	if err := r.js.DeleteConsumer(r.ctx(), wire.StreamName, name); err != nil {
		r.t.Fatal(err)
	}
}

// TestAnEntryOfAnEarlierConsumerIsNotBelieved: a consumer that was made again begins to
// count at 1. An entry of the first delivery by the earlier consumer says nothing about
// the first delivery by this one.
func TestAnEntryOfAnEarlierConsumerIsNotBelieved(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", counted)
	r.shortAckWait(500 * time.Millisecond)
	id := r.sms(1, "")
	r.take()
	r.ledger(1, `{"state":"released","delivery":1,"consumer":1}`)
	r.start()
	if o := r.next(id); o.Status != messages.StatusUnknown {
		t.Errorf("the first outcome is %s, want unknown", o.Status)
	}
	r.empty()
}
