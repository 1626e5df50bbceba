package worker

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/codeferry/codeferry/internal/natstest"
)

// TestOutcomesThatAreNotPermitted are counted one by one, and the others of the same round trip
// are not.
func TestOutcomesThatAreNotPermitted(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t, func(o *server.Options) {
		o.Users = []*server.User{{Username: "worker", Password: "x", Permissions: &server.Permissions{Publish: &server.SubjectPermission{Deny: []string{"outcome.denied"}}}}}
	})
	denials := make(chan error, 100)
	nc := s.Connect(t, nats.UserInfo("worker", "x"), nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { denials <- err }))
	stream := s.Connect(t, nats.UserInfo("worker", "x"))
	asked := make(chan *nats.Msg, 100)
	if _, err := stream.ChanSubscribe("outcome.*", asked); err != nil {
		t.Fatal(err)
	}
	if err := stream.Flush(); err != nil {
		t.Fatal(err)
	}
	lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost_total", Help: "Lost."})
	stored := make(chan string, 100)
	p, err := newOutcomePublisher(nc, lost, func(why string) { t.Errorf("refused: %s", why) }, func(subject string) { stored <- subject })
	if err != nil {
		t.Fatal(err)
	}
	// deny passes on n denials, as the owner of the connection does.
	deny := func(n int) {
		t.Helper()
		for range n {
			if err := <-denials; !errors.Is(err, nats.ErrPermissionViolation) || !strings.Contains(err.Error(), `"outcome.denied"`) || !p.denied("outcome.denied") {
				t.Errorf("%v is not the denial of an outcome", err)
			}
		}
	}
	for range 4 {
		p.publish("outcome.denied", nil)
	}
	deny(4)
	check.Equal(t, "lost", testutil.ToFloat64(lost), 4)
	check.Equal(t, "not ours", p.denied("outcome.denied"), false)

	p.publish("outcome.permitted", nil) // asks for a confirmation
	p.publish("outcome.denied", nil)
	p.publish("outcome.permitted", nil)
	deny(1)
	check.Equal(t, "lost", testutil.ToFloat64(lost), 5)
	first := <-asked
	if err := first.Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
		t.Fatal(err)
	}
	check.Equal(t, "stored", <-stored, "outcome.permitted")
	if second := <-asked; second.Reply != "" {
		t.Errorf("two outcomes ask for a confirmation at the same time: %s", second.Reply)
	}
	p.end(withDeadline(t))
	check.Equal(t, "lost at the end", testutil.ToFloat64(lost), 5)
	if !slices.Equal([]int{p.asked, p.unconfirmed}, []int{0, 1}) {
		t.Errorf("%d outcomes are asked for and %d are not confirmed, want 0 and 1", p.asked, p.unconfirmed)
	}
}

// TestOutcomesWithoutAnAnswer are counted once their time is over, also if no outcome follows.
func TestOutcomesWithoutAnAnswer(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	nc := s.Connect(t)
	if _, err := nc.Subscribe("outcome.*", func(*nats.Msg) {}); err != nil { // otherwise NATS answers that nobody listens
		t.Fatal(err)
	}
	lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost_total", Help: "Lost."})
	refused := make(chan string, 1)
	p, err := newOutcomePublisher(nc, lost, func(why string) { refused <- why }, func(string) { t.Error("an outcome was stored") })
	if err != nil {
		t.Fatal(err)
	}
	p.publish("outcome.sent", nil) // asks for a confirmation
	p.publish("outcome.sent", nil) // nobody takes this one either
	p.late()                       // too early
	check.Equal(t, "lost before its time", testutil.ToFloat64(lost), 0)
	p.mu.Lock()
	p.askedAt = p.askedAt.Add(-confirmTimeout)
	p.mu.Unlock()
	p.overdue.Reset(0)
	check.Equal(t, "why", <-refused, "no answer")
	check.Equal(t, "lost", testutil.ToFloat64(lost), 2)
	p.publish("outcome.sent", nil)
	p.publish("outcome.sent", nil)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	p.end(ended)
	check.Equal(t, "lost at the end", testutil.ToFloat64(lost), 4)
}

// TestOutcomesOfALostConnection are counted at the end, also if none of them waits for its
// confirmation.
func TestOutcomesOfALostConnection(t *testing.T) {
	t.Parallel()
	s := natstest.Start(t)
	reconnected := make(chan struct{}, 1)
	for name, lose := range map[string]func(nc *nats.Conn) error{
		"no connection": func(nc *nats.Conn) error {
			nc.Close()
			return nil
		},
		"another connection": func(nc *nats.Conn) error {
			defer func() { <-reconnected }()
			return nc.ForceReconnect()
		},
		"the same connection": (*nats.Conn).Flush,
	} {
		nc := s.Connect(t, nats.ReconnectHandler(func(*nats.Conn) { reconnected <- struct{}{} }))
		stream := s.Connect(t)
		asked := make(chan *nats.Msg, 1)
		sub, err := stream.Subscribe("outcome.*", func(m *nats.Msg) {
			if m.Reply != "" {
				asked <- m
			}
		})
		if err == nil {
			err = stream.Flush()
		}
		if err != nil {
			t.Fatal(err)
		}
		lost := prometheus.NewCounter(prometheus.CounterOpts{Name: "lost_total", Help: "Lost."})
		stored := make(chan string, 1)
		p, err := newOutcomePublisher(nc, lost, func(why string) { t.Errorf("%s: refused: %s", name, why) }, func(subject string) { stored <- subject })
		if err != nil {
			t.Fatal(err)
		}
		p.publish("outcome.sent", nil)  // asks for a confirmation
		p.publish("outcome.other", nil) // asks for none
		if err := (<-asked).Respond([]byte(`{"stream":"S","seq":1}`)); err != nil {
			t.Fatal(err)
		}
		check.Equal(t, name+": stored", <-stored, "outcome.sent")
		if err := lose(nc); err != nil {
			t.Fatal(err)
		}
		p.end(withDeadline(t))
		check.Equal(t, name+": lost", testutil.ToFloat64(lost) == 1, name != "the same connection")
		if err := sub.Unsubscribe(); err != nil {
			t.Fatal(err)
		}
	}
}

// withDeadline returns a context that only stops a test that hangs; a flush needs one.
func withDeadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}
