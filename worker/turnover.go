package worker

import "time"

// turnover measures how fast slots, or places in the bulkhead, come free.
type turnover struct {
	since time.Time
	count int
	// perSecond is the rate in the last window.
	perSecond float64
}

// turnoverWindow is the time over which the rate is measured.
const turnoverWindow = 20 * time.Millisecond

// freed notes that n came free.
func (t *turnover) freed(n int, now time.Time) {
	t.count += n
	if took := now.Sub(t.since); took >= turnoverWindow {
		t.perSecond = float64(t.count) / took.Seconds()
		t.since, t.count = now, 0
	}
}

// rate returns how many come free in a second; 0 if none came free just now.
func (t *turnover) rate(now time.Time) float64 {
	if now.Sub(t.since) > 3*turnoverWindow {
		return 0
	}
	return t.perSecond
}

// within returns how many come free in the time d.
func (t *turnover) within(d time.Duration, now time.Time) int {
	return int(t.rate(now) * d.Seconds())
}
