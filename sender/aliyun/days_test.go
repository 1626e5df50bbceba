package aliyun

import (
	"slices"
	"testing"
	"time"
)

func TestDaysAreChinas(t *testing.T) {
	at := func(s string) time.Time {
		v, err := time.Parse(time.RFC3339, s)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct {
		from, to string
		want     []string
	}{
		{"2026-11-21T12:00:00Z", "2026-11-21T12:10:00Z", []string{"20261121"}},
		{"2026-11-21T15:55:00Z", "2026-11-21T16:05:00Z", []string{"20261121", "20261122"}}, // midnight in China
		{"2026-11-21T23:55:00Z", "2026-11-22T00:05:00Z", []string{"20261122"}},             // midnight elsewhere
		{"2026-12-31T15:59:59Z", "2026-12-31T16:00:00Z", []string{"20261231", "20270101"}},
		{"2026-02-27T12:00:00Z", "2026-03-01T12:00:00Z", []string{"20260227", "20260228", "20260301"}},
	} {
		if got := days(at(c.from), at(c.to)); !slices.Equal(got, c.want) {
			t.Errorf("%s to %s: %v, want %v", c.from, c.to, got, c.want)
		}
	}
}
