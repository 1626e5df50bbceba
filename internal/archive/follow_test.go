package archive_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/internal/archive"
	"github.com/codeferry/codeferry/internal/broker"
	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/internal/testrig"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func tell(t *testing.T, js jetstream.JetStream, id string, s messages.Status) {
	t.Helper()
	body, err := json.Marshal(messages.Outcome{ID: id, App: "default", Channel: messages.SMS, Status: s, At: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := js.Publish(t.Context(), wire.OutcomeSubject("default", messages.SMS, s), body); err != nil {
		t.Fatal(err)
	}
}

// following is a call of FollowOutcomes that says what it hears.
type following struct {
	t     *testing.T
	heard chan string
	ended chan error
	stop  context.CancelFunc
}

func follow(t *testing.T, js jetstream.JetStream, want archive.OutcomeFilter) *following {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	f := &following{t, make(chan string, 100), make(chan error, 1), stop}
	go func() {
		f.ended <- archive.FollowOutcomes(ctx, js, want, archive.FollowOptions{
			CaughtUp: func() error { f.heard <- "caught up"; return nil },
			Trouble: func(error) {
				select {
				case f.heard <- "trouble":
				default:
				}
			},
		}, func(o messages.Outcome) error {
			f.heard <- o.ID
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-f.ended; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	return f
}

func (f *following) want(lines ...string) {
	f.t.Helper()
	for _, line := range lines {
		select {
		case got := <-f.heard:
			if got != line {
				f.t.Fatalf("it heard %s, want %s", got, line)
			}
		case <-time.After(check.Patience):
			f.t.Fatalf("it never heard %s", line)
		}
	}
}

// TestFollow: what is kept comes first, then what happens.
func TestFollow(t *testing.T) {
	t.Parallel()
	js := streams(t)
	empty := follow(t, js, archive.OutcomeFilter{})
	empty.want("caught up")
	for i := range 3 {
		tell(t, js, fmt.Sprint("m", i), messages.StatusSent)
	}
	tell(t, js, "m3", messages.StatusDead)
	empty.want("m0", "m1", "m2", "m3")
	all, dead := follow(t, js, archive.OutcomeFilter{}), follow(t, js, archive.OutcomeFilter{Statuses: []messages.Status{messages.StatusDead}})
	late := follow(t, js, archive.OutcomeFilter{Since: time.Now().Add(time.Hour)})
	several := follow(t, js, archive.OutcomeFilter{Statuses: []messages.Status{messages.StatusDead, messages.StatusRetrying}})
	all.want("m0", "m1", "m2", "m3", "caught up")
	dead.want("m3", "caught up")
	several.want("m3", "caught up")
	late.want("caught up")
	tell(t, js, "m4", messages.StatusRetrying)
	tell(t, js, "m5", messages.StatusDead)
	all.want("m4", "m5")
	dead.want("m5")
	several.want("m4", "m5")
}

// TestFollowOverARestart: nothing is missed and nothing comes twice while NATS is away.
func TestFollowOverARestart(t *testing.T) {
	t.Parallel()
	r := testrig.New(t)
	f := follow(t, r.JS, archive.OutcomeFilter{})
	f.want("caught up")
	tell(t, r.JS, "before", messages.StatusSent)
	f.want("before")
	r.Restart()
	tell(t, r.JS, "after", messages.StatusSent)
	tell(t, r.JS, "later", messages.StatusSent)
	for _, want := range []string{"after", "later"} {
		for got := ""; got != want; {
			select {
			case got = <-f.heard:
				if got != want && got != "trouble" {
					t.Fatalf("it heard %s, want %s", got, want)
				}
			case <-time.After(check.Patience):
				t.Fatalf("it never heard %s", want)
			}
		}
	}
}

// TestFollowEnds: with an error of its caller's, when the connection is closed for good, and
// at once where it can't begin.
func TestFollowEnds(t *testing.T) {
	t.Parallel()
	r := testrig.New(t)
	tell(t, r.JS, "x", messages.StatusSent)
	broken := errors.New("broken")
	fails := func(messages.Outcome) error { return broken }
	if err := archive.FollowOutcomes(t.Context(), r.JS, archive.OutcomeFilter{}, archive.FollowOptions{}, fails); !errors.Is(err, broken) {
		t.Errorf("its caller's error: %v", err)
	}
	pass := func(messages.Outcome) error { return nil }
	if err := archive.FollowOutcomes(t.Context(), r.JS, archive.OutcomeFilter{}, archive.FollowOptions{CaughtUp: func() error { return broken }}, pass); !errors.Is(err, broken) {
		t.Errorf("its caller's error when it has caught up: %v", err)
	}
	nc := testrig.Connect(t, r.Server.URL())
	js, err := broker.JetStream(nc, broker.Target{})
	if err != nil {
		t.Fatal(err)
	}
	if err := archive.FollowOutcomes(t.Context(), js, archive.OutcomeFilter{}, archive.FollowOptions{CaughtUp: func() error { nc.Close(); return nil }}, pass); err == nil || !strings.Contains(err.Error(), wire.OutcomesName) {
		t.Errorf("a closed connection: %v", err)
	}
	if err := r.JS.DeleteStream(t.Context(), wire.OutcomesName); err != nil {
		t.Fatal(err)
	}
	if err := archive.FollowOutcomes(t.Context(), r.JS, archive.OutcomeFilter{}, archive.FollowOptions{}, pass); !errors.Is(err, jetstream.ErrStreamNotFound) || !strings.Contains(err.Error(), "codeferry provision") {
		t.Errorf("no stream: %v", err)
	}
}
