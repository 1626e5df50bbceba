package messages

import "time"

// SetClock gives a Sealer another clock.
func (s *Sealer) SetClock(now func() time.Time) { s.now = now }

// EndAfter limits the encapsulated key to n more messages.
func (s *Sealer) EndAfter(n int) { s.with.left = n }

// SealFor is the longest use of an encapsulated key.
const SealFor = sealFor
