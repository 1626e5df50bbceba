package broker

import (
	"sync"
	"time"
)

// seldomEvery is the shortest time between two reports of the same thing.
const seldomEvery = time.Minute

// seldomQuiet is after how long without it a thing has ended. Then it is reported at once if it
// comes again.
const seldomQuiet = 30 * time.Second

// maxSeldom limits the remembered names; beyond it all others count as one.
const maxSeldom = 100

// seldom says when to report something that goes on: at once, and then once a minute.
type seldom struct {
	clock func() time.Time

	mu   sync.Mutex
	last map[string]times
}

// times are when something was reported, and when it last happened.
type times struct{ reported, happened time.Time }

func newSeldom(clock func() time.Time) *seldom {
	return &seldom{clock: clock, last: make(map[string]times)}
}

// ended notes that everything so far has ended: whatever comes next is reported at once.
func (s *seldom) ended() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.last)
}

// now reports whether to report a name now.
func (s *seldom) now(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock()
	for other, at := range s.last {
		if now.Sub(at.reported) >= seldomEvery || now.Sub(at.happened) >= seldomQuiet {
			delete(s.last, other)
		}
	}
	if _, known := s.last[name]; !known && len(s.last) >= maxSeldom {
		name = ""
	}
	if at, known := s.last[name]; known {
		s.last[name] = times{at.reported, now}
		return false
	}
	s.last[name] = times{now, now}
	return true
}
