package messages_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
)

func TestIDHoldsItsTime(t *testing.T) {
	for _, at := range []time.Time{
		time.UnixMilli(0), time.UnixMilli(1), time.UnixMilli(31), time.UnixMilli(32),
		time.Date(2026, 11, 21, 12, 0, 0, 123_456_789, time.FixedZone("", 8*3600)),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC),
	} {
		id := messages.NewID(at)
		if len(id) != 26 || !messages.ValidID(id) {
			t.Errorf("NewID(%v) = %q", at, id)
		}
		got, ok := messages.IDTime(id)
		if want := at.Truncate(time.Millisecond); !ok || !got.Equal(want) {
			t.Errorf("IDTime(NewID(%v)) = %v, %v", at, got, ok)
		}
	}
	if got, ok := messages.IDTime(messages.NewID(time.UnixMilli(-1))); !ok || !got.Equal(time.UnixMilli(0)) {
		t.Errorf("a time before 1970 gives %v, %v", got, ok)
	}
}

func TestIDIsAULID(t *testing.T) {
	// The time's part of the ULID specification's own example.
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

func TestIDTimeRefusesOtherIDs(t *testing.T) {
	id := messages.NewID(time.Now())
	for _, other := range []string{
		"", "u1", "CODEFERRY-17", id[:25], id + "0", strings.ToLower(id),
		"8" + id[1:],                           // more than 128 bits
		id[:25] + "U",                          // U is not in the alphabet
		id[:25] + "-",                          //
		"7ba7b810-9dad-11d1-80b4-0",            //
		"01890a5d-ac96-774b-bcce-b302099a8057", // a UUID
		"01ARYZ6S41TSV4RRFFQ69G5FA\xff",        //
	} {
		if at, ok := messages.IDTime(other); ok || !at.IsZero() {
			t.Errorf("IDTime(%q) = %v, %v", other, at, ok)
		}
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"1": true, "CODEFERRY-17": true, "a.b/c@d~!": true, strings.Repeat("x", 200): true,
		"": false, "a b": false, "a\n": false, "é": false, "\x7f": false, strings.Repeat("x", 201): false,
	} {
		if got := messages.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v", id, got)
		}
	}
}
