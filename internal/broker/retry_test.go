package broker

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/codeferry/codeferry/messages/wire"
)

// TestAFailedTryIsRepeated: soon at first, and then less and less often.
func TestAFailedTryIsRepeated(t *testing.T) {
	t.Parallel()
	k := NewKeeper(nil, wire.StreamOptions{}, nil, zerolog.Nop())
	began := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	now := began
	k.now = func() time.Time { return now }
	var tries []time.Duration
	fail := errors.New("no room")
	for ; now.Sub(began) < 4*time.Minute; now = now.Add(time.Second) {
		var u UnfitError
		k.try(t.Context(), &u, true, "a stream is missing", func(context.Context) error {
			tries = append(tries, now.Sub(began)/time.Second)
			return fail
		})
		if len(u.problems) != 1 || !errors.Is(&u, fail) {
			t.Fatalf("after %v: %v", now.Sub(began), u.problems)
		}
	}
	if want := []time.Duration{0, 2, 6, 14, 30, 62, 122, 182}; !slices.Equal(tries, want) {
		t.Errorf("tried after %d seconds, want %d", tries, want)
	}
}
