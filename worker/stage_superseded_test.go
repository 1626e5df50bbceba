package worker

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/codeferry/codeferry/worker/internal/ledger"
)

// lastIs returns a stream whose newest message of a subject has that sequence.
func lastIs(sequence uint64, err error) newest {
	return newest{
		timeout: time.Second,
		last:    func(context.Context, string) (uint64, error) { return sequence, err },
		reached: func(context.Context) (uint64, error) { return 9, nil },
	}
}

func TestSuperseded(t *testing.T) {
	away := errors.New("the server is away")
	for name, c := range map[string]struct {
		delivered uint64
		last      uint64
		err       error
		action    action // 0: passed on
	}{
		"first delivery: not looked":        {1, 9, away, 0},
		"it is the newest":                  {2, 7, nil, 0},
		"a newer one was stored":            {2, 9, nil, actSuperseded},
		"none is there any more":            {2, 0, jetstream.ErrMsgNotFound, actDone},
		"the stream does not say":           {2, 0, away, actDefer},
		"the stream does not say, 5th time": {5, 7, away, actDefer},
	} {
		t.Run(name, func(t *testing.T) {
			d := given{delivered: c.delivered}.open(t, &fakeConn{trace: new(trace)})
			v, ok := supersededStage{newest: lastIs(c.last, c.err)}.handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.action != 0)
			check.Equal(t, "action", v.action, c.action)
			check.Equal(t, "it names the newer one", v.detail == "message 9 superseded it", c.action == actSuperseded)
			if c.action == actDone {
				check.Equal(t, "detail", v.detail, "the stream does not have it any more")
			}
			if c.action == actDefer {
				check.Equal(t, "delay", v.delay, putBackDelay)
				check.Equal(t, "why", v.why, ledger.WhyStream)
				contains(t, "detail", v.detail, away.Error())
			}
		})
	}
}

// TestNewestAsksForTheSubject: it asks for the message's subject, and waits no longer than
// its timeout.
func TestNewestAsksForTheSubject(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked string
		n := newest{timeout: time.Second, last: func(ctx context.Context, subject string) (uint64, error) {
			asked = subject
			<-ctx.Done()
			return 0, ctx.Err()
		}}
		began := time.Now()
		v, _ := n.check(t.Context(), fresh(t))
		check.Equal(t, "action", v.action, actDefer)
		check.Equal(t, "asked for", asked, smsSubject)
		check.Equal(t, "waited", time.Since(began), time.Second)
	})
}

// TestNewestLeaderIsBehind: in a cluster a message can be handed out that the stream's
// leader has not stored yet. That the leader does not have it does not mean that it was
// superseded.
func TestNewestLeaderIsBehind(t *testing.T) {
	away := errors.New("the server is away")
	// An answer is the leader's answer to one check: the subject's newest message, or 0
	// for none, and the last sequence that it has stored.
	type answer struct{ last, reached uint64 }
	for name, c := range map[string]struct {
		answers []answer
		err     error // of the question for the last sequence
		action  action
		looks   int // 0: until its time is over
	}{
		"it knows of none, and then of it":         {[]answer{{0, 6}, {7, 7}}, nil, 0, 2},
		"it knows of an older one, and then of it": {[]answer{{3, 6}, {3, 6}, {7, 7}}, nil, 0, 3},
		"it has come so far since":                 {[]answer{{0, 7}, {7, 7}}, nil, 0, 2},
		"it has come further, and has it no more":  {[]answer{{0, 8}, {0, 8}}, nil, actDone, 2},
		"it has come as far, and has it no more":   {[]answer{{0, 7}, {0, 7}}, nil, actDone, 2},
		"it has come as far, and has an older one": {[]answer{{3, 7}, {3, 7}}, nil, actDone, 2},
		"it knows of a newer one":                  {[]answer{{8, 8}}, nil, actSuperseded, 1},
		"it stays behind":                          {[]answer{{0, 6}}, nil, actDefer, 0},
		"it does not say how far it has come":      {[]answer{{0, 6}}, away, actDefer, 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				looks := 0
				now := func() answer { return c.answers[min(looks, len(c.answers))-1] }
				n := newest{
					timeout: time.Second,
					last: func(context.Context, string) (uint64, error) {
						looks++
						if now().last == 0 {
							return 0, jetstream.ErrMsgNotFound
						}
						return now().last, nil
					},
					reached: func(context.Context) (uint64, error) { return now().reached, c.err },
				}
				d := fresh(t)
				d.place.Sequence = 7
				began := time.Now()
				v, ok := n.check(t.Context(), d)
				check.Equal(t, "it decided", ok, c.action != 0)
				check.Equal(t, "action", v.action, c.action)
				behind := 0 // how often the leader was behind
				for _, a := range c.answers {
					if a.reached < d.place.Sequence {
						behind++
					}
				}
				if c.action != actDefer {
					check.Equal(t, "waited", time.Since(began), time.Duration(behind)*leaderPause)
				}
				if c.looks > 0 {
					check.Equal(t, "looks", looks, c.looks)
				} else if looks < 100 {
					t.Errorf("%d checks in %v", looks, n.timeout)
				}
				if c.action == actDefer {
					check.Equal(t, "delay", v.delay, putBackDelay)
				}
			})
		})
	}
}

// TestNewestStreamIsAway: the leader has stored as far as the message, but
// does not answer whether a newer one was stored.
func TestNewestStreamIsAway(t *testing.T) {
	looks := 0
	n := newest{
		timeout: time.Second,
		last: func(context.Context, string) (uint64, error) {
			if looks++; looks == 1 {
				return 0, jetstream.ErrMsgNotFound
			}
			return 0, errors.New("the server is away")
		},
		reached: func(context.Context) (uint64, error) { return 9, nil },
	}
	v, _ := n.check(t.Context(), fresh(t))
	check.Equal(t, "action", v.action, actDefer)
	check.Equal(t, "looks", looks, 2)
}
