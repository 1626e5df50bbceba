package aliyun

import "sync/atomic"

// otherRequests counts the requests with no action or an unknown one, so that requests can't
// add counters.
const otherRequests = "other"

type counters map[string]*atomic.Int64

func newCounters() counters {
	r := counters{otherRequests: new(atomic.Int64)}
	for _, name := range actionNames {
		r[name] = new(atomic.Int64)
	}
	return r
}

func (r counters) count(action string) {
	n, ok := r[action]
	if !ok {
		n = r[otherRequests]
	}
	n.Add(1)
}

func (r counters) snapshot() map[string]int {
	counts := map[string]int{}
	for name, n := range r {
		if v := n.Load(); v > 0 {
			counts[name] = int(v)
		}
	}
	return counts
}
