package worker

import (
	"fmt"
	"testing"
	"time"

	"github.com/codeferry/codeferry/internal/check"
	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/sender"
)

func TestQuota(t *testing.T) {
	const in = 30 * time.Second
	for name, c := range map[string]struct {
		apps           int
		limit, pending int64
		// waiting counts the messages of each app that this worker has put back.
		waiting map[string]int
		app     string
		action  action
		dead    bool
		// doubt is true if the message may have been sent.
		doubt bool
	}{
		"plenty of room": {apps: 2, limit: 10, waiting: map[string]int{"x": 4}, app: "x", action: actRetry},
		"half of it waits here, most of it the app's":     {apps: 2, limit: 10, waiting: map[string]int{"x": 4, "y": 1}, app: "x", action: actRetry, dead: true},
		"the same for a deferral":                         {apps: 2, limit: 10, waiting: map[string]int{"x": 4, "y": 1}, app: "x", action: actDefer, dead: true},
		"the same for another app":                        {apps: 2, limit: 10, waiting: map[string]int{"x": 4, "y": 1}, app: "y", action: actRetry},
		"half each: nobody has most":                      {apps: 2, limit: 10, waiting: map[string]int{"x": 3, "y": 3}, app: "x", action: actRetry},
		"the server has half of it out":                   {apps: 2, limit: 10, pending: 5, waiting: map[string]int{"x": 1}, app: "x", action: actRetry, dead: true},
		"the server has nearly half of it out":            {apps: 2, limit: 10, pending: 4, waiting: map[string]int{"x": 1}, app: "x", action: actRetry},
		"the server has half of it out, none of this app": {apps: 2, limit: 10, pending: 5, app: "x", action: actRetry},
		"in doubt: that is resolved":                      {apps: 2, limit: 10, pending: 10, waiting: map[string]int{"x": 10}, app: "x", action: actRetry, doubt: true},
		"one app":                                         {apps: 1, limit: 10, pending: 10, waiting: map[string]int{"x": 10}, app: "x", action: actRetry},
		"a bound of one":                                  {apps: 2, limit: 1, pending: 1, waiting: map[string]int{"x": 1}, app: "x", action: actRetry, dead: true},
		"no bound":                                        {apps: 2, limit: -1, pending: 10, waiting: map[string]int{"x": 10}, app: "x", action: actRetry},
		"a bound that is not known yet":                   {apps: 2, limit: 0, waiting: map[string]int{"x": 10}, app: "x", action: actRetry},
		"what is sent is not looked at":                   {apps: 2, limit: 10, pending: 10, waiting: map[string]int{"x": 10}, app: "x", action: actSent},
		"nor what is in doubt":                            {apps: 2, limit: 10, pending: 10, waiting: map[string]int{"x": 10}, app: "x", action: actDoubt},
	} {
		t.Run(name, func(t *testing.T) {
			b := new(backlog)
			b.limit.Store(c.limit)
			b.pending.Store(c.pending)
			q := newQuota(b, c.apps, atNoon)
			for app, n := range c.waiting {
				q.add(app, noon.Add(in), n)
			}
			d := fresh(t)
			d.subject.App = c.app
			if c.doubt {
				d.suspects = []string{"a"}
			}
			e := &sender.Error{Code: "E"}
			v := q.review(d, verdict{action: c.action, delay: time.Second, err: e})
			check.Equal(t, "error", v.err, e)
			if c.dead {
				check.Equal(t, "action", v.action, actDead)
				check.Equal(t, "reason", v.reason, messages.ReasonUndeliverable)
				contains(t, "detail", v.detail, "messages of app "+c.app+" wait for another attempt already")
				contains(t, "detail", v.detail, fmt.Sprintf("MaxAckPending %d", c.limit))
			} else {
				check.Equal(t, "action", v.action, c.action)
			}
			mine, _ := q.count(c.app, noon)
			want := c.waiting[c.app]
			if !c.dead && !c.doubt && c.apps > 1 && (c.action == actRetry || c.action == actDefer) {
				want++
			}
			check.Equal(t, "messages of the app that wait", mine, want)
		})
	}
}

// TestQuotaLeavesADoubt: a message that may have been sent waits, however many others
// wait; it does not become a dead letter because of them.
func TestQuotaLeavesADoubt(t *testing.T) {
	for name, edit := range map[string]func(d *delivery){
		"in doubt":            func(d *delivery) { d.inDoubt = true },
		"it has a suspect":    func(d *delivery) { d.suspects = []string{"a"} },
		"it lost its workers": func(d *delivery) { d.inDoubt, d.lost, d.doubts = true, true, 2 },
	} {
		for _, action := range []action{actRetry, actDefer} {
			b := new(backlog)
			b.limit.Store(10)
			b.pending.Store(10)
			q := newQuota(b, 2, atNoon)
			q.add("default", noon.Add(time.Minute), 9)
			d := fresh(t)
			edit(d)
			v := q.review(d, verdict{action: action, delay: time.Second})
			check.Equal(t, fmt.Sprintf("%s, action %d: action", name, action), v.action, action)
		}
	}
}

// TestQuotaCountsWhatWaits: a message counts until it has come again.
func TestQuotaCountsWhatWaits(t *testing.T) {
	now := noon
	q := newQuota(new(backlog), 2, func() time.Time { return now })
	for _, w := range []struct {
		app   string
		delay time.Duration
	}{{"x", 2 * time.Second}, {"x", 5 * time.Second}, {"y", 5 * time.Second}, {"y", 5 * time.Second}} {
		d := fresh(t)
		d.subject.App = w.app
		q.review(d, verdict{action: actRetry, delay: w.delay})
	}
	for _, c := range []struct {
		after     time.Duration
		mine, all int
	}{{0, 2, 4}, {2 * time.Second, 2, 4}, {3 * time.Second, 1, 3}, {5 * time.Second, 1, 3}, {6 * time.Second, 0, 0}} {
		now = noon.Add(c.after)
		mine, all := q.count("x", now)
		check.Equal(t, "of app x, after "+c.after.String(), mine, c.mine)
		check.Equal(t, "of all apps, after "+c.after.String(), all, c.all)
	}
	check.Equal(t, "seconds and apps that are kept of what has come again", len(q.due)+len(q.waiting), 0)
}

// BenchmarkQuota puts back messages of so many apps, whose messages wait for up to a minute.
func BenchmarkQuota(b *testing.B) {
	for _, apps := range []int{2, 1000} {
		b.Run(fmt.Sprintf("%d apps", apps), func(b *testing.B) {
			q := newQuota(new(backlog), apps, atNoon)
			for i := range apps {
				for second := range 60 {
					q.add(fmt.Sprintf("app-%d", i), noon.Add(time.Duration(second)*time.Second), 1)
				}
			}
			d := &delivery{opened: opened{subject: messages.Subject{App: "app-1"}}}
			for b.Loop() {
				q.review(d, verdict{action: actRetry, delay: time.Second})
			}
		})
	}
}
