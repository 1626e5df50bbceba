package archive

import (
	"cmp"
	"time"
)

// Stored identifies one stored message by its place in CODEFERRY and the time at which the
// stream stored it. An id does not identify a message, because its publisher may use it
// again. A place alone does not either, because a new stream can use the same sequences.
type Stored struct {
	At time.Time
	// Sequence is 0 if it is not known: the outcomes of older workers do not have it.
	Sequence uint64
}

// Compare returns 0 if both name the same message, -1 if s was stored before other,
// and 1 if it was stored after it.
func (s Stored) Compare(other Stored) int {
	if c := s.At.Compare(other.At); c != 0 || s.Sequence == 0 || other.Sequence == 0 {
		return c
	}
	return cmp.Compare(s.Sequence, other.Sequence)
}
