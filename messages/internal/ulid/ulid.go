// Package ulid makes and reads ULIDs, ids that sort by time. They have 26 characters: the
// first ten hold the time in milliseconds, and the rest are random.
package ulid

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// crockford is the alphabet of Crockford's base 32, in ASCII order, so ids sort by time.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// length is the length of an id in characters.
const length = 26

// New returns a new id for a time. It does not block.
func New(t time.Time) string {
	var b [16]byte
	ms := uint64(max(t.UnixMilli(), 0))
	binary.BigEndian.PutUint64(b[:8], ms<<16) // 48 bits are enough until the year 10889
	_, _ = rand.Read(b[6:])                   // never fails: crypto/rand crashes the program instead

	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var s [length]byte
	for i := length - 1; i >= 0; i-- {
		s[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(s[:])
}

// Time returns the time in an id. ok is false if New can't have made the id.
func Time(id string) (t time.Time, ok bool) {
	if len(id) != length || id[0] > '7' {
		return time.Time{}, false
	}
	var ms int64
	for i := range length {
		d := digit(id[i])
		if d < 0 {
			return time.Time{}, false
		}
		if i < 10 {
			ms = ms<<5 | int64(d)
		}
	}
	return time.UnixMilli(ms), true
}

func digit(c byte) int {
	for i := range len(crockford) {
		if crockford[i] == c {
			return i
		}
	}
	return -1
}
