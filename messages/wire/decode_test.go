package wire_test

import (
	"strings"
	"testing"
	"time"

	"github.com/codeferry/codeferry/messages"
	"github.com/codeferry/codeferry/messages/wire"
)

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
		if at, ok := wire.IDTime(other); ok || !at.IsZero() {
			t.Errorf("IDTime(%q) = %v, %v, want no time", other, at, ok)
		}
	}
}

// TestIDTimeIsAHint: an id that looks like one of NewID has a time, which can be any.
func TestIDTimeIsAHint(t *testing.T) {
	if at, ok := wire.IDTime("20261125063310000000000001"); !ok || at.Year() < 3000 {
		t.Errorf("IDTime of a number with 26 digits = %v, %t, want a time after the year 3000", at, ok)
	}
}

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"1": true, "CODEFERRY-17": true, "a.b/c@d~!": true, strings.Repeat("x", 200): true,
		"": false, "a b": false, "a\n": false, "é": false, "\x7f": false, strings.Repeat("x", 201): false,
	} {
		if got := wire.ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %v, want %v", id, got, want)
		}
	}
}
