package scale

import (
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

// TestThrottled measures how workers share the limit of one account: they send a backlog, with
// no rateLimit, and with one that is divided by the number of workers.
func TestThrottled(t *testing.T) {
	needsLong(t)
	c := startCluster(t, 0)
	for _, limit := range []int{100, 20} {
		for _, workers := range []int{1, 10, 100} {
			if limit < workers {
				// With a rateLimit far below 1, a code waits in its slot for minutes.
				throttled(t, c, limit, workers, "")
				continue
			}
			for _, rateLimit := range []string{"", fmt.Sprintf("rateLimit: %g, ", 0.9*float64(limit)/float64(workers))} {
				throttled(t, c, limit, workers, rateLimit)
			}
		}
	}
}

func throttled(t *testing.T, c *cluster, limit, workers int, rateLimit string) {
	t.Helper()
	n := 20 * limit
	f := newFleet(t, c, settings{apps: 100, accounts: 1, connector: rateLimit, worker: "patience: 1h", alone: true})
	before := f.dead()
	f.accounts[0].limit(limit)
	first, _ := f.publish(n, 0)
	began := time.Now()
	f.grow(workers)
	f.drained()
	took := time.Since(began)
	requests, refused := f.accounts[0].counts()
	sent, _ := f.count(first)
	dead := int(f.dead() - before)
	t.Logf("%d workers, %q: %d codes sent in %v by an account that takes %d a second; %d requests, %d throttled; %d dead letters",
		workers, rateLimit, sent, took.Round(time.Second/10), limit, requests, refused, dead)
	if sent+dead != n || f.twice > 0 {
		t.Errorf("%d of %d sent, %d dead, %d twice", sent, n, dead, f.twice)
	}
	f.stop()
}

// TestDeadAccount measures how many requests one of ten accounts gets while it is in trouble.
func TestDeadAccount(t *testing.T) {
	needsLong(t)
	const rate, seconds = 200, 30
	troubles := []string{"isv.AMOUNT_NOT_ENOUGH", "Throttling.User", hangs}
	c := startCluster(t, 0)
	for _, workers := range []int{1, 10, 100} {
		for _, trouble := range troubles {
			f := newFleet(t, c, settings{apps: 1000, accounts: 10})
			before := f.dead()
			f.grow(workers)
			f.publish(10*workers, rate) // each worker has made requests
			f.drained()
			f.accounts[0].refuse(trouble, func() bool { return false })
			first, _ := f.publish(rate*seconds, rate)
			requests, _ := f.accounts[0].counts()
			unsent, _ := f.count(first)
			f.accounts[0].heal()
			f.drained()
			sent, _ := f.count(first)
			t.Logf("%d workers, %s: %d requests to the account in %d s, in which it would have got %d; %d of %d codes were sent in that time, %d in the end, after %s; %d dead letters",
				workers, trouble, requests, seconds, rate*seconds/10, unsent, rate*seconds, sent, quantiles(f.delays(first)), f.dead()-before)
			if dead := int(f.dead() - before); sent+dead != rate*seconds || f.twice > 0 {
				t.Errorf("%d of %d sent, %d dead, %d twice", sent, rate*seconds, dead, f.twice)
			}
			f.stop()
		}
	}
}

// TestDeadLetters measures what dead letters of many apps cost the workers that count them.
func TestDeadLetters(t *testing.T) {
	needsLong(t)
	f := newFleet(t, startCluster(t, 0), settings{apps: 1000, accounts: 10})
	for _, each := range []int{0, 8} {
		reasons := messages.Reasons()
		for i := range f.apps {
			for _, r := range reasons[:each] {
				if _, err := f.js.Publish(t.Context(), wire.DeadSubject(fmt.Sprintf("app-%d", i), messages.SMS, r), []byte("{}")); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, n := range []int{1, 10, 100} {
			f.grow(n)
			pause(t, 5*time.Second)
			t.Logf("dead letters of %d apps for %d reasons, %d workers, idle: %s", f.apps, each, n, f.during(func() { pause(t, 15*time.Second) }))
		}
		f.stop()
	}
}

// TestLeaderChange measures what workers read when another server leads CODEFERRY.
func TestLeaderChange(t *testing.T) {
	needsLong(t)
	const rate, seconds = 300, 60
	f := newFleet(t, startCluster(t, 0), settings{apps: 1000, accounts: 10})
	f.grow(10)
	f.publish(rate*seconds, rate)
	f.drained()
	for _, n := range []int{10, 100} {
		f.grow(n)
		pause(t, 10*time.Second)
		first := f.next

		t.Logf("%d workers, before: %s", n, f.during(func() { f.publish(100*15, 100) }))
		t.Logf("%d workers, before: sent after %s", n, quantiles(f.delays(first)))
		first = f.next
		if _, err := f.nc.Request("$JS.API.STREAM.LEADER.STEPDOWN."+wire.StreamName, nil, 5*time.Second); err != nil {
			t.Fatal(err)
		}
		before := f.served(t)
		t.Logf("%d workers, another leader: %s", n, f.during(func() { f.publish(100*15, 100) }))
		after := f.served(t)
		f.drained()
		t.Logf("%d workers, another leader: sent after %s; with %d outcomes, the servers sent %.1f MB", n, quantiles(f.delays(first)), first, float64(after.OutBytes-before.OutBytes)/1e6)
		f.kept(first)
	}
}

// TestSuperseding measures the servers' cost of a code that supersedes another one.
func TestSuperseding(t *testing.T) {
	needsLong(t)
	const n = 5000
	f := newFleet(t, startCluster(t, 0), settings{apps: 1, accounts: 1, alone: true})
	for _, users := range []int{n, n / 2, n / 10} {
		first := f.next
		var took []time.Duration
		began := time.Now()
		t.Logf("%d codes of %d users are published: %s", n, users, f.during(func() {
			f.publishAs(n, 0, func(i int) string { return fmt.Sprintf("%d-%d", users, i%users) }, &took)
		}))
		t.Logf("%d codes of %d users: %.0f/s", n, users, n/time.Since(began).Seconds())
		if stored := f.stored(); int(stored) != users {
			t.Errorf("%d codes of %d users wait, want the newest of each", stored, users)
		}
		f.grow(3)
		f.drained()
		sent, _ := f.count(first)
		if sent != users || f.twice > 0 {
			t.Errorf("%d codes of %d users were sent, %d of them twice", sent, users, f.twice)
		}
		f.stop()
	}
}

// TestRegions measures a cluster whose servers are in three regions.
func TestRegions(t *testing.T) {
	needsLong(t)
	const rate, n = 20, 400
	for _, rtt := range []time.Duration{0, 30 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond} {
		t.Run(rtt.String(), func(t *testing.T) {
			c := startCluster(t, rtt/2)
			f := newFleet(t, c, settings{apps: 100, accounts: 3})
			f.grow(6)
			leader := c.leader(t)
			for i, where := range []string{"the region of the leader", "another region"} {
				var err error
				if f.publisher, err = messages.NewPublisher(c.connect(t, (leader+i)%nodes), messages.PublisherOptions{Timeout: time.Minute}); err != nil {
					t.Fatal(err)
				}
				first, took := f.publish(n, rate)
				f.drained()
				t.Logf("RTT %v, published in %s: stored after %s; sent after %s", rtt, where, quantiles(took), quantiles(f.delays(first)))
				f.kept(first)
			}
		})
	}
}
