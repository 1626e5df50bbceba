package messages_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

func TestIDHoldsItsTime(t *testing.T) {
	for _, at := range []time.Time{
		time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(31), time.UnixMilli(32),
		time.Date(2026, 11, 21, 12, 0, 0, 123_456_789, time.FixedZone("", 8*3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		id := messages.NewID(at)
		if len(id) != 26 || !wire.ValidID(id) {
			t.Errorf("NewID(%v) = %q, want a valid id of 26 characters", at, id)
		}
		got, ok := wire.IDTime(id)
		if want := at.Truncate(time.Millisecond); !ok || !got.Equal(want) {
			t.Errorf("IDTime(NewID(%v)) = %v, %v, want %v", at, got, ok, want)
		}
	}
	if got, ok := wire.IDTime(messages.NewID(time.UnixMilli(-1))); !ok || !got.Equal(time.UnixMilli(0)) {
		t.Errorf("IDTime of an id from before 1970 is %v, %v, want 1970", got, ok)
	}
}

func TestIDIsAULID(t *testing.T) {
	// The time and its characters are from the example in the ULID specification.
	if id := messages.NewID(time.UnixMilli(1469918176385)); !strings.HasPrefix(id, "01ARYZ6S41") {
		t.Errorf("NewID() = %q, want 01ARYZ6S41…", id)
	}
}

func TestIDsSortByTime(t *testing.T) {
	var ids []string
	for at := time.UnixMilli(1); at.Year() < 9000; at = at.Add(at.Sub(time.UnixMilli(0))) {
		ids = append(ids, messages.NewID(at))
	}
	if !slices.IsSorted(ids) {
		t.Errorf("ids are not in order: %v", ids)
	}
}

func TestIDsDiffer(t *testing.T) {
	at, seen := time.Now(), make(map[string]bool)
	for range 10_000 {
		id := messages.NewID(at)
		if seen[id] {
			t.Fatalf("%s came twice", id)
		}
		seen[id] = true
	}
}
