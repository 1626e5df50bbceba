package scale

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestSmallFleet has the parts of the measurements on a small scale: nothing is lost, and
// nothing is sent twice. There are more workers than the consumer holds pull requests for, as
// with more than 512 workers by the default.
func TestSmallFleet(t *testing.T) {
	t.Parallel()
	c := startCluster(t, 0)
	if err := c.js.DeleteConsumer(t.Context(), wire.StreamName, "sms"); err != nil {
		t.Fatal(err)
	}
	few := wire.ConsumerConfig(messages.SMS, streams)
	few.MaxWaiting = 5
	if _, err := c.js.CreateConsumer(t.Context(), wire.StreamName, few); err != nil {
		t.Fatal(err)
	}
	f := newFleet(t, c, settings{apps: 40, accounts: 10, worker: "concurrency: 4"})
	f.grow(12)
	first, _ := f.publish(400, 0)
	f.drained()
	f.kept(first)
	info, err := c.consumer(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "max_waiting in the end", info.Config.MaxWaiting, few.MaxWaiting)
}

// TestWorkers measures fleets of different sizes, idle and loaded.
func TestWorkers(t *testing.T) {
	needsLong(t)
	const rate, lasts = 200, 10
	f := newFleet(t, startCluster(t, 0), settings{apps: 1000, accounts: 10})
	t.Logf("no worker: %s", f.size())
	for _, n := range []int{1, 10, 30, 100} {
		began := time.Now()
		f.grow(n)
		t.Logf("%d workers: ready after %v; %s", n, time.Since(began).Round(time.Millisecond), f.size())
		t.Logf("%d workers, idle: %s", n, f.during(func() { pause(t, 15*time.Second) }))
		t.Logf("%d workers, idle: %s", n, f.requests(func() { pause(t, 15*time.Second) }))
		var first int
		var took []time.Duration
		t.Logf("%d workers, %d/s: %s", n, rate, f.during(func() { first, took = f.publish(rate*lasts, rate) }))
		f.drained()
		t.Logf("%d workers, %d/s: stored after %s; sent after %s", n, rate, quantiles(took), quantiles(f.delays(first)))
		t.Logf("%d workers, %d/s: %s", n, rate, f.requests(func() {
			t.Logf("%d workers, %d/s: at most %d pull requests wait", n, rate, f.waiting(func() { f.publish(rate*lasts, rate) }))
		}))
		f.drained()
		f.kept(0)
	}
}
