package worker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/codeferry/codeferry/internal/check"
)

// take takes places until none is left, and returns how many.
func take(b *bulkhead, app, connector string) (n int) {
	gone, cancel := context.WithCancel(context.Background())
	cancel() // it does not wait
	for {
		if _, ok := b.enter(gone, app, connector); !ok {
			return n
		}
		n++
	}
}

// TestBulkheadShares: how many places holders that come one after the other and never
// leave get.
func TestBulkheadShares(t *testing.T) {
	type who struct{ app, connector string }
	for name, c := range map[string]struct {
		slots, connectors, apps int
		come                    []who
		want                    []int
	}{
		"16 slots, a connector":               {16, 2, 1, []who{{"x", "a"}}, []int{12}},
		"16 slots, two connectors":            {16, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{12, 3}},
		"16 slots, three: one is left for it": {16, 3, 1, []who{{"x", "a"}, {"x", "b"}, {"x", "c"}}, []int{12, 3, 1}},
		"16 slots, an app":                    {16, 1, 2, []who{{"x", "a"}}, []int{12}},
		"16 slots, two apps":                  {16, 1, 2, []who{{"x", "a"}, {"y", "a"}}, []int{12, 3}},
		"16 slots, an app by two connectors":  {16, 2, 2, []who{{"x", "a"}, {"x", "b"}}, []int{12, 0}},
		"16 slots, two apps by one connector": {16, 2, 2, []who{{"x", "a"}, {"y", "a"}}, []int{12, 0}},
		"16 slots, others altogether":         {16, 2, 2, []who{{"x", "a"}, {"y", "b"}}, []int{12, 3}},
		"64 slots":                            {64, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{48, 12}},
		"4 slots":                             {4, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{3, 1}},
		"3 slots":                             {3, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{2, 1}},
		"2 slots":                             {2, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{1, 1}},
		"1 slot":                              {1, 2, 1, []who{{"x", "a"}, {"x", "b"}}, []int{1, 0}},
		"1 slot, two apps":                    {1, 2, 2, []who{{"x", "a"}}, []int{1}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBulkhead(c.slots, c.connectors, c.apps)
				var got []int
				for _, w := range c.come {
					got = append(got, take(b, w.app, w.connector))
					after(placeWait) // then no place was taken just now
				}
				same(t, "places taken", got, c.want)
			})
		})
	}
}

// TestBulkheadOfOne: with one connector and one app there are no others to protect.
func TestBulkheadOfOne(t *testing.T) {
	b := newBulkhead(2, 1, 1)
	for i := range 5 {
		leave, ok := b.enter(t.Context(), "x", "a")
		if !ok {
			t.Fatalf("message %d got no place", i+1)
		}
		leave()
	}
	check.Equal(t, "places counted", b.total, 0)
}

// TestBulkheadLeave: any holder can take a place that came free.
func TestBulkheadLeave(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(2, 2, 1)
		leave, ok := b.enter(t.Context(), "x", "a")
		check.Equal(t, "the first place", ok, true)
		check.Equal(t, "a's second place", take(b, "x", "a"), 0)
		leave()
		check.Equal(t, "places held", b.total, 0)
		check.Equal(t, "a's place once more", take(b, "x", "a"), 1)

		b = newBulkhead(16, 2, 1)
		var leaves []func()
		for range 12 {
			leave, _ := b.enter(t.Context(), "x", "a")
			leaves = append(leaves, leave)
		}
		for _, leave := range leaves {
			leave()
		}
		after(time.Second)
		check.Equal(t, "a's places of sixteen, once more", take(b, "x", "a"), 12)
	})
}

// TestBulkheadOfOneThatHangs: the places that it has held for long count, even if its last
// place is new. A holder without a place does not wait for it.
func TestBulkheadOfOneThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(4, 2, 1)
		b.enter(t.Context(), "x", "a")
		after(time.Second)
		check.Equal(t, "a's other places", take(b, "x", "a"), 2)
		began := time.Now()
		_, ok := b.enter(t.Context(), "x", "a")
		check.Equal(t, "a enters", ok, false)
		check.Equal(t, "a waited", time.Since(began), 0)

		b = newBulkhead(1, 2, 1)
		leave, _ := b.enter(t.Context(), "x", "b")
		leave()
		b.enter(t.Context(), "x", "a")
		began = time.Now()
		_, ok = b.enter(t.Context(), "x", "b")
		check.Equal(t, "b enters", ok, false)
		check.Equal(t, "b waited", time.Since(began), 0)
	})
}

// TestBulkheadWaitsBriefly: a message waits only if a place is likely to come free.
func TestBulkheadWaitsBriefly(t *testing.T) {
	for name, c := range map[string]struct {
		// busy is how long the place has been held; leaves is after how long it comes
		// free.
		busy, leaves time.Duration
		entered      bool
		waited       time.Duration
	}{
		"taken a moment ago, and it comes free":        {busy: 0, leaves: 100 * time.Millisecond, entered: true, waited: 100 * time.Millisecond},
		"taken a moment ago, and it does not":          {busy: 0, leaves: time.Hour, entered: false, waited: placeWait},
		"nearly in trouble":                            {busy: placeWait - 1, leaves: placeWait, entered: true, waited: 1},
		"held for long: it hangs, and nobody waits":    {busy: placeWait, leaves: time.Hour, entered: false, waited: 0},
		"comes free at the very end of the short wait": {busy: 0, leaves: placeWait - 1, entered: true, waited: placeWait - 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBulkhead(2, 2, 1)
				leave, _ := b.enter(t.Context(), "x", "a")
				timer := time.AfterFunc(c.leaves, leave)
				after(c.busy)
				began := time.Now()
				again, ok := b.enter(t.Context(), "x", "a")
				check.Equal(t, "entered", ok, c.entered)
				check.Equal(t, "waited", time.Since(began), c.waited)
				check.Equal(t, "still waiting", b.held["connector a"].waiting, 0)
				if ok {
					again()
				}
				if timer.Stop() {
					leave()
				}
				check.Equal(t, "places held", b.total, 0)
			})
		})
	}
}

// TestBulkheadOfAFastHolder: a holder that frees places fast only has a burst; as many
// messages wait as places will come free.
func TestBulkheadOfAFastHolder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(3, 2, 1)
		b.enter(t.Context(), "x", "a") // this place is held all the time
		after(time.Second)
		for range 4 { // 50 a second: twelve in the time of a wait
			leave, ok := b.enter(t.Context(), "x", "a")
			check.Equal(t, "entered", ok, true)
			after(turnoverWindow)
			leave()
		}
		b.enter(t.Context(), "x", "a")
		h := b.held["connector a"]
		gone, cancel := context.WithCancel(t.Context())
		waiting := 0
		ended := make(chan bool)
		for range 20 {
			waiting++
			go func() {
				_, ok := b.enter(gone, "x", "a")
				ended <- ok
			}()
		}
		synctest.Wait()
		check.Equal(t, "waiting", h.waiting, 12)
		cancel()
		for range waiting {
			if <-ended {
				t.Error("a message got a place, and none was free")
			}
		}
		check.Equal(t, "still waiting", h.waiting, 0)
	})
}

// TestBulkheadOfASlowApp: both the app and the connector have to be fast.
func TestBulkheadOfASlowApp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(4, 2, 2)
		check.Equal(t, "places of app x at a", take(b, "x", "a"), 3)
		after(time.Second) // x hangs
		began := time.Now()
		_, ok := b.enter(t.Context(), "x", "b")
		check.Equal(t, "app x enters for b", ok, false)
		check.Equal(t, "it waited", time.Since(began), time.Duration(0))
		leave, ok := b.enter(t.Context(), "y", "b")
		check.Equal(t, "app y enters for b", ok, true)
		leave()
		_, ok = b.enter(t.Context(), "y", "a")
		check.Equal(t, "app y enters for the connector that hangs", ok, false)
	})
}

// TestBulkheadEndOfTheWorker: messages that wait give up.
func TestBulkheadEndOfTheWorker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(2, 2, 1)
		b.enter(t.Context(), "x", "a")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		began := time.Now()
		_, ok := b.enter(ctx, "x", "a")
		check.Equal(t, "entered", ok, false)
		check.Equal(t, "waited", time.Since(began), 100*time.Millisecond)
	})
}

// TestBulkheadWakesEveryone: each place that comes free wakes all messages that wait.
func TestBulkheadWakesEveryone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBulkhead(3, 2, 1)
		one, _ := b.enter(t.Context(), "x", "a")
		two, _ := b.enter(t.Context(), "x", "a")
		entered := make(chan string, 2)
		for i := range 2 {
			go func() {
				_, ok := b.enter(t.Context(), "x", "a")
				entered <- fmt.Sprintf("%d %v", i, ok)
			}()
		}
		synctest.Wait()
		one()
		synctest.Wait()
		check.Equal(t, "entered after the first place was left", len(entered), 1)
		two()
		synctest.Wait()
		check.Equal(t, "entered after the second", len(entered), 2)
	})
}
