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
	// waiting counts, for each app, the messages that this worker has put back, by the
	// second at which they come again.
	waiting map[string]map[int64]int
}

func newQuota(b *backlog, apps int, now func() time.Time) *quota {
	return &quota{backlog: b, apps: apps, now: now, waiting: make(map[string]map[int64]int)}
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
	at := now.Add(v.delay).Unix()
	if q.waiting[d.subject.App] == nil {
		q.waiting[d.subject.App] = make(map[int64]int)
	}
	q.waiting[d.subject.App][at]++
	return v
}

// count returns how many messages of the app, and of all apps, wait to come again.
func (q *quota) count(app string, now time.Time) (mine, all int) {
	for name, seconds := range q.waiting {
		for at, n := range seconds {
			switch {
			case at < now.Unix():
				delete(seconds, at)
			case name == app:
				mine += n
				all += n
			default:
				all += n
			}
		}
	}
	return mine, all
}
