package worker

import (
	"fmt"
	"sync"
	"time"

	"github.com/codeferry/codeferry/messages"
)

// quota stops one app from using up the consumer's MaxAckPending: while that many messages
// are in flight or wait to come again, the server hands out no more, of any app. Once half
// of MaxAckPending is used, and most of the messages that wait are of one app, a message
// of that app becomes a dead letter at once if no connector accepts it. The other half is
// left for the other apps.
//
// A worker counts only the messages that it has put back itself, and assumes the same
// shares for all workers. With one app there are no others to protect.
type quota struct {
	backlog *backlog
	apps    int
	now     func() time.Time

	mu sync.Mutex
	// waiting counts, for each app, the messages that this worker has put back; all counts
	// those of all apps.
	waiting map[string]int
	all     int
	// due has the same messages by the second at which they come again.
	due map[int64]map[string]int
}

func newQuota(b *backlog, apps int, now func() time.Time) *quota {
	return &quota{backlog: b, apps: apps, now: now, waiting: make(map[string]int), due: make(map[int64]map[string]int)}
}

// review returns the verdict, or a dead letter instead of another wait.
func (q *quota) review(d *delivery, v verdict) verdict {
	if q.apps < 2 || v.action != actDefer && v.action != actRetry || d.mayHaveBeenSent() {
		return v // a doubt is resolved, however many messages wait
	}
	now := q.now()
	q.mu.Lock()
	defer q.mu.Unlock()
	mine, all := q.count(d.subject.App, now)
	limit := q.backlog.limit.Load()
	if limit > 0 && (q.backlog.halfFull() || int64(all) >= limit/2) && 2*mine > all {
		return dead(d, messages.ReasonUndeliverable, fmt.Sprintf(
			"no connector takes it, and %d messages of app %s wait for another attempt already: more of them would keep the other apps' codes from being handed out (MaxAckPending %d)",
			mine, d.subject.App, limit)).because(v.err)
	}
	q.add(d.subject.App, now.Add(v.delay), 1)
	return v
}

// add counts n messages of an app that come again at a time.
func (q *quota) add(app string, at time.Time, n int) {
	second := at.Unix()
	if q.due[second] == nil {
		q.due[second] = make(map[string]int)
	}
	q.due[second][app] += n
	q.waiting[app] += n
	q.all += n
}

// count returns how many messages of the app, and of all apps, wait to come again. Its cost
// does not depend on how many apps there are: it is called for each message that is put back.
func (q *quota) count(app string, now time.Time) (mine, all int) {
	for second, apps := range q.due {
		if second >= now.Unix() {
			continue
		}
		delete(q.due, second)
		for name, n := range apps {
			q.all -= n
			if q.waiting[name] -= n; q.waiting[name] == 0 {
				delete(q.waiting, name)
			}
		}
	}
	return q.waiting[app], q.all
}
