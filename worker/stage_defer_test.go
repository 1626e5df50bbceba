package worker

import (
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/worker/internal/ledger"
)

func TestDefer(t *testing.T) {
	const patience, slots = 10 * time.Second, 16
	for name, c := range map[string]struct {
		age     time.Duration
		pending uint64
		// newest is how long ago the newest message was stored.
		newest         time.Duration
		inHand, atMost int64
		delay          time.Duration // 0: passed on
	}{
		"young":                    {age: patience, pending: 100},
		"old, and newer ones wait": {age: patience + 1, pending: 100, delay: deferLeast + 0},
		"old, and as many wait as there are slots": {age: time.Minute, pending: slots},
		"old, and one more waits":                  {age: 20 * time.Second, pending: slots + 1, delay: 10 * time.Second},
		"old, and what waits is as old":            {age: time.Minute, pending: 100, newest: patience + 1},
		"old, and the newest has just turned old":  {age: 20 * time.Second, pending: 100, newest: patience, delay: 10 * time.Second},
		"as old as can be":                         {age: time.Hour, pending: 100, delay: deferMost},
		"a bit over the patience":                  {age: 11 * time.Second, pending: 100, delay: 5500 * time.Millisecond},
		"too many are handed out":                  {age: time.Minute, pending: 100, inHand: 50, atMost: 100},
		"nearly too many are handed out":           {age: 20 * time.Second, pending: 100, inHand: 49, atMost: 100, delay: 10 * time.Second},
		"no bound on what is handed out":           {age: 20 * time.Second, pending: 100, inHand: 1 << 40, atMost: -1, delay: 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(backlog)
			b.newest.Store(noon.Add(-c.newest).UnixNano())
			b.pending.Store(c.inHand)
			b.limit.Store(c.atMost)
			d := given{storedAt: noon.Add(-c.age), pending: c.pending}.open(t, &fakeConn{trace: new(trace)})
			v, ok := deferStage{now: atNoon, patience: patience, slots: slots, backlog: b, spread: steady}.handle(t.Context(), d)
			check.Equal(t, "it decided", ok, c.delay > 0)
			if ok {
				check.Equal(t, "action", v.action, actDefer)
				check.Equal(t, "detail", v.detail, "newer codes go first")
				check.Equal(t, "why", v.why, ledger.WhyNewerFirst)
			}
			check.Equal(t, "delay", v.delay, c.delay)
		})
	}
}
