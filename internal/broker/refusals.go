package broker

import "sync"

// refusals remembers which rounds of tries had a server that refused the connection. The
// client keeps only the error of its last try, perhaps that of a server that is down. The zero
// value is ready. Many goroutines can use it at once.
type refusals struct {
	mu sync.Mutex
	// now and before say whether a server refused in this round, or in the one before. The
	// client reports a refusal late, perhaps in the next round.
	now, before bool
}

// heard takes a refusal, and passes it to tell.
func (r *refusals) heard(tell func(error), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = true
	if tell != nil {
		tell(err)
	}
}

// round ends a round of tries. It tells nil if there was no refusal in the last two.
func (r *refusals) round(tell func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.now && !r.before && tell != nil {
		tell(nil)
	}
	r.now, r.before = false, r.now
}

// back ends everything: there is a connection.
func (r *refusals) back(tell func(error)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now, r.before = false, false
	if tell != nil {
		tell(nil)
	}
}
