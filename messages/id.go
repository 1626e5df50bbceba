package messages

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// crockford is Crockford's base 32, whose order is that of ASCII: ids sort by time.
const crockford = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// idLen is the length of an id of ours in characters.
const idLen = 26

// NewID returns a new id for a message made at t: a ULID, 26 characters of
// which the first ten hold the time in milliseconds and the rest are random.
// Ids sort by time, which is what lets a look-up start reading at the id's own
// time (IDTime). It does not block.
func NewID(t time.Time) string {
	var b [16]byte
	ms := uint64(max(t.UnixMilli(), 0))
	binary.BigEndian.PutUint64(b[:8], ms<<16) // 48 bits are enough until the year 10889
	_, _ = rand.Read(b[6:])                   // never fails: crypto/rand ends the program first

	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var s [idLen]byte
	for i := idLen - 1; i >= 0; i-- {
		s[i] = crockford[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(s[:])
}

// IDTime returns the time that an id made by NewID holds; ok is false for an id
// of another make.
func IDTime(id string) (t time.Time, ok bool) {
	if len(id) != idLen || id[0] > '7' {
		return time.Time{}, false
	}
	var ms int64
	for i := range idLen {
		d := crockfordDigit(id[i])
		if d < 0 {
			return time.Time{}, false
		}
		if i < 10 {
			ms = ms<<5 | int64(d)
		}
	}
	return time.UnixMilli(ms), true
}

func crockfordDigit(c byte) int {
	for i := range len(crockford) {
		if crockford[i] == c {
			return i
		}
	}
	return -1
}
