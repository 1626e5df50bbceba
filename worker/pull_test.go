package worker_test

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/codeferry/codeferry/config"
)

// TestAReconnectAsksForNoMoreThanThereAreSlots: the server must not answer both the
// requests of the old connection and those of the new one. A worker whose slots are all
// busy still stops within its grace.
func TestAReconnectAsksForNoMoreThanThereAreSlots(t *testing.T) {
	t.Parallel()
	r := newRig(t, "", func(c *config.Config) {
		mail := c.Connectors["direct-mail"]
		mail.RateLimit = 0.1 // one, and the next in ten seconds
		c.Connectors["direct-mail"] = mail
		c.Worker.Grace = time.Second
	})
	asked := make(chan string, 1000) // each request's inbox
	if _, err := r.nc.Subscribe("$JS.API.CONSUMER.MSG.NEXT.CODEFERRY.email", func(m *nats.Msg) { asked <- m.Reply }); err != nil {
		t.Fatal(err)
	}
	if err := r.nc.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := r.connect(r.nc.ConnectedUrl())
	stop := r.startOn(nc)
	inbox := ""
	another := func() {
		t.Helper()
		limit := time.After(patience)
		for last := inbox; inbox == last; {
			select {
			case inbox = <-asked:
			case <-limit:
				t.Fatal("no request came from a new inbox")
			}
		}
	}
	another()
	for range 3 {
		if err := nc.ForceReconnect(); err != nil {
			t.Fatal(err)
		}
		another()
	}
	const n = 50 // all of them in time, so that each waits in its slot
	for i := range n {
		r.email(i, "")
	}
	r.eventually("every request is answered", func() bool { return r.consumer("email").NumWaiting == 0 })
	if i := r.consumer("email"); i.NumAckPending > 16+2 {
		t.Errorf("%d messages were handed out to 16 slots, want 16 at most", i.NumAckPending)
	}
	began := time.Now()
	stop()
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("the worker stopped only after %v", took)
	}
}
